// A change that brings an input, on real git and real Nix: locked it evaluates without network, unlocked only where the
// operator gave its repository the network.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { createInputStore } from '@eka-ci/nix/locked-inputs/input-store';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createNixStoreBuilder } from '../../builder/nix-store/nix-store-builder.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createGitCli } from '../../git/git-cli/git-cli.ts';
import { initTestRepository, type TestRepository, useTestFolder } from '../../git/testing/test-repository.ts';
import { createEvaluationBudget } from '../evaluation-budget.ts';
import { createEvaluationLine } from '../evaluation-line.ts';
import { createSharedGraph } from '../graph/shared-graph.ts';
import { takeListing } from '../intake.ts';
import { type JudgeChangeDeps, judgeStoredChange } from '../judge-stored-change.ts';
import { createTestScheduler } from '../testing/schedule-alone.ts';
import { wirePipeline } from '../wire-pipeline.ts';
import { createPrefetch } from './prefetch.ts';
import { type LoopbackFiles, serveFiles } from './testing/loopback-files.ts';

const folder = useTestFolder();
const git = createGitCli({ env: process.env });
let store: PrivateStore;
let database: Database;
let repository: TestRepository;
let files: LoopbackFiles;
let pin: { url: string; hash: string };
let events: ReviewEvent[];

/** As npins' own default.nix fetches a pin. */
const withPin = `let
  pin = (builtins.fromJSON (builtins.readFile ./npins/sources.json)).pins.dep;
  fetched = builtins.fetchTarball { inherit (pin) url; sha256 = pin.hash; };
in { a = derivation { name = import fetched; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }; }`;
const unlocked = (): string =>
  withPin.replace(
    'fetchTarball { inherit (pin) url; sha256 = pin.hash; }',
    `fetchTarball "${files.origin}/unlocked.tgz"`,
  );

beforeEach(async () => {
  events = [];
  store = await createPrivateStore();
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  files = await serveFiles((_, response) => void response.end(readFileSync(join(folder(), 'dep.tgz'))));
  const tree = join(folder(), 'dep', 'source');
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'default.nix'), '"from-the-pin"');
  execFileSync('tar', ['-czf', join(folder(), 'dep.tgz'), '-C', join(tree, '..'), 'source']);
  const ask = (...args: string[]): string =>
    execFileSync(store.nix.programs.store, args, {
      env: store.nix.env,
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  const added = ask('--add-fixed', '--recursive', 'sha256', tree);
  pin = { url: `${files.origin}/dep.tgz`, hash: ask('--query', '--hash', added) };
  ask('--delete', '--ignore-liveness', added);
  repository = initTestRepository(join(folder(), 'set'));
  repository.commit('first', {
    'default.nix': '{ }',
    '.eka-ci/config.json': JSON.stringify({
      jobs: { packages: { file: 'default.nix', allow_eval_failures: true } },
    }),
  });
});
afterEach(async () => {
  await files.close();
  await database.close();
  await store.remove();
});

/** The attributes of a change that makes `default.nix` this. */
const judge = async (defaultNix: string, allowNetwork: readonly string[] = []) => {
  repository.git('checkout', '--quiet', '-b', 'topic', 'main');
  repository.commit('topic', {
    'default.nix': defaultNix,
    'npins/sources.json': JSON.stringify({ version: 5, pins: { dep: { type: 'Tarball', ...pin } } }),
  });
  repository.git('checkout', '--quiet', 'main');
  const served = {
    name: 'owner/set',
    url: repository.path,
    baseBranch: 'main',
    baselines: [],
    pollIntervalMs: 1,
  };
  const builder = await createNixStoreBuilder(store.nix);
  const scheduler = createTestScheduler({
    builder,
    database,
    logs: { folder: join(store.folder, 'logs'), maxBytes: 100_000 },
  });
  const clock = Date.now;
  const prefetch = createPrefetch({
    guard: files.guard,
    ...{ storeDir: store.nix.storeDir, git },
    inputs: createInputStore(store.nix),
    queries: (asking) => createStoreQueries(store.nix, asking),
  });
  const deps: JudgeChangeDeps = {
    repositories: [served],
    mirrorsDir: join(store.folder, 'mirrors'),
    limits: { workers: 1, maxMemoryMib: 1024, timeoutMs: 60_000 },
    rebuild: { maxBuilds: 1000, maxSubmittedBuilds: null, skipPaths: [] },
    allowNetwork,
    pipelineFor: (signal, onEvent) =>
      wirePipeline({
        ...{ nix: store.nix, git, database, kept: null, scheduler, prefetch, onEvent, signal },
        evaluator: chooseEvaluator(store.nix),
        evaluations: createEvaluationLine(),
        budget: createEvaluationBudget(),
        graph: createSharedGraph({ files: store.nix, database, capacity: 1000, clock }),
        system: 'x86_64-linux',
        purpose: { class: 'open-change', arrivedAtMs: 0, change: null },
      }),
    onEvent: (_, event) => events.push(event),
  };
  const branches = await git.listBranches({ kind: 'local', path: repository.path });
  const baseTip = branches.find(({ name }) => name === 'main')?.sha ?? expect.fail('no main');
  const topics = branches.filter(({ name }) => name === 'topic');
  await takeListing({ database, clock }, { repository: served, baseTip, baselines: [], branches: topics });
  const claimed = await database.changes.claimNext({
    owner: 'server',
    nowMs: Date.now() + 1000,
    untilMs: Date.now() + 1e6,
  });
  const result = await judgeStoredChange(
    deps,
    claimed ?? expect.fail('nothing waits'),
    new AbortController().signal,
  );
  await scheduler.stop();
  return ChangeSummary.parse(JSON.parse(result.summaryJson ?? 'null'));
};

const timeout = 60_000;

it('a locked input is fetched before, and the evaluation has no network', { timeout }, async () => {
  const summary = await judge(withPin);
  expect(summary.conclusion).toBe('success');
  expect(JSON.stringify(summary.jobs)).toContain('from-the-pin');
  expect(files.seen.map(({ path }) => path)).toEqual(['/dep.tgz']);
  expect(events).toContainEqual({
    type: 'notice',
    level: 'info',
    message: 'fetching what is locked before the evaluation: 1 input',
  });
});

it('an unlocked one names the setting that allows it, and is never fetched', { timeout }, async () => {
  const told = JSON.stringify(await judge(unlocked()));
  expect(told).toContain('evaluation.allow_network');
  expect(files.seen.map(({ path }) => path)).toEqual(['/dep.tgz']);
});

it('what could not be fetched is said where the evaluation needs it', { timeout }, async () => {
  pin = { ...pin, url: pin.url.replace('127.0.0.1', 'localhost') };
  const told = JSON.stringify(await judge(withPin));
  expect(told).toContain(
    'was not fetched before the evaluation: its URL leads to no public http or https server',
  );
  expect(told).toContain('evaluation.allow_network');
  expect(files.seen).toEqual([]);
});

it('a repository that is listed has the network, another has not', { timeout }, async () => {
  const summary = await judge(unlocked(), ['other/*', 'owner/*']);
  expect(summary.conclusion).toBe('success');
  expect(files.seen.map(({ path }) => path)).toEqual(['/unlocked.tgz']);
});
