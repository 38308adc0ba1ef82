// The budget of all evaluations under random changes, small and huge, that fail, are aborted and are done once more:
// never more than there is, all of it given back, and nobody waits for ever or fails for what others say.
import { setImmediate as turn } from 'node:timers/promises';
import { buildClasses } from '@eka-ci/core/build-order';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ChangeRoom, createEvaluationBudget } from './evaluation-budget.ts';
import { createEvaluationLine, type EvaluationLine } from './evaluation-line.ts';
import { CrowdedError } from './evaluation-room.ts';
import { recordBytes } from './record-size.ts';

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
  repository: fc.constantFrom(null, 'one', 'other'),
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

/** @returns the sides that had too much to say @throws CrowdedError */
const evaluateOnce = async ({ line, room, signal, look }: Server, change: Asked): Promise<string[]> => {
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

/** @throws CrowdedError where it has happened before */
const evaluate = (server: Server, change: Asked): Promise<string[]> =>
  evaluateOnce(server, change).catch((error: unknown) => {
    if (error instanceof CrowdedError) return evaluateOnce(server, change);
    throw error;
  });

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
        const server = { line, room: budget.open(change.repository), signal: abort.signal, look };
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

const { signal } = new AbortController();
const mib = 1024 * 1024;

/** @returns in MiB what one side says, as a number of records */
const recordsOf = (sizeMib: number): number => Math.floor((sizeMib * mib) / recordBytes(record(0)));

const openServer = (budgetMib: number) => {
  const line = createEvaluationLine();
  const budget = createEvaluationBudget(budgetMib * mib);
  const told: string[] = [];
  const rooms: ChangeRoom[] = [];
  let arrivedAtMs = 0;
  const evaluateIn = async (room: ChangeRoom, sizeMib: number): Promise<void> => {
    const place = { class: 'open-change', arrivedAtMs: arrivedAtMs++ } as const;
    await line.run(
      { ...place, needs: room.need((reason) => told.push(reason)) },
      async () => {
        try {
          const { judged, base } = room.rooms();
          for (let index = 0; index < recordsOf(sizeMib); index++) {
            expect([judged, base].map((one) => one.take(record(index)))).toEqual([null, null]);
          }
        } finally {
          room.settle();
        }
      },
      signal,
    );
  };
  const open = (repository: string | null = null): ChangeRoom => {
    const room = budget.open(repository);
    rooms.push(room);
    return room;
  };
  const endAll = (): void => {
    for (const room of rooms) room.release();
    expect(budget.counts().held).toBe(0);
  };
  return { budget, told, open, evaluateIn, endAll };
};

it('says what is the matter, and what an operator can do', async () => {
  const { told, open, evaluateIn, endAll } = openServer(5);
  const [first, second] = [open(), open('set')];
  await evaluateIn(first, 1.3);
  await evaluateIn(second, 1);
  const waiting = evaluateIn(open('set'), 1);
  expect(told).toEqual([
    'what 2 other changes said of their packages is kept until they are judged, 5 of 5 MiB, and this one may need 3 ' +
      "MiB; it goes on when one of them is judged. A larger --max-old-space-size of the server's Node (NODE_OPTIONS) " +
      'lets more be judged at once',
  ]);
  first.release();
  await waiting;
  endAll();
});

it('puts aside what the last base of a repository said, and little where nothing is known', async () => {
  const { budget, open, evaluateIn, endAll } = openServer(64);
  const held = (room: ChangeRoom): number => {
    const before = budget.counts().held;
    expect(room.need(() => {}).take([])).toBeNull();
    return Math.round((budget.counts().held - before) / mib);
  };
  expect(held(open('set'))).toBe(2);
  await evaluateIn(open('set'), 4);
  expect(held(open('set'))).toBe(10);
  expect(held(open('other'))).toBe(2);
  expect(held(open())).toBe(2);
  endAll();
});

it('lets small changes be evaluated while large ones are built', async () => {
  const { told, open, evaluateIn, endAll } = openServer(64);
  for (let large = 0; large < 2; large++) await evaluateIn(open('large'), 13);
  for (let small = 0; small < 4; small++) await evaluateIn(open('small'), 0.1);
  expect(told).toEqual([]);
  endAll();
});

it('evaluates once more, with the most put aside, what says more than there is left', async () => {
  const { told, open, evaluateIn, endAll } = openServer(64);
  const large = open('large');
  await evaluateIn(large, 19);
  // Nothing is known of it, and there are 26 left.
  const unknown = open('unknown');
  await expect(evaluateIn(unknown, 15)).rejects.toThrow(CrowdedError);
  const again = evaluateIn(unknown, 15);
  expect(told).toEqual([expect.stringMatching(/ 39 of 64 MiB, and this one may need 39 MiB/)]);
  large.release();
  await again;
  // Once it has gone well its size is known.
  const next = open('unknown');
  const needs = next.need(() => {});
  expect(needs.take([])).toMatch(/may need 38 MiB/);
  endAll();
});

it('keeps no large change waiting for ever, however many small ones come after it', async () => {
  const { budget, told, open, evaluateIn, endAll } = openServer(64);
  const before = open('large');
  await evaluateIn(before, 15);
  const large = evaluateIn(open('large'), 15);
  expect(told).toHaveLength(1);
  // There is so much left, but not for whoever comes after it.
  const more = open();
  await expect(evaluateIn(more, 14)).rejects.toThrow(CrowdedError);
  more.release();
  const small: ChangeRoom[] = [];
  const waiting: Promise<void>[] = [];
  for (let index = 0; index < 40; index++) {
    const room = open('small');
    small.push(room);
    waiting.push(evaluateIn(room, 0.5));
    await turn();
  }
  // Some of them went past it, and none so that it would not have its room when the one before it ends.
  expect(told.length).toBeGreaterThan(2);
  expect(told.length).toBeLessThan(40);
  expect(told.at(-1)).toMatch(/, the rest is for a change that has waited for longer, /);
  before.release();
  await large;
  expect(budget.counts().held).toBeGreaterThan(30 * mib);
  for (const [index, room] of small.entries()) {
    await waiting[index];
    room.release();
  }
  endAll();
});

it('tells each who watches, though one function watches for several', () => {
  const budget = createEvaluationBudget(bytes);
  const [holder, room] = [budget.open(null), budget.open(null)];
  let told = 0;
  const onChange = (): void => {
    told += 1;
  };
  const need = room.need(() => {});
  const [first, second] = [need.watch(onChange), need.watch(onChange)];
  const change = (): void => {
    expect(holder.need(() => {}).take([])).toBeNull();
    holder.release();
  };
  change();
  first();
  change();
  second();
  change();
  expect(told).toBe(3);
});
