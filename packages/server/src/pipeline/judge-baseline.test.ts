// Baselines on real git and real Nix: what a base branch's moves evaluate and build, and which changes they concern.
import { join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createNixStoreBuilder } from '../builder/nix-store/nix-store-builder.ts';
import type { Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { type BaselineBuild, baselineBuildOf, type ForgeRepository } from '../forge/forge.ts';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import { initTestRepository, type TestRepository, useTestFolder } from '../git/testing/test-repository.ts';
import { createEvaluationLine } from './evaluation-line.ts';
import { createSharedGraph } from './graph/shared-graph.ts';
import { takeListing } from './intake.ts';
import { type JudgeChangeDeps, judgeStoredChange } from './judge-stored-change.ts';
import { createKeptJobsets } from './kept-jobsets.ts';
import { judgeAgain } from './moved-base.ts';
import { createTestScheduler } from './testing/schedule-alone.ts';
import { createSpiedBudget } from './testing/spied-budget.ts';
import { wirePipeline } from './wire-pipeline.ts';

const folder = useTestFolder();
let store: PrivateStore;
let database: Database;
let repository: TestRepository;
let now: number;

const git = createGitCli({ env: process.env });
const clock = (): number => now++;

/** Two packages that have nothing to do with each other, and one that needs a library. */
const packageSet = `let
  shell = name: script: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  };
  lib = shell "lib" (builtins.readFile ./lib.sh);
in {
  alpha = shell "alpha" (builtins.readFile ./alpha.sh);
  beta = shell "beta" ". \${lib}; \${builtins.readFile ./beta.sh}";
}`;

const config = (more: object = {}): string =>
  JSON.stringify({ jobs: { packages: { file: 'default.nix' } }, ...more });

beforeEach(async () => {
  now = 1000;
  store = await createPrivateStore();
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  repository = initTestRepository(join(folder(), 'set'));
  repository.commit('first', {
    'default.nix': packageSet,
    'alpha.sh': 'echo alpha > $out',
    'beta.sh': 'echo beta > $out',
    'lib.sh': 'echo "true" > $out',
    '.eka-ci/config.json': config({ change_sets: [{ paths: ['*.md'], kind: 'docs-only' }] }),
  });
});
afterEach(async () => {
  await database.close();
  await store.remove();
});

const serve = async (build: BaselineBuild = 'changed') => {
  const served: ForgeRepository = {
    name: 'owner/set',
    url: repository.path,
    baseBranch: 'main',
    baselines: [{ matches: (branch) => branch === 'main', build }],
    pollIntervalMs: 1,
  };
  const builder = await createNixStoreBuilder(store.nix);
  const logs = { folder: join(store.folder, 'logs'), maxBytes: 100_000 };
  const scheduler = createTestScheduler({ builder, database, logs });
  const graph = createSharedGraph({ files: store.nix, database, capacity: 1000, clock });
  const rootsDir = join(store.folder, 'roots');
  const kept = createKeptJobsets({ database, nix: store.nix, rootsDir, clock });
  /** Trees that were evaluated, and derivations that were built, since the last look. */
  const done: string[] = [];
  const budget = createSpiedBudget();
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
        evaluator: chooseEvaluator(store.nix),
        evaluations: createEvaluationLine(),
        budget,
        graph,
        system: 'x86_64-linux',
        purpose: { class: 'base-branch', arrivedAtMs: 0, change: null },
        onEvent,
        signal,
      }),
    onEvent: (_, event) => {
      if (event.type === 'evaluating' && event.done) done.push(`evaluated ${event.side}`);
      if (event.type === 'build-finished') done.push(`built ${event.name}`);
    },
  };
  const look = async () => {
    const tips = await git.listBranches({ kind: 'local', path: repository.path });
    const isBaseline = ({ name }: { name: string }) => baselineBuildOf(served, name) !== null;
    const baseTip = tips.find(({ name }) => name === 'main')?.sha;
    if (baseTip === undefined) throw new Error('no main');
    const [baselines, branches] = [tips.filter(isBaseline), tips.filter((tip) => !isBaseline(tip))];
    await takeListing({ database, clock }, { repository: served, baseTip, baselines, branches });
  };
  /** Judges the next in the queue, as the loop does. */
  const judgeNext = async () => {
    const claimed = await database.changes.claimNext({ owner: 'server', nowMs: now, untilMs: now + 1e6 });
    if (claimed === null) return null;
    done.length = 0;
    const result = await judgeStoredChange(deps, claimed, new AbortController().signal);
    await database.changes.finish({ id: claimed.id, owner: 'server' }, result, clock());
    const row = await database.changes.find(claimed.id);
    if (row === null) throw new Error('it is gone');
    return { row, done: done.toSorted() };
  };
  /** Looks, and judges all that is queued. */
  const settle = async () => {
    await look();
    const judged: { row: StoredChange; done: string[] }[] = [];
    for (let next = await judgeNext(); next !== null; next = await judgeNext()) judged.push(next);
    return judged;
  };
  const again = (id: string) =>
    judgeAgain({ database, repositories: [served], clock, onRequeued: () => {}, onFault: () => {} }, id);
  return { settle, again, look, judgeNext, budget };
};

const attributesOf = ({ summaryJson }: StoredChange) => {
  const summary = ChangeSummary.parse(JSON.parse(summaryJson ?? 'null'));
  return Object.fromEntries(summary.jobs.map(({ job, attributes }) => [job, attributes]));
};

