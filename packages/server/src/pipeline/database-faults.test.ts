// The server's own database fails while builds run: what was judged fails with it, nothing is left running, and once it
// answers again the same change comes to its end.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import { createFakeBuilder } from '../builder/builder.fake.ts';
import type { StoredChange } from '../database/database.ts';
import { openSqliteDatabase } from '../database/kysely/sqlite/sqlite-database.ts';
import { judgedResult, newNode, newPath } from '../database/testing/samples.ts';
import { mountSmallDisk } from '../database/testing/small-disk.ts';
import { type JudgeEvent, startJudgeLoop } from './judge-loop.ts';
import { createTestScheduler } from './testing/schedule-alone.ts';

const judged = judgedResult({ base: '9'.repeat(40) as CommitSha, markdown: '' });

interface Trouble {
  /** Of the database, on a disk of its own. */
  readonly folder: string;
  begin(): void;
  end(): void;
}

/** Null where this user may not mount. */
const prepareFullDisk = (): Trouble | null => {
  const disk = mountSmallDisk('8m');
  if (disk === null) return null;
  onTestFinished(() => disk.remove());
  return { folder: disk.folder, begin: () => disk.fill(), end: () => disk.empty() };
};

const prepareLock = async (): Promise<Trouble> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-database-faults-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  let holder: DatabaseSync | null = null;
  return {
    folder,
    begin() {
      // The server may be in the middle of a transaction.
      holder = new DatabaseSync(join(folder, 'sqlite.db'), { timeout: 10_000 });
      holder.exec('begin immediate');
    },
    end: () => holder?.close(),
  };
};

const plantChange = async (database: Awaited<ReturnType<typeof openSqliteDatabase>>): Promise<void> => {
  await database.deliveries.receive([{ key: 'd', payload: '{}', receivedAtMs: 0 }]);
  const [base, head] = ['b'.repeat(40) as CommitSha, 'a'.repeat(40) as CommitSha];
  const update = { kind: 'head-moved', repository: 'r/r', branch: 'topic', base, head, title: 't' } as const;
  await database.changes.apply([{ deliveryKey: 'd', update: { ...update, newId: 'd' } }], 1);
};

const run = async (trouble: Trouble, code: string) => {
  const database = await openSqliteDatabase({
    path: join(trouble.folder, 'sqlite.db'),
    durability: 'power-loss',
  });
  const nodes = Array.from({ length: 30 }, (_, index) => newNode([], { path: newPath(`node-${index}`) }));
  await database.derivations.save(nodes);
  await plantChange(database);
  let isInTrouble = false;
  const builder = createFakeBuilder({
    behave: () => ({ turns: 5, result: { kind: 'built', durationMs: 1 } }),
    onChange: (running) => {
      // In the middle of its builds, once.
      if (isInTrouble || running.size === 0 || builder.calls.length < 10) return;
      isInTrouble = true;
      trouble.begin();
    },
  });
  const logs = { folder: await mkdtemp(join(tmpdir(), 'eka-ci-database-faults-')), maxBytes: 10_000 };
  const scheduler = createTestScheduler({ database, logs, builder });
  const events: JudgeEvent[] = [];
  const judge = async (_change: StoredChange, signal: AbortSignal) => {
    const graph = new DrvGraph();
    const wanted = new Set(nodes.map((node) => graph.add(node)));
    const base = { class: 'open-change', arrivedAtMs: 0, change: null, onEvent: () => {} } as const;
    await scheduler.demand({ ...base, graph, wanted, signal }).finished;
    return judged;
  };
  const onEvent = (event: JudgeEvent): void => void events.push(event);
  const timing = { leaseMs: 500, idleMs: 20, clock: Date.now };
  const loop = startJudgeLoop({ database, judge, owner: 'server', onEvent, ...timing });
  const kinds = (): string[] => events.map(({ kind }) => kind);
  await expect.poll(kinds, { timeout: 30_000 }).toContain('database-fault');
  expect(events.find(({ kind }) => kind === 'database-fault')).toMatchObject({ error: { code } });
  await expect.poll(() => builder.running.size).toBe(0);
  expect(kinds()).not.toContain('finished');
  trouble.end();
  await expect.poll(kinds, { timeout: 30_000 }).toContain('finished');
  const builds = await database.builds.statesOf(nodes.map(({ path }) => path));
  const transitions = await database.builds.eventsSince(0, 10_000);
  expect([...builds.values()].map(({ state }) => state)).toEqual(Array(30).fill('succeeded'));
  const done = transitions.filter(({ to }) => to === 'succeeded').map(({ drv }) => drv);
  expect(new Set(done).size).toBe(30);
  await loop.stop();
  await scheduler.stop();
  await database.close();
  await rm(logs.folder, { recursive: true });
};

it('goes on after the disk of its database was full', { timeout: 60_000 }, async (test: TestContext) => {
  const trouble = prepareFullDisk();
  if (trouble === null) return test.skip('mounting needs more rights than this test has');
  await run(trouble, 'DATABASE_FULL');
});

it('goes on after somebody else locked its database', { timeout: 60_000 }, async () => {
  await run(await prepareLock(), 'DATABASE_LOCKED');
});
