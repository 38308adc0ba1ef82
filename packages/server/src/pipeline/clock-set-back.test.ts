// The clock of the machine is set back by an hour while builds run, a change waits for its next try, and leases are held.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { CommitSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFakeBuilder } from '../builder/builder.fake.ts';
import type { Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { packageKeyOf } from '../database/package-key.ts';
import { judgedResult, newNode, newPath } from '../database/testing/samples.ts';
import { type JudgeEvent, startJudgeLoop } from './judge-loop.ts';
import { createTestScheduler } from './testing/schedule-alone.ts';

const judged = judgedResult({ base: '9'.repeat(40) as CommitSha, markdown: '' });

const hourMs = 3_600_000;
let nowMs = 10 * hourMs;
const clock = (): number => nowMs;

let folder: string;
let database: Database;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-clock-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const push = async (branch: string): Promise<void> => {
  await database.deliveries.receive([{ key: branch, payload: '{}', receivedAtMs: nowMs }]);
  const [base, head] = ['b'.repeat(40) as CommitSha, 'a'.repeat(40) as CommitSha];
  const update = { kind: 'head-moved', repository: 'r/r', branch, base, head, title: 't' } as const;
  await database.changes.apply([{ deliveryKey: branch, update: { ...update, newId: branch } }], nowMs);
};

it('is waited for by nobody: builds end, leases hold, and what was put off is tried', async () => {
  const nodes = Array.from({ length: 6 }, (_, index) => newNode([], { path: newPath(`node-${index}`) }));
  await database.derivations.save(nodes);
  await Promise.all(['builds', 'passing'].map(push));
  let renewals = 0;
  const changes: Database['changes'] = {
    ...database.changes,
    async renew(...args) {
      const held = await database.changes.renew(...args);
      if (held) renewals += 1;
      return held;
    },
  };
  const events: JudgeEvent[] = [];
  const ended = new Set<string>();
  // They run until the lease was renewed after the jump.
  let mayEnd = false;
  const fake = createFakeBuilder({
    behave: () => ({ turns: 1, result: { kind: 'built', durationMs: 5 } }),
  });
  const builder: typeof fake = {
    ...fake,
    async build(request, observer, signal) {
      await expect.poll(() => mayEnd, { timeout: 10_000 }).toBe(true);
      return fake.build(request, observer, signal);
    },
  };
  const scheduler = createTestScheduler({ database, builder, clock, logs: { folder, maxBytes: 10_000 } });
  const judge = async ({ branch, faults }: StoredChange, signal: AbortSignal) => {
    if (branch === 'passing') {
      if (faults === 0) throw Object.assign(new Error('slow'), { code: 'GIT_TIMEOUT' });
      return judged;
    }
    const graph = new DrvGraph();
    const wanted = new Set(nodes.map((node) => graph.add(node)));
    const asked = { class: 'open-change', arrivedAtMs: nowMs, change: null, onEvent: () => {} } as const;
    const { finished, expectedLeftS } = scheduler.demand({ ...asked, graph, wanted, signal });
    await expect.poll(() => scheduler.active().length).toBe(2);
    nowMs -= hourMs;
    const before = renewals;
    await expect.poll(() => renewals - before, { timeout: 10_000 }).toBeGreaterThan(1);
    expect(expectedLeftS()).toBeGreaterThan(0);
    mayEnd = true;
    for (const { drv, state } of (await finished).values()) if (state === 'succeeded') ended.add(drv);
    return judged;
  };
  const loop = startJudgeLoop({
    ...{ database: { changes }, judge, owner: 'server', clock, leaseMs: 300, idleMs: 20 },
    onEvent: (event) => events.push(event),
  });
  const finished = (): number => events.filter(({ kind }) => kind === 'finished').length;
  await expect.poll(finished, { timeout: 20_000 }).toBe(2);
  await loop.stop();
  await scheduler.stop();
  expect(ended.size).toBe(6);
  expect(events.filter(({ kind }) => kind === 'stopped' || kind === 'database-fault')).toEqual([]);
  const transitions = await database.builds.eventsSince(0, 1000);
  expect(transitions.filter(({ to }) => to === 'building')).toHaveLength(6);
  // What ran over the jump took no time that anybody knows.
  const keys = nodes.map((node) => packageKeyOf(node.path, { system: node.system, fixedOutput: false }));
  const learnt = (await database.packages.historiesOf(keys)).flatMap(({ recentMs }) => recentMs);
  expect(learnt.length).toBeGreaterThan(0);
  expect(learnt.filter((durationMs) => durationMs < 0)).toEqual([]);
});
