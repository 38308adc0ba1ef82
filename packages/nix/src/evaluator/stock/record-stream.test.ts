import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WorkItem } from './expression.ts';
import { createRecordStream, type StreamStep } from './record-stream.ts';

const nonce = 'f'.repeat(32);
const meta = JSON.stringify({
  pname: null,
  version: null,
  licenses: [],
  maintainers: [],
  maintainerIds: [],
  position: null,
  broken: false,
  insecure: false,
  unfree: false,
  unsupported: false,
});
const item = (id: number): WorkItem => ({ id, path: [`p${id}`], guarded: true, alone: false });

/** What the expression prints for one attribute, by what it is. */
const shapes = {
  derivation: (id: number) => [`S ${id}`, `D ${id} {"drvPath":"/s/x.drv","known":true}`, `M ${id} ${meta}`],
  set: (id: number) => [`S ${id}`, `C ${id} ["a"]`, `C ${id} ["b","c"]`, `E ${id}`],
  nothing: (id: number) => [`S ${id} {"file":"/f","line":1,"column":2}`, `N ${id}`],
  threw: (id: number) => [`S ${id}`, `P ${id} {"file":"/f","line":1,"column":2}`, `T ${id}`, `E ${id}`],
};
const kinds = fc.array(fc.constantFrom('derivation', 'set', 'nothing', 'threw'), {
  minLength: 1,
  maxLength: 12,
});

const linesOf = (wanted: readonly (keyof typeof shapes)[]): string[] =>
  wanted.flatMap((kind, id) => shapes[kind](id)).map((line, sequence) => `${nonce} ${sequence} ${line}`);

const settledIn = (steps: readonly (StreamStep | null)[]) =>
  steps.flatMap((step) => (step?.kind === 'settled' ? [step.outcome.kind] : []));

describe('a stream of records', () => {
  it('settles every item once, whatever is traced between', () => {
    fc.assert(
      fc.property(kinds, fc.array(fc.string()), (wanted, noise) => {
        const stream = createRecordStream(
          nonce,
          wanted.map((_, id) => item(id)),
        );
        const steps = linesOf(wanted).flatMap((line) => [
          ...noise.map((text) => stream.accept(text)),
          stream.accept(line),
        ]);
        expect(settledIn(steps)).toEqual(wanted);
        expect(stream.inHand()).toBeNull();
        expect(stream.waiting()).toEqual([]);
      }),
    );
  });

  it('cut anywhere accounts for every item: settled, in hand, or waiting', () => {
    fc.assert(
      fc.property(kinds, fc.nat(), (wanted, where) => {
        const lines = linesOf(wanted);
        const stream = createRecordStream(
          nonce,
          wanted.map((_, id) => item(id)),
        );
        const steps = lines.slice(0, where % (lines.length + 1)).map((line) => stream.accept(line));
        const inHand = stream.inHand() === null ? 0 : 1;
        expect(settledIn(steps).length + inHand + stream.waiting().length).toBe(wanted.length);
      }),
    );
  });

  it('notices a line that is lost, doubled or swapped', () => {
    fc.assert(
      fc.property(kinds, fc.nat(), fc.constantFrom('lose', 'double', 'swap'), (wanted, where, how) => {
        const lines = linesOf(wanted);
        const at = where % (lines.length - 1); // Every item has two lines at least.
        const [one = '', other = ''] = lines.slice(at, at + 2);
        const instead = { lose: [other], double: [one, one, other], swap: [other, one] }[how];
        const stream = createRecordStream(
          nonce,
          wanted.map((_, id) => item(id)),
        );
        const steps = lines.toSpliced(at, 2, ...instead).map((line) => stream.accept(line));
        const broken = steps.findIndex((step) => step?.kind === 'broken');
        expect(broken).toBeGreaterThanOrEqual(0);
        expect(settledIn(steps.slice(broken))).toEqual([]);
      }),
    );
  });

  it('does not take what lacks the nonce, and breaks on what has it and does not parse', () => {
    const stream = createRecordStream(nonce, [item(0)]);
    expect(stream.accept(`${'0'.repeat(32)} 0 S 0`)).toBeNull();
    expect(stream.accept(`${nonce} 0 S 0`)).toEqual({ kind: 'begun' });
    expect(stream.accept(`${nonce} 1 D 0 {"drvPath":7}`)?.kind).toBe('broken');
  });
});
