// The loop on a real database, with judgements that end as the test says.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChangeResult, Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { judgedResult } from '../database/testing/samples.ts';
import { type JudgeEvent, type JudgeLoop, type JudgeLoopDeps, startJudgeLoop } from './judge-loop.ts';

type Judged = Extract<ChangeResult, { state: 'judged' }>;

const headBase = 'b'.repeat(40) as CommitSha;

const judged = judgedResult({ base: '9'.repeat(40) as CommitSha, markdown: '' });

let database: Database;
let loop: JudgeLoop;
let told: number;

beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  told = 0;
});
afterEach(async () => {
  await loop.stop();
  await database.close();
});

const push = async (branch: string): Promise<void> => {
  const key = `d${told++}`;
  await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: 0 }]);
  const head = String(told).padStart(40, '0') as CommitSha;
  const update = {
    kind: 'head-moved',
    repository: 'r/r',
    branch,
    base: headBase,
    head,
    title: branch,
  } as const;
  const [applied] = await database.changes.apply(
    [{ deliveryKey: key, update: { ...update, newId: key } }],
    1,
  );
  loop.cancel(applied?.ended ?? []);
  loop.wake();
};

const start = (judge: JudgeLoopDeps['judge'], more: Partial<JudgeLoopDeps> = {}) => {
  const events: JudgeEvent[] = [];
  const waiting: { kind: JudgeEvent['kind']; count: number; resolve: () => void }[] = [];
  const countOf = (kind: JudgeEvent['kind']): number => events.filter((event) => event.kind === kind).length;
  loop = startJudgeLoop({
    database,
    judge,
    owner: 'server',
    clock: Date.now,
    idleMs: 10,
    onEvent: (event) => {
      events.push(event);
      for (const one of waiting) if (countOf(one.kind) >= one.count) one.resolve();
    },
    ...more,
  });
  /** Resolves when there were so many events of the kind. */
  const seen = (kind: JudgeEvent['kind'], count = 1): Promise<void> =>
    new Promise((resolve) => {
      waiting.push({ kind, count, resolve });
      if (countOf(kind) >= count) resolve();
    });
  return { events, seen };
};

const untilAborted = (_change: StoredChange, signal: AbortSignal): Promise<Judged> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
  });

const stateOf = async (branch: string) => {
  const { changes } = await database.changes.list({ limit: 100 });
  return changes.filter((one) => one.branch === branch).map(({ state }) => state);
};

it('judges in the order of arrival as many at once as there are seats, and keeps what came out', async () => {
  const order: string[] = [];
  const together: number[] = [];
  let running = 0;
  const judge = async ({ branch }: StoredChange): Promise<Judged> => {
    running += 1;
    together.push(running);
    order.push(branch);
    if (branch === 'a') await expect.poll(() => order).toContain('conflict');
    running -= 1;
    if (branch === 'conflict') throw Object.assign(new Error('rebase it'), { code: 'MERGE_CONFLICT' });
    if (branch === 'bug') throw new TypeError('x is undefined');
    return judged;
  };
  const { seen } = start(judge, { seats: { changes: 2, baselines: 1 } });
  loop.pause();
  for (const branch of ['a', 'conflict', 'bug', 'z']) await push(branch);
  loop.resume();
  await seen('finished', 4);
  expect(Math.max(...together)).toBe(2);
  expect(order).toEqual(['a', 'conflict', 'bug', 'z']);
  const { changes } = await database.changes.list({ limit: 10, states: ['failed'] });
  expect(Object.fromEntries(changes.map(({ branch, fault }) => [branch, fault]))).toEqual({
    conflict: 'MERGE_CONFLICT: rebase it',
    bug: 'INTERNAL: this is a bug in EkaCI: x is undefined',
  });
  expect(await stateOf('z')).toEqual(['judged']);
});

it('ends the judgement of a head that was replaced, and judges the new one', async () => {
  const { seen, events } = start((change, signal) =>
    change.id === 'd0' ? untilAborted(change, signal) : Promise.resolve(judged),
  );
  await push('a');
  await seen('started');
  await push('a');
  await seen('finished');
  await seen('stopped');
  expect((await stateOf('a')).toSorted()).toEqual(['judged', 'superseded']);
  expect(events.find(({ kind }) => kind === 'stopped')).toMatchObject({ reason: 'not-wanted' });
});

