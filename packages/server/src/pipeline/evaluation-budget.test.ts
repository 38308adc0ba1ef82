// The budget of all evaluations under random changes, small and huge, that fail, are aborted and are done once more:
// never more than there is, all of it given back, and nobody waits for ever or fails for what others say.
import { setImmediate as turn } from 'node:timers/promises';
import { buildClasses } from '@eka-ci/core/build-order';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ChangeRoom, createEvaluationBudget } from './evaluation-budget.ts';
import { createEvaluationLine, type EvaluationLine } from './evaluation-line.ts';

/** What one side may say. */
const side = 64 * 1024;
const bytes = side / 0.3;

/** A thousand bytes, about. */
const record = (index: number): EvaluationRecord => ({
  ...{ kind: 'failed', attr: `a${index}`, attrPath: [`a${index}`] },
  failure: { kind: 'throw', message: 'x'.repeat(700), position: null },
});

/** Of one side of a change. More than 65 are too many. */
const records = fc.oneof(fc.nat(20), fc.integer({ min: 50, max: 64 }), fc.constant(80));

const asked = fc.record({
  class: fc.constantFrom(...buildClasses),
  arrivedAtMs: fc.nat(5),
  /** Turns of the event loop. */
  comesAt: fc.nat(6),
  base: records,
  judged: records,
  buildTakes: fc.nat(20),
  /** Its checks evaluate a shell while it is built. */
  hasShell: fc.boolean(),
  ends: fc.constantFrom<'judged' | 'fails' | 'is done once more'>('judged', 'fails', 'is done once more'),
  abortedAt: fc.option(fc.nat(30), { freq: 3 }),
});
type Asked = typeof asked extends fc.Arbitrary<infer Value> ? Value : never;

interface Server {
  readonly line: EvaluationLine;
  readonly room: ChangeRoom;
  readonly signal: AbortSignal;
  readonly look: () => void;
}

/** @returns the sides that had too much to say */
const evaluate = async ({ line, room, signal, look }: Server, change: Asked): Promise<string[]> => {
  const refused: string[] = [];
  const say = async (which: 'base' | 'judged'): Promise<void> => {
    const mine = room.rooms()[which];
    for (let index = 0; index < change[which]; index++) {
      if (index % 16 === 0) await turn();
      signal.throwIfAborted();
      if (mine.take(record(index)) !== null) return void refused.push(which);
      look();
    }
  };
  const work = async (): Promise<void> => {
    try {
      const sides = await Promise.allSettled([say('base'), say('judged')]);
      for (const one of sides) if (one.status === 'rejected') throw one.reason;
    } finally {
      room.settle();
    }
  };
  await line.run({ ...change, needs: room.need(() => {}) }, work, signal);
  return refused.toSorted();
};

const build = async ({ line, signal, look }: Server, change: Asked): Promise<void> => {
  for (let turns = 0; turns < change.buildTakes; turns++) {
    await turn();
    signal.throwIfAborted();
    look();
  }
  if (change.hasShell) await line.run(change, () => turn(), signal);
};

/** As a pipeline: evaluated in its turn, held on to while it is built, given back in whatever way it ends. */
const judge = async (server: Server, change: Asked): Promise<string[]> => {
  try {
    const refused = await evaluate(server, change);
    await build(server, change);
    if (change.ends === 'fails') throw new Error('failed');
    if (change.ends === 'is done once more') {
      await evaluate(server, change);
      await build(server, change);
    }
    return refused;
  } finally {
    server.room.release();
    server.look();
  }
};

it('property: is never exceeded, is given back, and keeps nobody for ever', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { maxLength: 10 }), async (all) => {
      const line = createEvaluationLine();
      const budget = createEvaluationBudget(bytes);
      let most = 0;
      const look = (): void => {
        most = Math.max(most, budget.counts().held);
      };
      const ends = all.map(async (change) => {
        for (let turns = 0; turns < change.comesAt; turns++) await turn();
        const abort = new AbortController();
        const server = { line, room: budget.open(), signal: abort.signal, look };
        const abortLater = async (): Promise<void> => {
          if (change.abortedAt === null) return;
          for (let turns = 0; turns < change.abortedAt; turns++) await turn();
          abort.abort(new Error('aborted'));
        };
        const [ended] = await Promise.all([judge(server, change).catch(String), abortLater()]);
        if (ended === 'Error: aborted') return expect(change.abortedAt).not.toBeNull();
        if (ended === 'Error: failed') return expect(change.ends).toBe('fails');
        // Told that it says too much is who says too much, and nobody else.
        const tooMuch = (['base', 'judged'] as const).filter((which) => change[which] > 65);
        expect(ended).toEqual(tooMuch);
      });
      // Of two that wait for each other this one would never come to its end.
      await Promise.all(ends);
      expect(budget.counts()).toEqual({ held: 0, most: bytes });
      expect(most).toBeLessThanOrEqual(bytes);
    }),
    { numRuns: 300 },
  );
});

it('says what is the matter, and what an operator can do', async () => {
  const line = createEvaluationLine();
  const budget = createEvaluationBudget(5 * 1024 * 1024);
  const [first, second] = [budget.open(), budget.open()];
  const { signal } = new AbortController();
  const place = { class: 'open-change', arrivedAtMs: 1 } as const;
  const told: string[] = [];
  const evaluateIn = (room: ChangeRoom, count: number): Promise<void> =>
    line.run(
      { ...place, needs: room.need((reason) => told.push(reason)) },
      async () => {
        const { judged, base } = room.rooms();
        for (let index = 0; index < count; index++)
          expect([judged, base].map((one) => one.take(record(index)))).toEqual([null, null]);
        room.settle();
      },
      signal,
    );
  await evaluateIn(first, 1000);
  await evaluateIn(second, 200);
  const third = budget.open();
  const waiting = evaluateIn(third, 1);
  expect(told).toEqual([
    'what 2 other changes said of their packages is kept until they are judged, 3 of 5 MiB, and this one may need 3 ' +
      "MiB; it goes on when one of them is judged. A larger --max-old-space-size of the server's Node (NODE_OPTIONS) " +
      'lets more be judged at once',
  ]);
  first.release();
  await waiting;
  second.release();
  third.release();
  third.release();
  expect(budget.counts().held).toBe(0);
});

it('tells each who watches, though one function watches for several', () => {
  const budget = createEvaluationBudget(bytes);
  const [holder, room] = [budget.open(), budget.open()];
  let told = 0;
  const onChange = (): void => {
    told += 1;
  };
  const need = room.need(() => {});
  const [first, second] = [need.watch(onChange), need.watch(onChange)];
  const change = (): void => {
    expect(holder.need(() => {}).take()).toBeNull();
    holder.release();
  };
  change();
  first();
  change();
  second();
  change();
  expect(told).toBe(3);
});