const push = (branch: string, files: Parameters<TestRepository['commit']>[1], from = branch): string => {
  if (from !== branch) repository.git('branch', '--quiet', branch, from);
  repository.git('checkout', '--quiet', branch);
  const sha = repository.commit(`on ${branch}`, files);
  repository.git('checkout', '--quiet', 'main');
  return sha;
};

it('makes the base warm: a change on a judged base evaluates its own side alone', {
  timeout: 120_000,
}, async () => {
  const { settle, budget } = await serve();
  const [first] = await settle();
  // Never seen before: evaluated, and nothing built.
  expect(first).toMatchObject({
    row: { kind: 'baseline', number: 0, base: null, state: 'judged' },
    done: ['evaluated judged'],
  });
  push('topic', { 'alpha.sh': 'echo new > $out' }, 'main');
  const [topic] = await settle();
  expect(topic?.row).toMatchObject({ kind: 'branch', conclusion: 'success', base: first?.row.head });
  expect(topic?.done).toEqual(['built alpha', 'evaluated judged']);
  // How much there is to say a baseline knows by itself, and of a change its base.
  expect(budget.settled).toEqual(['judged', 'base']);

  // Merged: the tree is the one that was judged, and all of it is there.
  repository.git('merge', '--quiet', '--no-ff', '-m', 'merge', 'topic');
  const merged = (await settle()).find(({ row }) => row.kind === 'baseline');
  expect(merged).toMatchObject({ row: { base: first?.row.head, conclusion: 'success' }, done: [] });
  expect(attributesOf(merged!.row)).toMatchObject({ packages: { changed: 1, unchanged: 1 } });

  // A push that its paths prove to rebuild nothing makes a new tree, which is the next changes' base.
  push('main', { 'notes.md': 'words' });
  const [documented] = await settle();
  expect(documented?.done).toEqual(['evaluated judged']);
  push('next', { 'beta.sh': 'echo next > $out' }, 'main');
  const next = (await settle()).find(({ row }) => row.branch === 'next');
  expect(next?.done).toEqual(['built beta', 'built lib', 'evaluated judged']);
});

it('judges a change again when its base has moved in the same package, once, and leaves the others', {
  timeout: 120_000,
}, async () => {
  const { settle, again } = await serve();
  push('alpha', { 'alpha.sh': 'echo new > $out' }, 'main');
  push('beta', { 'beta.sh': 'echo new > $out' }, 'main');
  push('conflict', { 'lib.sh': 'echo "exit 1" > $out' }, 'main');
  await settle();
  const lib = push('main', { 'lib.sh': 'echo ": moved" > $out' });
  const moved = (await settle()).find(({ row }) => row.kind === 'baseline');
  expect(moved?.row.head).toBe(lib);
  const requeued = await again(moved!.row.id);
  // beta needs the library, and so does what is about to conflict; alpha has nothing to do with it.
  expect(requeued.map(({ branch }) => branch).toSorted()).toEqual(['beta', 'conflict']);
  expect(await again(moved!.row.id)).toEqual([]);
});

it('builds every root where the server says so, and less where the repository asks for less', {
  timeout: 120_000,
}, async () => {
  const { settle } = await serve('all');
  const [first] = await settle();
  expect(first?.done).toEqual(['built alpha', 'built beta', 'built lib', 'evaluated judged']);
  push('main', { 'alpha.sh': 'echo new > $out' });
  const [second] = await settle();
  // What the push changed is what is told of it.
  expect(second?.done).toEqual(['built alpha', 'evaluated judged']);
  expect(attributesOf(second!.row)).toMatchObject({ packages: { added: 0, changed: 1, unchanged: 1 } });
  push('main', {
    'alpha.sh': 'echo newer > $out',
    '.eka-ci/config.json': config({ branches: [{ pattern: 'm*', build: 'evaluate' }] }),
  });
  const [third] = await settle();
  expect(third?.done).toEqual(['evaluated judged']);
});

it('tells of a base branch that is gone for now, and of a head that is gone for ever', {
  timeout: 120_000,
}, async () => {
  const { settle } = await serve();
  push('topic', { 'alpha.sh': 'echo new > $out' }, 'main');
  await settle();
  const second = push('topic', { 'alpha.sh': 'echo newer > $out' });
  const { look, judgeNext } = await serve();
  await look();
  repository.git('checkout', '--quiet', '--detach');
  repository.git('branch', '--quiet', '-m', 'main', 'renamed');
  await expect(judgeNext()).rejects.toMatchObject({ code: 'FORGE_BASE_MISSING' });
  repository.git('branch', '--quiet', '-m', 'renamed', 'main');
  repository.git('branch', '--quiet', '-D', 'topic');
  repository.git('reflog', 'expire', '--expire=now', '--all');
  repository.git('gc', '--quiet', '--prune=now');
  await database.changes.releaseAll('server', clock());
  const lost = { code: 'GIT_REVISION_NOT_FOUND', message: expect.stringContaining(second) as string };
  await expect(judgeNext()).rejects.toMatchObject(lost);
});

it('starts anew where a branch was moved by force and its old commits are gone', {
  timeout: 120_000,
}, async () => {
  const { settle, again } = await serve();
  await settle();
  push('main', { 'alpha.sh': 'echo old > $out' });
  const [second] = await settle();
  repository.git('reset', '--quiet', '--hard', 'HEAD~1');
  const forced = push('main', { 'alpha.sh': 'echo forced > $out' });
  repository.git('reflog', 'expire', '--expire=now', '--all');
  repository.git('gc', '--quiet', '--prune=now');
  const [third] = await settle();
  expect(third?.row).toMatchObject({ head: forced, base: null, state: 'judged' });
  expect(second?.row.state).toBe('judged');
  expect(await again(third!.row.id)).toEqual([]);
});
