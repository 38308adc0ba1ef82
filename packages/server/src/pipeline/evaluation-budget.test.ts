// The budget of all evaluations under random changes, small and huge, that fail, are aborted and are done once more:
// never more than there is, all of it given back, and nobody waits for ever or fails for what others say.
import { setImmediate as turn } from 'node:timers/promises';
import { type BuildClass, buildClasses } from '@eka-ci/core/build-order';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Side } from './evaluate-sides.ts';
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
    let whole: 'base' | null = null;
    try {
      const sides = await Promise.allSettled([say('base'), say('judged')]);
      for (const one of sides) if (one.status === 'rejected') throw one.reason;
      whole = 'base';
    } finally {
      room.settle(whole);
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

const mib = 1024 * 1024;

/** Some twenty thousand bytes. */
const longRecord: EvaluationRecord = {
  ...{ kind: 'failed', attr: 'long', attrPath: ['long'] },
  failure: { kind: 'throw', message: 'x'.repeat(20_000), position: null },
};

interface Sizes {
  /** In MiB. */
  readonly base: number;
  readonly judged: number;
}

interface More {
  readonly class?: BuildClass;
  readonly signal?: AbortSignal;
  /** @default base */
  readonly whole?: Side;
}

const both = (size: number): Sizes => ({ base: size, judged: size });

const openServer = (budgetMib: number) => {
  const line = createEvaluationLine();
  const budget = createEvaluationBudget(budgetMib * mib);
  const told: string[] = [];
  const rooms = new Set<ChangeRoom>();
  let arrivedAtMs = 0;
  const evaluateIn = (room: ChangeRoom, sizes: Sizes, more: More = {}): Promise<void> => {
    const { class: buildClass = 'open-change', signal = new AbortController().signal } = more;
    const say = async (size: number, which: Side): Promise<void> => {
      const records = Math.floor((size * mib) / recordBytes(longRecord));
      for (let index = 0; index < records; index++) {
        if (index % 50 === 0) await turn();
        signal.throwIfAborted();
        expect(room.rooms()[which].take(longRecord)).toBeNull();
      }
    };
    const work = async (): Promise<void> => {
      let whole: Side | null = null;
      try {
        await say(sizes.base, 'base');
        await say(sizes.judged, 'judged');
        whole = more.whole ?? 'base';
      } finally {
        room.settle(whole);
      }
    };
    const needs = room.need((reason) => told.push(reason));
    return line.run({ class: buildClass, arrivedAtMs: arrivedAtMs++, needs }, work, signal);
  };
  const open = (repository: string | null = null): ChangeRoom => {
    const room = budget.open(repository);
    rooms.add(room);
    return room;
  };
  /** Evaluated, and not built yet. */
  const change = async (repository: string | null, size: number, more?: More): Promise<ChangeRoom> => {
    const room = open(repository);
    await evaluateIn(room, both(size), more);
    return room;
  };
  const putAside = (repository: string | null = null): number => {
    const room = open(repository);
    const before = budget.counts().held;
    expect(room.need(() => {}).take([])).toBeNull();
    const bytes = budget.counts().held - before;
    room.release();
    return Math.round((bytes / mib) * 10) / 10;
  };
  const endAll = (): void => {
    for (const room of rooms) room.release();
    expect(budget.counts().held).toBe(0);
  };
  return { budget, told, open, evaluateIn, change, putAside, endAll };
};

/** All that can go on by itself has. */
const quiet = async (): Promise<void> => {
  for (let turns = 0; turns < 200; turns++) await turn();
};

it('says what is the matter, and what an operator can do', async () => {
  const { told, change, endAll } = openServer(5);
  const first = await change(null, 1.3);
  await change('set', 1);
  const waiting = change('set', 1);
  expect(told).toEqual([
    'what 2 other changes said of their packages is kept until they are judged, 5 of 5 MiB, and this one may need 3 ' +
      "MiB; it goes on when enough of them are judged. A larger --max-old-space-size of the server's Node " +
      '(NODE_OPTIONS) lets more be judged at once',
  ]);
  first.release();
  await waiting;
  endAll();
});

it('puts aside what the base of a repository said, which nobody can propose, and little where nothing is known', async () => {
  const { open, evaluateIn, putAside, endAll } = openServer(64);
  const little = 2;
  expect(putAside('set')).toBe(little);
  const teach = async (sizes: Sizes, more?: More): Promise<number> => {
    const room = open('set');
    await evaluateIn(room, sizes, more).catch(() => {});
    room.release();
    return putAside('set');
  };
  expect(await teach({ base: 4, judged: 1 })).toBe(10);
  expect(await teach({ base: 4, judged: 15 })).toBe(10);
  expect(await teach({ base: 0, judged: 15 })).toBe(10);
  // A change says which jobs of its base are evaluated.
  expect(await teach({ base: 1, judged: 4 })).toBe(10);
  expect(await teach({ base: 5, judged: 4 })).toBe(12.5);
  // It will be a base, perhaps a small one among others.
  expect(await teach({ base: 5, judged: 4 }, { whole: 'judged' })).toBe(10);
  expect(await teach({ base: 5, judged: 2 }, { whole: 'judged' })).toBe(7.5);
  for (let times = 0; times < 9; times++) await teach({ base: 0, judged: 0.1 }, { whole: 'judged' });
  expect(putAside('set')).toBe(little);
  expect(await teach({ base: 0, judged: 3 }, { whole: 'judged' })).toBe(7.5);
  const abort = new AbortController();
  setImmediate(() => abort.abort(new Error('superseded')));
  expect(await teach({ base: 9, judged: 9 }, { signal: abort.signal })).toBe(7.5);
  expect([putAside('other'), putAside()]).toEqual([little, little]);
  endAll();
});

it('lets small changes be evaluated while large ones are built', async () => {
  const { told, change, endAll } = openServer(64);
  for (let large = 0; large < 2; large++) await change('large', 13);
  for (let small = 0; small < 4; small++) await change('small', 0.1);
  expect(told).toEqual([]);
  endAll();
});

it('evaluates once more, with the most put aside, what says more than there is left', async () => {
  const { told, open, evaluateIn, change, putAside, endAll } = openServer(64);
  const large = await change('large', 19);
  // Nothing is known of it, and there are 26 left.
  const unknown = open('unknown');
  await expect(evaluateIn(unknown, both(15))).rejects.toThrow(CrowdedError);
  const again = evaluateIn(unknown, both(15));
  expect(told).toEqual([expect.stringMatching(/ 38 of 64 MiB, and this one may need 39 MiB/)]);
  large.release();
  await again;
  unknown.release();
  // Once it has gone well its size is known.
  expect(putAside('unknown')).toBe(37.5);
  endAll();
});

it('knows the size of those that wait as soon as one of them has been evaluated', async () => {
  const { told, change, endAll } = openServer(64);
  const all = Array.from({ length: 8 }, async () => {
    const room = await change('set', 6);
    await quiet();
    room.release();
  });
  // None of them is evaluated in vain.
  await Promise.all(all);
  expect(told.length).toBeGreaterThan(0);
  endAll();
});

it('keeps no large change waiting for ever, however many small ones come after it', async () => {
  const { budget, told, open, evaluateIn, change, endAll } = openServer(64);
  const before = await change('large', 15);
  const large = change('large', 15);
  expect(told).toHaveLength(1);
  // There is so much left, but not for whoever comes after it.
  const more = open();
  await expect(evaluateIn(more, both(14))).rejects.toThrow(CrowdedError);
  more.release();
  const small: Promise<ChangeRoom>[] = [];
  for (let index = 0; index < 40; index++) {
    small.push(change('small', 0.5));
    await turn();
  }
  await quiet();
  // Some of them went past it, and none so that it would not have its room when the one before it ends.
  expect(told.length).toBeGreaterThan(2);
  expect(told.length).toBeLessThan(40);
  expect(told.at(-1)).toMatch(/, the rest is kept for a change whose turn is before, /);
  before.release();
  await large;
  expect(budget.counts().held).toBeGreaterThan(30 * mib);
  for (const one of small) (await one).release();
  endAll();
});

it('lets small changes go past, however many large ones wait', async () => {
  const { told, change, endAll } = openServer(64);
  const first = await change('large', 19);
  const [second, third] = [change('large', 19), change('large', 19)];
  expect(told).toHaveLength(2);
  (await change('small', 0.1)).release();
  first.release();
  const next = await second;
  // One of them has its room now, and the other waits for that.
  (await change('small', 0.1)).release();
  expect(told).toHaveLength(2);
  next.release();
  await third;
  endAll();
});

it('lets nobody who waited before go past whose turn is before theirs, but for what that leaves', async () => {
  const { told, change, endAll } = openServer(64);
  for (const [repository, size] of [
    ['middle', 4],
    ['set', 15],
  ] as const) {
    (await change(repository, size)).release();
  }
  const [first, second] = [await change(null, 13.5), await change(null, 17)];
  const order: string[] = [];
  const all: Promise<unknown>[] = [];
  const built = Promise.withResolvers<void>();
  const wait = (name: string, repository: string, size: number, buildClass: BuildClass): void => {
    const judge = async (): Promise<void> => {
      const room = await change(repository, size, { class: buildClass });
      order.push(name);
      await built.promise;
      room.release();
    };
    all.push(judge());
  };
  for (let index = 0; index < 6; index++) wait(`baseline ${index}`, 'middle', 4, 'base-branch');
  wait('urgent', 'set', 15, 'merge-queue');
  await quiet();
  expect(told.length).toBeGreaterThan(6);
  second.release();
  await quiet();
  first.release();
  await quiet();
  // Three of the baselines leave it its room.
  expect(order.indexOf('urgent')).toBe(3);
  built.resolve();
  await Promise.all(all);
  endAll();
});

it('lets nobody be evaluated in vain for those whose turn is after', async () => {
  const { change, endAll } = openServer(64);
  const first = await change('large', 15);
  const behind = change('large', 15, { class: 'base-branch' });
  const urgent = await change('other', 14, { class: 'merge-queue' });
  for (const room of [first, urgent]) room.release();
  await behind;
  endAll();
});

it('goes on when the change that room was kept for is not wanted any more', async () => {
  const { told, change, endAll } = openServer(64);
  await change('large', 15);
  const abort = new AbortController();
  const large = change('large', 15, { signal: abort.signal });
  for (let small = 0; small < 13; small++) await change('small', 1);
  expect(told).toHaveLength(1);
  const last = change('small', 1);
  await quiet();
  expect(told).toHaveLength(2);
  abort.abort(new Error('not wanted'));
  await expect(large).rejects.toThrow('not wanted');
  await last;
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
