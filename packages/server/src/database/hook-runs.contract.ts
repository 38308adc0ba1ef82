// Contract of the port's hook runs: each is wanted once, begins once and ends once.
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { beforeEach, expect, it } from 'vitest';
import type { Database, NewHookRun } from './database.ts';
import { newNode, step } from './testing/samples.ts';

let database: Database;
let drv: DrvPath;

const wanted = (more: Partial<NewHookRun> = {}): NewHookRun => ({
  hook: 'notify',
  drv,
  attempt: 1,
  buildState: 'succeeded',
  repository: 'owner/set',
  branch: 'main',
  job: 'packages',
  commitSha: 'c'.repeat(40) as CommitSha,
  changeId: 'c1',
  ...more,
});

const wantingContract = (): void => {
  it('keeps what is wanted once for each hook and attempt, whoever wants it and however often', async () => {
    const { hookRuns } = database;
    expect(await hookRuns.want([], 1)).toBe(0);
    expect(await hookRuns.want([wanted(), wanted({ hook: 'sign' })], 1000)).toBe(2);
    expect(
      await hookRuns.want([wanted({ branch: 'pull/1', job: 'other' }), wanted({ attempt: 2 })], 2000),
    ).toBe(1);
    const [newest, ...others] = await hookRuns.of(drv);
    expect(newest).toEqual({
      ...wanted({ attempt: 2 }),
      id: newest?.id,
      state: 'waiting',
      tries: 0,
      nextAtMs: 0,
      wantedAtMs: 2000,
      startedAtMs: null,
      finishedAtMs: null,
      exitStatus: null,
      message: null,
      logFile: null,
    });
    expect(others).toMatchObject([
      { hook: 'sign', attempt: 1, wantedAtMs: 1000 },
      { hook: 'notify', attempt: 1, branch: 'main', job: 'packages' },
    ]);
    const many = Array.from({ length: 70 }, (_, index) => wanted({ hook: 'many', attempt: index + 1 }));
    expect(await hookRuns.want([...many, ...many], 3000)).toBe(70);
    expect(await hookRuns.of(newNode().path)).toEqual([]);
  });

  it('gives what is due in its order, and says when the next is', async () => {
    const { hookRuns } = database;
    await hookRuns.want([wanted(), wanted({ attempt: 2 }), wanted({ attempt: 3 })], 1000);
    expect((await hookRuns.due(0, 2)).map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(await hookRuns.nextDueMs()).toBe(0);
    for (const run of await hookRuns.due(0, 10)) {
      await hookRuns.putOff(run.id, { message: 'not yet', nextAtMs: 9000 - run.attempt });
    }
    expect(await hookRuns.due(8996, 10)).toEqual([]);
    expect(await hookRuns.nextDueMs()).toBe(8997);
    expect(await hookRuns.due(8998, 10)).toMatchObject([
      { attempt: 3, tries: 1, message: 'not yet', nextAtMs: 8997 },
      { attempt: 2, tries: 1 },
    ]);
  });
};

const runningContract = (): void => {
  it('begins once and ends once', async () => {
    const { hookRuns } = database;
    await hookRuns.want([wanted()], 1000);
    const id = (await hookRuns.due(0, 1))[0]?.id ?? 0;
    expect(await hookRuns.begin(id, { logFile: 'ab/x.log', atMs: 1100 })).toBe(true);
    expect(await hookRuns.begin(id, { logFile: 'other', atMs: 1200 })).toBe(false);
    await hookRuns.putOff(id, { message: 'late', nextAtMs: 5000 });
    expect(await hookRuns.counts()).toEqual({ waiting: 0, running: 1 });
    await hookRuns.end(id, { state: 'failed', exitStatus: 3, message: null, atMs: 1300 });
    await hookRuns.end(id, { state: 'succeeded', exitStatus: 0, message: null, atMs: 1400 });
    expect(await hookRuns.interruptRunning(1500)).toEqual([]);
    expect(await hookRuns.counts()).toEqual({ waiting: 0, running: 0 });
    expect(await hookRuns.of(drv)).toMatchObject([
      {
        state: 'failed',
        exitStatus: 3,
        startedAtMs: 1100,
        finishedAtMs: 1300,
        logFile: 'ab/x.log',
        tries: 0,
      },
    ]);
    await hookRuns.want([wanted()], 2000);
    expect(await hookRuns.due(9000, 10)).toEqual([]);
  });

  it('takes what a dead server was at for interrupted, and nothing else', async () => {
    const { hookRuns } = database;
    await hookRuns.want([wanted(), wanted({ attempt: 2 })], 1000);
    const id = (await hookRuns.due(0, 1))[0]?.id ?? 0;
    await hookRuns.begin(id, { logFile: 'l', atMs: 1100 });
    expect(await hookRuns.interruptRunning(1200)).toMatchObject([
      { id, state: 'interrupted', finishedAtMs: 1200 },
    ]);
    expect(await hookRuns.interruptRunning(1300)).toEqual([]);
    expect(await hookRuns.due(2000, 10)).toMatchObject([{ attempt: 2 }]);
  });

  it('forgets what has ended and is old', async () => {
    const { hookRuns } = database;
    await hookRuns.want([wanted(), wanted({ attempt: 2 }), wanted({ attempt: 3 })], 1000);
    const [first, second] = await hookRuns.due(0, 10);
    const ending = { state: 'not-started', exitStatus: null, message: 'gone' } as const;
    await hookRuns.end(first?.id ?? 0, { ...ending, atMs: 1100 });
    await hookRuns.end(second?.id ?? 0, { ...ending, atMs: 1200 });
    expect(await hookRuns.forget(1200)).toBe(1);
    expect((await hookRuns.of(drv)).map(({ attempt }) => attempt)).toEqual([3, 2]);
  });
};

const buildsContract = (): void => {
  it('finds what was built since, a page at a time', async () => {
    const nodes = [newNode(), newNode(), newNode(), newNode()];
    const { builds, derivations } = database;
    await derivations.save(nodes);
    for (const [index, { path }] of nodes.entries()) {
      const at = { atMs: 1_000_000 + Math.floor(index / 2) };
      await builds.recordTransitions([
        { ...step(path, null, 'queued'), ...at },
        { ...step(path, 'queued', 'buildable'), ...at },
        { ...step(path, 'buildable', 'building'), ...at },
        {
          ...step(path, 'building', index === 3 ? 'interrupted' : index === 2 ? 'failed' : 'succeeded'),
          ...at,
        },
      ]);
    }
    const paths = nodes.map(({ path }) => path);
    expect((await builds.endedSince(1_000_000, { after: null, limit: 9 })).map((one) => one.drv)).toEqual(
      paths.slice(0, 3),
    );
    expect((await builds.endedSince(1_000_001, { after: null, limit: 9 })).map((one) => one.drv)).toEqual([
      paths[2],
    ]);
    const first = await builds.endedSince(1_000_000, { after: null, limit: 1 });
    expect(first.map((one) => one.drv)).toEqual([paths[0]]);
    const rest = await builds.endedSince(1_000_000, { after: first[0] ?? null, limit: 9 });
    expect(rest.map((one) => one.drv)).toEqual(paths.slice(1, 3));
  });
};

/** @param open makes a database that nobody else uses */
export const hookRunContract = (open: () => Promise<Database>): void => {
  beforeEach(async () => {
    database = await open();
    drv = newNode().path;
    return () => database.close();
  });
  wantingContract();
  runningContract();
  buildsContract();
};
