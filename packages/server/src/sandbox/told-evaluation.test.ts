import { describe, expect, it } from 'vitest';
import { createToldEvaluation, type ToldBounds } from './told-evaluation.ts';

const bounds: ToldBounds = { bytes: 2000, records: 5, lines: 7, warnings: 3 };
const failure = { kind: 'throw', message: 'no', position: null };

/** Each another one, as from a runner that goes on for ever. */
const events: Readonly<Record<keyof ToldBounds, (at: number) => object>> = {
  bytes: () => ({ type: 'progress', evaluated: 1, failed: 0, known: 2 }),
  records: (at) => ({
    type: 'record',
    record: { kind: 'failed', attr: `a${at}`, attrPath: [`a${at}`], failure },
  }),
  lines: (at) => ({ type: 'log', line: `${at}` }),
  warnings: (at) => ({ type: 'warning', message: `${at}` }),
};

describe('what a runner tells of an evaluation', () => {
  it.each(Object.keys(bounds) as (keyof ToldBounds)[])('has a bound on %s, and is taken up to it', (what) => {
    const told = createToldEvaluation('/no/store', { ...bounds, ...(what !== 'bytes' && { bytes: 1e9 }) });
    const bodies = Array.from({ length: 100 }, (_, at) => Buffer.from(JSON.stringify(events[what](at))));
    const size = what === 'bytes' ? (bodies[0]?.length ?? 0) : 1;
    const fit = Math.floor(bounds[what] / size);
    for (const body of bodies.slice(0, fit)) told.event(body);
    const next = bodies[fit];
    if (next === undefined) throw new Error('too few');
    expect(() => told.event(next)).toThrow(`more than ${bounds[what]} ${what} were told`);
  });
});
