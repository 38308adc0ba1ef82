// Failures on real git and real Nix: what another change need not find out again, what is tried again, what no builder
// has, and derivations that are lost.
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Builder } from '../builder/builder.ts';
import type { PooledBuilder } from '../builder/builder-pool.ts';
import { createNixStoreBuilder } from '../builder/nix-store/nix-store-builder.ts';
import type { Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import type { ForgeRepository } from '../forge/forge.ts';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import { initTestRepository, type TestRepository, useTestFolder } from '../git/testing/test-repository.ts';
import { findKnownFailures } from './builds/known-failures.ts';
import { createEvaluationBudget } from './evaluation-budget.ts';
import { createEvaluationLine } from './evaluation-line.ts';
import { createSharedGraph } from './graph/shared-graph.ts';
import { takeListing } from './intake.ts';
import { type JudgeChangeDeps, judgeStoredChange } from './judge-stored-change.ts';
import { createKeptJobsets } from './kept-jobsets.ts';
import { requeueSatisfiable } from './satisfiable.ts';
import { createTestScheduler } from './testing/schedule-alone.ts';
import { wirePipeline } from './wire-pipeline.ts';

const dayMs = 24 * 60 * 60_000;
const folder = useTestFolder();
const git = createGitCli({ env: process.env });
let store: PrivateStore;
let database: Database;
let repository: TestRepository;
let events: ReviewEvent[];
let now: number;
const clock = (): number => now++;

/** `lib` is what each branch makes of it; its builds are counted, and fail while there is no mark. */
const packageSet = () => `let
  shell = name: system: script: derivation {
    inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/usr/bin:/bin";
  };
  here = builtins.currentSystem;
  lib = shell "lib" here (builtins.readFile ./lib.sh);
in {
  inherit lib;
  user = shell "user" here "read l < \${lib}; echo user \${builtins.readFile ./user.txt} > $out";
  foreign = shell "foreign" "riscv64-linux" "echo \${builtins.readFile ./foreign.txt} > $out";
  onForeign = shell "on-foreign" here "echo \${shell "deep" "riscv64-linux" (builtins.readFile ./foreign.txt)} > $out";
}`;

const brokenLib = (): string =>
  `n=0; test -e ${store.folder}/tries && read n < ${store.folder}/tries
  n=$((n + 1)); echo $n > ${store.folder}/tries; echo "try $n of lib"
  test -e ${store.folder}/cause-is-gone || exit 1
  echo lib > $out`;

const triesOfLib = async (): Promise<number> =>
  Number(await readFile(join(store.folder, 'tries'), 'utf8').catch(() => '0'));

beforeEach(async () => {
  now = 1_700_000_000_000;
  events = [];
  store = await createPrivateStore();
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  repository = initTestRepository(join(folder(), 'set'));
  repository.commit('first', {
    'default.nix': packageSet(),
    'lib.sh': 'echo lib > $out',
    'user.txt': '1',
    'foreign.txt': '1',
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  });
});
afterEach(async () => {
  await database.close();
  await store.remove();
});

const push = (branch: string, files: Parameters<TestRepository['commit']>[1]): void => {
  repository.git('checkout', '--quiet', '-b', branch, 'main');
  repository.commit(`on ${branch}`, files);
  repository.git('checkout', '--quiet', 'main');
};

const serve = async (
  more: { readonly builder?: Builder; readonly onEvent?: (event: ReviewEvent) => void } = {},
) => {
  const served: ForgeRepository = {
    name: 'owner/set',
    url: repository.path,
    baseBranch: 'main',
    baselines: [],
    pollIntervalMs: 1,
  };
  const builder = more.builder ?? (await createNixStoreBuilder(store.nix));
  const logs = { folder: join(store.folder, 'logs'), maxBytes: 100_000 };
  const scheduler = createTestScheduler({
    builder,
    database,
    logs,
    clock,
    findKnownFailures: (graph, wanted) =>
      findKnownFailures(
        { builds: database.builds, clock, failureDays: 14, logsDir: logs.folder },
        graph,
        wanted,
      ),
  });
  const kept = createKeptJobsets({ database, nix: store.nix, rootsDir: join(store.folder, 'roots'), clock });
  const graph = createSharedGraph({
    files: { storeDir: store.nix.storeDir },
    database,
    capacity: 1000,
    clock,
    onEvent: () => {},
  });
  const deps: JudgeChangeDeps = {
    repositories: [served],
    mirrorsDir: join(store.folder, 'mirrors'),
    limits: { workers: 1, maxMemoryMib: 1024, timeoutMs: 60_000 },
    rebuild: { maxBuilds: 1000, maxSubmittedBuilds: null, skipPaths: [] },
    pipelineFor: (signal, onEvent) =>
      wirePipeline({
        nix: store.nix,
        git,
        database,
        kept: kept.beginUse(),
        scheduler,
        graph,
        evaluator: chooseEvaluator(store.nix),
        evaluations: createEvaluationLine(),
        budget: createEvaluationBudget(),
        system: 'x86_64-linux',
        purpose: { class: 'open-change', arrivedAtMs: 0, change: null },
        onEvent,
        signal,
      }),
    onEvent: (_, event) => {
      events.push(event);
      more.onEvent?.(event);
    },
  };
  const look = async () => {
    const tips = await git.listBranches({ kind: 'local', path: repository.path });
    const baseTip = tips.find(({ name }) => name === 'main')?.sha ?? expect.fail('no main');
    const branches = tips.filter(({ name }) => name !== 'main');
    await takeListing({ database, clock }, { repository: served, baseTip, baselines: [], branches });
  };
  const judgeNext = async (): Promise<StoredChange | null> => {
    const claimed = await database.changes.claimNext({ owner: 'server', nowMs: now, untilMs: now + 1e6 });
    if (claimed === null) return null;
    const result = await judgeStoredChange(deps, claimed, new AbortController().signal);
    await database.changes.finish({ id: claimed.id, owner: 'server' }, result, clock());
    return database.changes.find(claimed.id);
  };
  /** Looks, and judges all that is queued. */
  const settle = async (): Promise<StoredChange[]> => {
    await look();
    const judged: StoredChange[] = [];
    for (let next = await judgeNext(); next !== null; next = await judgeNext()) judged.push(next);
    return judged;
  };
  return { settle, deps, builder };
};

const rowsOf = ({ summaryJson }: StoredChange) => {
  const summary = ChangeSummary.parse(JSON.parse(summaryJson ?? 'null'));
  const outcomes = summary.jobs.flatMap((job) => job.outcomes);
  return Object.fromEntries(outcomes.map((row) => [row.attr, row]));
};

const libOf = async (change: StoredChange) => {
  const path = rowsOf(change)['lib']?.drvPath ?? expect.fail('there is no lib');
  return { drv: path as never, attempts: await database.builds.attemptsOf(path as never) };
};

it('does not try for one change what failed for another, shows its log, and tries again what was cleared', {
  timeout: 120_000,
}, async () => {
  const { settle } = await serve();
  push('one', { 'lib.sh': brokenLib() });
  const [one = expect.fail('nothing was judged')] = await settle();
  expect(one).toMatchObject({ state: 'judged', conclusion: 'failure' });
  // Once, and once more, for it would newly fail.
  expect(await triesOfLib()).toBe(2);
  const { drv } = await libOf(one);

  push('two', { 'lib.sh': brokenLib(), 'user.txt': '2' });
  const [two = expect.fail('nothing was judged')] = await settle();
  expect(await triesOfLib()).toBe(2);
  const { lib, user } = rowsOf(two);
  expect(lib).toMatchObject({
    kind: 'newly-failing',
    cause: 'builder-exit',
    reason: expect.stringMatching(/^failed before, on 2023-11-\d\d \d\d:\d\d UTC: ./) as string,
    logTail: ['try 2 of lib', expect.stringMatching(/failed with exit code 1/)],
    note: expect.stringMatching(/failed twice; the original log is that of attempt 1/) as string,
  });
  expect(user).toMatchObject({ kind: 'newly-failing', culprit: { drvPath: drv, name: 'lib' } });
  expect((await libOf(two)).attempts.map(({ attempt, logFile }) => [attempt, logFile !== null])).toEqual([
    [1, true],
    [2, true],
  ]);
  expect(await settle()).toEqual([]);

  await writeFile(join(store.folder, 'cause-is-gone'), '');
  const cleared = await database.changes.clearFailures({ drvs: [drv], atMs: clock() });
  // With both changes' users of it.
  expect(cleared.cleared).toBe(3);
  expect(cleared.changes.map(({ branch }) => branch)).toEqual(['one', 'two']);
  const again = await settle();
  expect(again.map(({ branch, conclusion }) => [branch, conclusion])).toEqual([
    ['one', 'success'],
    ['two', 'success'],
  ]);
  expect(await triesOfLib()).toBe(3);
  // Whoever says that the cause is gone does not call the package flaky.
  expect(rowsOf(again[0] ?? two)['lib']).toMatchObject({ kind: 'still-succeeding' });
});

it('tries again after the days that a failure is believed', { timeout: 120_000 }, async () => {
  const { settle } = await serve();
  push('one', { 'lib.sh': brokenLib() });
  await settle();
  now += 15 * dayMs;
  push('two', { 'lib.sh': brokenLib(), 'user.txt': '2' });
  const [two = expect.fail('nothing was judged')] = await settle();
  expect(await triesOfLib()).toBe(3);
  expect(rowsOf(two)['lib']?.reason).not.toMatch(/failed before/);
});

it('gives one that failed once elsewhere its second try, where it would newly fail', {
  timeout: 120_000,
}, async () => {
  const { settle } = await serve();
  const { drv } = await (async () => {
    push('one', { 'lib.sh': brokenLib() });
    const [one = expect.fail('nothing was judged')] = await settle();
    return libOf(one);
  })();
  // As if it had been tried once only: the first of both answers is forgotten.
  await database.changes.clearFailures({ drvs: [drv], atMs: clock() });
  const once = { drv, attempt: 3, culprit: null, message: 'no', logFile: null } as const;
  await database.builds.recordTransitions([
    { ...once, from: 'failed', to: 'building', cause: null, atMs: now },
    { ...once, from: 'building', to: 'failed', cause: 'builder-exit', atMs: now },
  ]);
  const again = await settle();
  expect(again.map(({ branch }) => branch)).toEqual(['one']);
  expect(await triesOfLib()).toBe(3);
  const { attempts } = await libOf(again[0] ?? expect.fail('nothing was judged'));
  expect(attempts).toHaveLength(4);
});

it('is neutral where no builder has the system, says so, and judges again when one comes', {
  timeout: 120_000,
}, async () => {
  const { settle, builder } = await serve();
  push('one', { 'foreign.txt': '2' });
  const [one = expect.fail('nothing was judged')] = await settle();
  expect(one).toMatchObject({ state: 'judged', conclusion: 'neutral' });
  const rows = rowsOf(one);
  const missing = /no builder for the system riscv64-linux/;
  expect(rows['foreign']).toMatchObject({ kind: 'not-built', system: 'riscv64-linux' });
  for (const attr of ['foreign', 'onForeign']) expect(rows[attr]?.reason).toMatch(missing);
  const offer = (systems: readonly string[]): PooledBuilder => ({
    ...builder,
    systems,
    slots: { build: 1, fixedOutput: 1 },
    speed: 1,
    mandatoryFeatures: [],
    isLocal: true,
  });
  const requeue = (offers: readonly PooledBuilder[]) => requeueSatisfiable({ database, offers, clock });
  expect(await requeue([offer(['x86_64-linux'])])).toEqual([]);
  const picky = { ...offer(['riscv64-linux']), mandatoryFeatures: ['kvm'] };
  const fullOfDownloads = { ...offer(['riscv64-linux']), slots: { build: 0, fixedOutput: 1 } };
  expect(await requeue([picky, fullOfDownloads])).toEqual([]);
  expect(await requeue([offer(['x86_64-linux']), offer(['riscv64-linux'])])).toMatchObject([{ id: one.id }]);
  expect(await requeue([offer(['riscv64-linux'])])).toEqual([]);
  const [again = expect.fail('nothing was judged')] = await settle();
  expect(again).toMatchObject({ id: one.id, conclusion: 'neutral' });
});

/** Takes derivations with that name out of the store, whatever keeps them. */
const lose = (name: string): void => {
  const { programs, env, storeDir } = store.nix;
  const found = execFileSync('/bin/sh', ['-c', `ls -d ${storeDir}/*-${name}.drv`], { encoding: 'utf8' });
  for (const path of found.trim().split('\n')) {
    const referrers = execFileSync(programs.store, ['--query', '--referrers-closure', path], {
      env,
      encoding: 'utf8',
    });
    const paths = referrers.trim().split('\n');
    execFileSync(programs.store, ['--delete', '--ignore-liveness', ...paths], { env, stdio: 'ignore' });
  }
};

it.each(['planned', 'building'] as const)(
  'evaluates anew, once, where a derivation is lost when it was %s',
  { timeout: 120_000 },
  async (moment) => {
    let losses = 1;
    const onEvent = (event: ReviewEvent): void => {
      const isMoment = event.type === moment && (event.type !== 'building' || event.side === 'judged');
      if (!isMoment || losses === 0) return;
      losses -= 1;
      lose('user');
    };
    const { settle } = await serve({ onEvent });
    push('one', { 'user.txt': '2' });
    const [one = expect.fail('nothing was judged')] = await settle();
    expect(one).toMatchObject({ state: 'judged', conclusion: 'success' });
    const notices = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
    expect(notices.filter((message) => message.includes('evaluated anew'))).toHaveLength(1);
    expect(events.filter((event) => event.type === 'planned')).toHaveLength(2);
    expect(losses).toBe(0);
  },
);

it('says so plainly where a derivation is lost a second time', { timeout: 120_000 }, async () => {
  const onEvent = (event: ReviewEvent): void => {
    if (event.type === 'planned') lose('user');
  };
  const { settle } = await serve({ onEvent });
  push('one', { 'user.txt': '2' });
  await expect(settle()).rejects.toMatchObject({
    code: 'DRV_LOST',
    message: expect.stringMatching(/user\.drv is no longer in the store/) as string,
  });
  expect(events.filter((event) => event.type === 'planned')).toHaveLength(2);
});