it.each(['is ended', 'ends by itself'])(
  'judges anew what was cancelled and is wanted again before its judgement %s',
  async (how) => {
    const over = Promise.withResolvers<void>();
    const titles: string[] = [];
    const { seen } = start(async (_, signal) => {
      if (titles.push('') > 1) return { ...judged, title: 'the second' };
      await over.promise;
      if (how === 'is ended') signal.throwIfAborted();
      return { ...judged, title: 'the first' };
    });
    await push('a');
    await seen('started');
    await database.changes.cancel('d0', 2);
    loop.cancel(['d0']);
    await database.changes.requeue('d0', { atMs: 3 });
    loop.wake();
    await expect.poll(() => stateOf('a')).toEqual(['judging']);
    over.resolve();
    await seen('finished');
    expect((await database.changes.find('d0'))?.title).toBe('the second');
    expect(titles).toHaveLength(2);
  },
);

it('notices by its lease what nobody told it', async () => {
  const { seen, events } = start(
    (change, signal) => (change.id === 'd0' ? untilAborted(change, signal) : Promise.resolve(judged)),
    { leaseMs: 60 },
  );
  await push('a');
  await seen('started');
  loop.cancel = () => {};
  await push('a');
  await seen('finished');
  await seen('stopped');
  expect(events.find(({ kind }) => kind === 'stopped')).toMatchObject({ reason: 'lease-lost' });
});

it('queues again what it was at when it is stopped', async () => {
  const { seen } = start(untilAborted);
  await push('a');
  await push('b');
  await seen('started');
  await Promise.all([loop.stop(), loop.stop()]);
  expect([await stateOf('a'), await stateOf('b')]).toEqual([['queued'], ['queued']]);
  expect(loop.current()).toEqual([]);
});

it('keeps a change for later while the database does not answer', async () => {
  let broken = true;
  const changes: Database['changes'] = {
    ...database.changes,
    finish: (...args) =>
      broken
        ? Promise.reject(Object.assign(new Error('the disk is full'), { code: 'DATABASE_FULL' }))
        : database.changes.finish(...args),
  };
  // The lease is longer than anybody waits.
  const { seen } = start(async () => judged, { database: { changes }, leaseMs: 600_000 });
  await push('a');
  await seen('database-fault');
  expect(await stateOf('a')).toEqual(['judging']);
  broken = false;
  await seen('finished');
  expect(await stateOf('a')).toEqual(['judged']);
});

const timeout = Object.assign(new Error('the remote is slow'), { code: 'GIT_TIMEOUT' });

it('tries again what failed by a fault that may pass, also after a restart, and judges others meanwhile', async () => {
  let nowMs = 1_000_000;
  const clock = (): number => nowMs;
  const judge: JudgeLoopDeps['judge'] = ({ branch, faults }) =>
    branch === 'slow' && faults < 2 ? Promise.reject(timeout) : Promise.resolve(judged);
  const first = start(judge, { clock });
  await push('slow');
  await first.seen('retries');
  await push('quick');
  await first.seen('finished');
  expect([await stateOf('slow'), await stateOf('quick')]).toEqual([['queued'], ['judged']]);
  const row = async () => (await database.changes.list({ limit: 10 })).changes.find((one) => one.id === 'd0');
  expect(await row()).toMatchObject({
    fault: 'GIT_TIMEOUT: the remote is slow',
    faults: 1,
    retryAtMs: nowMs + 30_000,
  });
  await loop.stop();

  const second = start(judge, { clock });
  nowMs += 29_999;
  await push('another');
  await second.seen('finished');
  expect(await row()).toMatchObject({ faults: 1, state: 'queued' });
  nowMs += 1;
  await second.seen('retries');
  expect(await row()).toMatchObject({ faults: 2, retryAtMs: nowMs + 60_000 });
  nowMs += 60_000;
  await second.seen('finished', 2);
  expect(await row()).toMatchObject({ state: 'judged', fault: null, faults: 0, retryAtMs: null });
});

