// What evaluations say, on real git and real Nix with a budget that is full after two changes: the third waits until one of
// them has ended, in whatever way, one that says more than was expected is evaluated once more, and none is told that it was its fault.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Builder } from '../builder/builder.ts';
import { createNixStoreBuilder } from '../builder/nix-store/nix-store-builder.ts';
import type { Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import { initTestRepository, type TestRepository, useTestFolder } from '../git/testing/test-repository.ts';
import { createEvaluationLine } from './evaluation-line.ts';
import { createSharedGraph } from './graph/shared-graph.ts';
import { createKeptJobsets } from './kept-jobsets.ts';
import { type Judgement, type PipelineRequest, runPipeline } from './pipeline.ts';
import { createTestScheduler } from './testing/schedule-alone.ts';
import { createSpiedBudget } from './testing/spied-budget.ts';
import { wirePipeline } from './wire-pipeline.ts';

const folder = useTestFolder();
let store: PrivateStore;
let database: Database;
let repository: TestRepository;
beforeEach(async () => {
  store = await createPrivateStore();
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  repository = initTestRepository(join(folder(), 'set'));
  repository.commit('first', {
    'default.nix': `let
      word = builtins.readFile ./word;
      long = builtins.concatStringsSep "" (builtins.genList (i: "0123456789") 400);
      package = index: derivation {
        name = "p\${toString index}"; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "echo \${if index == 0 then word else ""} > $out" ];
      } // { meta.license.fullName = long; };
    in builtins.listToAttrs (builtins.genList (i: { name = "p\${toString i}"; value = package i; })
      (builtins.stringLength (builtins.readFile ./many)))`,
    word: 'base',
    // A letter for each package.
    many: 'x'.repeat(20),
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  });
});
afterEach(async () => {
  await database.close();
  await store.remove();
});

/** Of 20 packages a side is some 100 KiB, and may have 180. */
const budgetBytes = 600 * 1024;

const push = (branch: string, files: Parameters<TestRepository['commit']>[1]): void => {
  repository.git('checkout', '--quiet', '-b', branch, 'main');
  repository.commit(`on ${branch}`, files);
  repository.git('checkout', '--quiet', 'main');
};

/** Whose builds begin when they are let go. */
const heldBuilder = async () => {
  const builder = await createNixStoreBuilder(store.nix);
  const held: (() => void)[] = [];
  const holding: Builder = {
    ...builder,
    build: async (request, observer, signal) => {
      const go = Promise.withResolvers<void>();
      held.push(go.resolve);
      signal.addEventListener('abort', () => go.resolve());
      await go.promise;
      return builder.build(request, observer, signal);
    },
  };
  return { holding, held };
};

const serve = async () => {
  const { holding, held } = await heldBuilder();
  const logs = { folder: join(store.folder, 'logs'), maxBytes: 100_000 };
  const clock = Date.now;
  const scheduler = createTestScheduler({ builder: holding, database, logs });
  const kept = createKeptJobsets({ database, nix: store.nix, rootsDir: join(store.folder, 'roots'), clock });
  const shared = {
    ...{ nix: store.nix, git: createGitCli({ env: process.env }), database, scheduler },
    graph: createSharedGraph({ files: store.nix, database, capacity: 1000, clock }),
    evaluator: chooseEvaluator(store.nix),
    evaluations: createEvaluationLine(),
    budget: createSpiedBudget(budgetBytes),
    system: 'x86_64-linux',
  };
  const judge = (branch: string, asked: Partial<PipelineRequest> = {}) => {
    const abort = new AbortController();
    const events: ReviewEvent[] = [];
    const { signal } = abort;
    const deps = wirePipeline({
      ...shared,
      kept: kept.beginUse(),
      purpose: { class: 'open-change', arrivedAtMs: 0, change: null },
      onEvent: (event) => events.push(event),
      signal,
    });
    const run = async (): Promise<Judgement> => {
      const own = join(store.folder, `judge-${branch}`);
      await mkdir(own);
      const limits = { workers: 1, maxMemoryMib: 1024, timeoutMs: 60_000 };
      const request = {
        ...{ id: branch, repository: 'set', jobs: [], build: true, limits, folder: own },
        source: { kind: 'local', path: repository.path },
        ...{ base: 'main', head: branch, merge: true },
        sandbox: 'preferred',
        ...asked,
      } as const;
      return runPipeline(deps, request, signal);
    };
    const ended = run();
    ended.catch(() => {}); // Awaited by the story.
    return {
      ended,
      abort: () => abort.abort(new Error('not wanted')),
      types: () => events.map(({ type }) => type),
      events,
    };
  };
  return { judge, held, budget: shared.budget };
};

const waits = (events: readonly ReviewEvent[]): string[] =>
  events.flatMap((event) =>
    event.type === 'notice' && event.message.includes('waits') ? [event.message] : [],
  );

it('waits for what other changes said, whichever way they end, and gives all of it back', {
  timeout: 120_000,
}, async () => {
  for (const branch of ['one', 'two', 'three', 'four']) push(branch, { word: branch });
  push('more', { many: 'x'.repeat(30) });
  push('wordy', { many: 'x'.repeat(60) });
  const { judge, held, budget } = await serve();
  const [one, two] = [judge('one'), judge('two')];
  await vi.waitFor(() => expect(held).toHaveLength(2), 60_000);
  const both = budget.counts().held;
  expect(both).toBeGreaterThan(budgetBytes / 2);
  // Not all that was put aside for them.
  expect(both).toBeLessThan((budgetBytes * 3) / 4);

  // Nobody knows how much it has to say: more than is left, and it is evaluated again when there is room.
  const more = judge('more', { repository: null, build: false });
  await vi.waitFor(() => expect(waits(more.events)).toHaveLength(1), 60_000);
  expect(more.types()).toContain('evaluating');
  expect(budget.counts().held).toBe(both);

  const [three, four] = [judge('three'), judge('four')];
  await vi.waitFor(
    () => expect([three, four].map(({ events }) => waits(events).length)).toEqual([1, 1]),
    60_000,
  );
  expect(waits(three.events)).toEqual([
    expect.stringMatching(
      /^the evaluation of this change waits: what 2 other changes said .* --max-old-space-size/,
    ),
  ]);
  expect(three.types()).not.toContain('evaluating');
  // One is not wanted any more.
  one.abort();
  await expect(one.ended).rejects.toThrow('not wanted');
  await vi.waitFor(() => expect(held).toHaveLength(3), 60_000);
  // Three or four, and both as much as before: the base came from what was kept.
  expect(budget.counts().held).toBe(both);
  expect((await more.ended).summary.jobs).toMatchObject([{ attributes: { added: 10, unchanged: 20 } }]);
  const again =
    /^the evaluation of this change is done again when there is room: the packages say more than was expected/;
  expect(more.events.some((event) => event.type === 'notice' && again.test(event.message))).toBe(true);
  const begins = more.events.filter(
    (event) => event.type === 'evaluating' && event.side === 'judged' && event.known === 0 && !event.done,
  );
  expect(begins).toHaveLength(2);
  for (const go of held) go();
  await vi.waitFor(() => expect(held).toHaveLength(4), 60_000);
  held[3]?.();
  const summaries = (await Promise.all([two, three, four].map(({ ended }) => ended))).map(
    ({ summary }) => summary,
  );
  expect(summaries.map(({ conclusion }) => conclusion)).toEqual(['success', 'success', 'success']);
  expect(budget.counts().held).toBe(0);

  // Who says too much by itself is told so, though nobody else has anything.
  const { summary } = await judge('wordy').ended;
  expect(JSON.stringify(summary)).toMatch(/more than 0 MiB of themselves .* 15 % of the memory/);
  expect(budget.counts().held).toBe(0);

  // What changes say of themselves is not expected of others, nor what was cut short or failed.
  const whole = ['base', 'base', 'base', 'base', 'base'];
  expect(budget.settled.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
    ...whole,
    null,
    null,
  ]);
});