it('judges changes beside baselines, and no more baselines than there are seats for', async () => {
  const release = Promise.withResolvers<void>();
  const judging: string[] = [];
  const { seen } = start(
    async ({ branch, kind }) => {
      judging.push(branch);
      if (kind === 'baseline') await release.promise;
      return judged;
    },
    { seats: { changes: 1, baselines: 1 } },
  );
  for (const branch of ['main', 'staging']) {
    await database.deliveries.receive([{ key: branch, payload: '{}', receivedAtMs: 0 }]);
    const tip = { kind: 'base-moved', repository: 'r/r', branch, base: null, head: headBase } as const;
    const update = { ...tip, title: branch, newId: branch };
    await database.changes.apply([{ deliveryKey: branch, update }], 1);
  }
  loop.wake();
  await seen('started');
  await push('topic');
  await seen('finished');
  expect(judging).toEqual(['main', 'topic']);
  await expect.poll(() => loop.current().map(({ branch }) => branch)).toEqual(['main']);
  release.resolve();
  await seen('finished', 3);
  expect(judging).toEqual(['main', 'topic', 'staging']);
});

it('gives up in the end, with the fault', async () => {
  let nowMs = 1_000_000;
  const { seen, events } = start(
    ({ retryAtMs }) => {
      // It was not tried too early, and the next time comes at once.
      expect(nowMs).toBeGreaterThanOrEqual(retryAtMs ?? 0);
      nowMs += 15 * 60_000;
      return Promise.reject(timeout);
    },
    { clock: () => (nowMs += 60_000) },
  );
  await push('slow');
  await seen('finished');
  expect(events.filter(({ kind }) => kind === 'retries')).toHaveLength(8);
  expect(await stateOf('slow')).toEqual(['failed']);
});

it('lets others go first while what a change needs is on its way', async () => {
  let isFetched = false;
  const order: string[] = [];
  const { seen } = start(
    ({ branch }) => {
      order.push(branch);
      return Promise.resolve(judged);
    },
    {
      prepare: ({ repository }) => Promise.resolve(repository !== 'r/r' || isFetched),
      onHold: () => (isFetched ? [] : ['r/r']),
    },
  );
  await push('a');
  await database.changes.submit({
    id: 's',
    repository: 'other',
    branch: 'b',
    base: null,
    head: headBase,
    title: 'b',
    requestJson: '{}',
    atMs: 2,
  });
  loop.wake();
  await seen('finished');
  expect([order, await stateOf('a')]).toEqual([['b'], ['queued']]);
  isFetched = true;
  loop.wake();
  await seen('finished', 2);
  expect(order).toEqual(['b', 'a']);
});

it('has seats of their own for groups of merge queues, which take none of changes', async () => {
  const started = () => events.flatMap((event) => (event.kind === 'started' ? [event.change.branch] : []));
  const enqueue = async (branch: string): Promise<void> => {
    const key = `d${told++}`;
    await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: 0 }]);
    const shas = { base: headBase, head: String(told).padStart(40, '0') as CommitSha };
    const group = { kind: 'group-made', repository: 'r/r', branch, baseBranch: 'main', ...shas } as const;
    const row = { title: branch, requestJson: '{}', newId: key, awaitsApproval: false };
    await database.changes.apply([{ deliveryKey: key, update: { ...group, ...row } }], 1);
    loop.wake();
  };
  const { events, seen } = start(untilAborted, { seats: { changes: 1, baselines: 1, groups: 1 } });
  for (const branch of ['queue/first', 'queue/second']) await enqueue(branch);
  await seen('started');
  for (const branch of ['one', 'two']) await push(branch);
  await seen('started', 2);
  expect(started()).toEqual(['queue/first', 'one']);
  const [first] = (await database.changes.list({ kinds: ['group'], states: ['judging'], limit: 9 })).changes;
  await database.changes.cancel(first?.id ?? '', 2);
  loop.cancel([first?.id ?? '']);
  await seen('started', 3);
  expect(started()).toEqual(['queue/first', 'one', 'queue/second']);
});
