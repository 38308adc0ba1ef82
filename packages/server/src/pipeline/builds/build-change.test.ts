// The story of a change whose failures are not all true, on real Nix: what fails once is built once more.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { Jobset } from '@eka-ci/core/evaluation';
import type { DrvPath } from '@eka-ci/core/ids';
import { planRebuilds, type RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { judgeJobset } from '@eka-ci/core/verdict';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFakeBuilder } from '../../builder/builder.fake.ts';
import { createNixStoreBuilder } from '../../builder/nix-store/nix-store-builder.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createTestScheduler, type TestSchedulerOptions } from '../testing/schedule-alone.ts';
import type { BuildStage } from './build.ts';
import { type BuiltChange, buildChange } from './build-change.ts';
import { createRecorder } from './record.ts';
import { recoverBuilds } from './recover.ts';

let store: PrivateStore;
let database: Database;
beforeEach(async () => {
  store = await createPrivateStore();
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  await mkdir(join(store.folder, 'tries'));
});
afterEach(async () => {
  await database.close();
  await store.remove();
});

/** Each build counts itself in a file outside of the store, and succeeds where it is not among the failing ones. */
const packages = (side: string, body: string): string => `let
  # Succeeds from its so-many-and-first build on.
  after = failures: name: shell name ''
    n=0; test -e ${store.folder}/tries/$name && read n < ${store.folder}/tries/$name
    n=$((n + 1)); echo $n > ${store.folder}/tries/$name
    echo "try $n of $name"
    test $n -gt \${toString failures} || exit 1
    echo $n > $out
  '';
  of = failures: name: after failures "\${name}-${side}";
  fine = of 0; once = of 1; always = of 1000;
in rec { ${body} }`;

/** How often a derivation was built. */
const triesOf = async (name: string): Promise<number> =>
  Number(await readFile(join(store.folder, 'tries', name), 'utf8').catch(() => '0'));

interface Set {
  readonly [attr: string]: DrvPath;
}

const jobsetOf = (set: Set, attrs: readonly string[]): Jobset => ({
  job: 'packages',
  records: attrs.toSorted().map((attr) => {
    const drvPath = set[attr] ?? expect.fail(`there is no ${attr}`);
    const outputs = { out: null };
    const name = derivationNameOf(drvPath);
    const system = 'x86_64-linux';
    return {
      kind: 'derivation',
      attr,
      attrPath: [attr],
      name,
      system,
      drvPath,
      outputs,
      meta: null,
      metaError: null,
    };
  }),
});

interface World {
  readonly graph: DrvGraph;
  readonly plan: RebuildPlan;
  readonly set: Set;
  readonly events: ReviewEvent[];
  readonly stage: BuildStage;
}

const schedulerOf = (options: Pick<TestSchedulerOptions, 'builder'> & Partial<TestSchedulerOptions>) =>
  createTestScheduler({
    database,
    logs: { folder: join(store.folder, 'logs'), maxBytes: 100_000 },
    ...options,
  });

const worldOf = async (body: string, attrs: readonly string[], base = body): Promise<World> => {
  const set: Set = await store.instantiate(packages('head', body));
  const baseSet: Set = await store.instantiate(packages('base', base));
  const graph = new DrvGraph();
  const roots = [...Object.values(set), ...Object.values(baseSet)];
  for await (const batch of readDerivationClosure({ storeDir: store.nix.storeDir, roots })) {
    await database.derivations.save(batch.map(({ node }) => node));
    for (const { node } of batch) graph.add(node);
  }
  const inBase = attrs.filter((attr) => baseSet[attr] !== undefined);
  const plan = planRebuilds({ base: jobsetOf(baseSet, inBase), judged: jobsetOf(set, attrs), graph });
  const events: ReviewEvent[] = [];
  const stage: BuildStage = {
    scheduler: schedulerOf({ builder: await createNixStoreBuilder(store.nix) }),
    purpose: { class: 'open-change', arrivedAtMs: 0, change: null },
    records: database,
    store: createStoreQueries(store.nix),
    onEvent: (event) => events.push(event),
  };
  return { graph, plan, set, events, stage };
};

const build = ({ stage, graph, plan }: World, again = true, signal = new AbortController().signal) =>
  buildChange(stage, { graph, plans: [plan], again }, signal);

const judge = ({ plan }: World, { outcomes }: BuiltChange) => {
  const verdict = judgeJobset({ plan, outcomes, allowEvalFailures: true });
  const kinds = Object.fromEntries(verdict.rows.map(({ attr, kind }) => [attr, kind]));
  const notes = Object.fromEntries(verdict.rows.map(({ attr, note }) => [attr, note]));
  const culprits = Object.fromEntries(
    verdict.rows.map(({ attr, outcome }) => [attr, outcome?.culprit?.name]),
  );
  return { kinds, notes, culprits, conclusion: verdict.conclusion };
};

/** `flaky`, `broken`: as their names say. `mixed` needs both. */
const mixedBody = `
  flaky = once "flaky" { };
  broken = always "broken" { };
  above = fine "above" { inherit flaky; };
  top = fine "top" { inherit above; };
  needsBroken = fine "needsBroken" { inherit broken; };
  mixed = fine "mixed" { inherit flaky broken; };
  onMixed = fine "onMixed" { inherit mixed top; };
  good = fine "good" { };`;
const mixedAttrs = ['flaky', 'broken', 'above', 'top', 'needsBroken', 'mixed', 'onMixed', 'good'];
/** A base that is fine all over. */
const allFine = mixedBody.replace('once "', 'fine "').replace('always "', 'fine "');

describe('building a change', () => {
  it('builds once more what newly fails: what then succeeds is flaky, and what waited for it is built', async () => {
    const world = await worldOf(mixedBody, mixedAttrs, allFine);
    const built = await build(world);
    const { kinds, notes, culprits, conclusion } = judge(world, built);
    expect(kinds).toEqual({
      flaky: 'flaky',
      above: 'still-succeeding',
      top: 'still-succeeding',
      good: 'still-succeeding',
      broken: 'newly-failing',
      needsBroken: 'newly-failing',
      mixed: 'newly-failing',
      onMixed: 'newly-failing',
    });
    expect(conclusion).toBe('failure');
    expect([culprits['mixed'], culprits['onMixed']]).toEqual(['broken-head', 'broken-head']);
    expect(notes['flaky']).toMatch(
      /^failed once, then built; once so far; .* attempt 1 \(.+flaky-head\.1\.log\)$/,
    );
    expect(notes['needsBroken']).toMatch(
      /^failed twice; the original log is that of attempt 1 \(.+\.1\.log\)$/,
    );
    expect(await triesOf('broken-head')).toBe(2);
    expect(await triesOf('flaky-head')).toBe(2);
    expect(built.warnings).toEqual([]);

    const logs = await database.builds.attemptsOf(world.set['broken']!);
    const texts = logs.map(({ logFile }) => readFile(join(store.folder, 'logs', logFile!), 'utf8'));
    expect(await Promise.all(texts)).toEqual([
      expect.stringMatching(/^try 1 of broken-head\n/),
      expect.stringMatching(/^try 2 of broken-head\n/),
    ]);
    const blamed = (await database.builds.statesOf([world.set['mixed']!])).get(world.set['mixed']!);
    expect(blamed).toMatchObject({ state: 'dependency-failed', culprit: world.set['broken'] });
  });

  it('neither builds the base nor what fails there too once more, nor anything where that is not wanted', async () => {
    const body = 'both = always "both" { }; worse = always "worse" { };';
    const base = 'both = always "both" { }; worse = fine "worse" { };';
    const world = await worldOf(body, ['both', 'worse'], base);
    expect(judge(world, await build(world, false)).kinds).toEqual({
      both: 'still-failing',
      worse: 'newly-failing',
    });
    expect(await triesOf('worse-head')).toBe(1);
    expect(judge(world, await build(world)).kinds).toEqual({ both: 'still-failing', worse: 'newly-failing' });
    // It had failed once already when this judgement began: that it fails again is no news.
    expect([await triesOf('both-head'), await triesOf('worse-head')]).toEqual([2, 2]);
  });

  it('tells of a flaky dependency that has no row, and builds what fails only then once more as well', async () => {
    const body = `hidden = once "hidden" { }; later = once "later" { inherit hidden; }; last = fine "last" { inherit later; };`;
    const world = await worldOf(body, ['later', 'last'], 'nothing = fine "nothing" { };');
    const built = await build(world);
    expect(judge(world, built).kinds).toEqual({ later: 'flaky', last: 'newly-succeeding' });
    expect(built.warnings).toEqual([
      expect.stringMatching(/^hidden-head is flaky: it failed once, then built; once so far/),
    ]);
  });

  it('takes it for flaky where the base needs it too, and got it', async () => {
    const body = 'shared = after 1 "shared" { }; user = fine "user" { inherit shared; };';
    const world = await worldOf(body, ['user']);
    const built = await build(world);
    expect(judge(world, built)).toMatchObject({ kinds: { user: 'still-succeeding' }, conclusion: 'success' });
    expect(built.warnings).toEqual([expect.stringMatching(/^shared is flaky: it failed once, then built/)]);
    expect(await triesOf('shared')).toBe(2);
  });

  it('keeps the failure where the second build gives no answer', async () => {
    const none = 'nothing = fine "nothing" { };';
    const body = 'stuck = fine "stuck" { }; user = fine "user" { inherit stuck; };';
    const world = await worldOf(body, ['stuck', 'user'], none);
    const builder = createFakeBuilder({
      behave: (failedDrv, attempt) => {
        const said = { message: 'no', durationMs: 1 };
        if (attempt === 2) return { result: { kind: 'interrupted', cause: 'timeout', ...said } };
        return { result: { kind: 'failed', cause: 'missing-output', failedDrv, ...said } };
      },
    });
    const built = await build({ ...world, stage: { ...world.stage, scheduler: schedulerOf({ builder }) } });
    expect(builder.calls).toHaveLength(2);
    expect(judge(world, built).kinds).toEqual({ stuck: 'newly-failing', user: 'newly-failing' });
    expect(built.outcomes.judged(world.set['stuck']!)).toMatchObject({ cause: 'missing-output' });
  });

  it('builds at most twenty once more, those that spoil most first, and says how many are left', async () => {
    const names = Array.from({ length: 23 }, (_, index) => `p${index}`);
    const lines = names.map((name) => `${name} = always "${name}" { };`);
    const body = `${lines.join('\n')} user = fine "user" { inherit p22; };`;
    const world = await worldOf(body, [...names, 'user'], 'nothing = fine "nothing" { };');
    const builder = createFakeBuilder({
      behave: (failedDrv) => ({
        result: { kind: 'failed', cause: 'builder-exit', failedDrv, message: 'no', durationMs: 1 },
      }),
    });
    const built = await build({ ...world, stage: { ...world.stage, scheduler: schedulerOf({ builder }) } });
    expect(judge(world, built).kinds).toMatchObject({ p22: 'newly-failing', user: 'newly-failing' });
    expect(builder.calls).toHaveLength(43);
    expect(builder.calls[23]).toBe(world.set['p22']);
    expect(new Set(builder.calls.slice(23)).size).toBe(20);
    expect(built.warnings).toEqual([
      '3 of what newly fails were built only once: of one change 20 are built once more',
    ]);
  });

  // Endings that are recorded: 2 of the judged tree, 3 of its base, 2 once more, 1 that was freed.
  it.each([2, 6, 8])('says the same after a crash over ending %i as without one', async (dieAt) => {
    const body = `flaky = once "flaky" { }; above = fine "above" { inherit flaky; }; broken = always "broken" { };`;
    const base = body.replace('once', 'fine').replace('always', 'fine');
    const world = await worldOf(body, ['flaky', 'above', 'broken'], base);
    const power = new AbortController();
    let ended = 0;
    const recordTransitions: Database['builds']['recordTransitions'] = (steps) => {
      ended += steps.filter(({ to }) => to === 'succeeded' || to === 'failed').length;
      // Whatever is recorded from then on is lost, and so is what is under way.
      if (ended >= dieAt) power.abort(new Error('the power went'));
      power.signal.throwIfAborted();
      return database.builds.recordTransitions(steps);
    };
    const builder = await createNixStoreBuilder(store.nix);
    const dying = schedulerOf({ builder, database: { builds: { ...database.builds, recordTransitions } } });
    const cut = build({ ...world, stage: { ...world.stage, scheduler: dying } }, true, power.signal);
    await expect(cut).rejects.toThrow('the power went');

    const recorder = createRecorder({ database, clock: Date.now });
    await recoverBuilds({ database, recorder, store: world.stage.store });
    // A failure that nobody heard of did not happen.
    const heard = await database.builds.answersOf([world.set['flaky']!]);
    if (heard.size === 0) await writeFile(join(store.folder, 'tries', 'flaky-head'), '0\n');
    expect(judge(world, await build(world)).kinds).toEqual({
      flaky: 'flaky',
      above: 'still-succeeding',
      broken: 'newly-failing',
    });
  });

  it('is cancelled while it builds once more', async () => {
    const world = await worldOf('broken = always "broken" { };', ['broken'], 'nothing = fine "nothing" { };');
    const abort = new AbortController();
    const onEvent = (event: ReviewEvent): void => {
      if (event.type === 'build-started' && event.attempt === 2) abort.abort(new Error('not wanted'));
    };
    const cancelled = build({ ...world, stage: { ...world.stage, onEvent } }, true, abort.signal);
    await expect(cancelled).rejects.toThrow('not wanted');
    const stored = (await database.builds.statesOf([world.set['broken']!])).get(world.set['broken']!);
    expect(stored).toMatchObject({ state: 'interrupted', cause: 'cancelled', attempt: 2 });
  });

  it('takes what another change built since the store was asked for what it is', async () => {
    const world = await worldOf(
      'lower = fine "lower" { }; upper = fine "upper" { inherit lower; }; other = fine "other" { };',
      ['lower', 'upper', 'other'],
      'nothing = fine "nothing" { };',
    );
    // Of a slow store: it answers what was true when it was asked.
    const asked = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    const slow: BuildStage['store'] = {
      ...world.stage.store,
      queryMissing: async (roots) => {
        const missing = await world.stage.store.queryMissing(roots);
        asked.resolve();
        await first.promise;
        return missing;
      },
    };
    const later = build({ ...world, stage: { ...world.stage, store: slow } });
    await asked.promise;
    const { lower, upper, other } = world.set;
    const [lowerRecord] = world.plan.rootsToBuild.filter((drv) => drv === lower);
    await build({ ...world, plan: { ...world.plan, rootsToBuild: [lowerRecord!, other!] } });
    first.resolve();
    expect(judge(world, await later).kinds).toEqual({
      ...{ lower: 'newly-succeeding', upper: 'newly-succeeding', other: 'newly-succeeding' },
    });
    for (const drv of [lower, upper, other]) {
      const history = await database.builds.historyOf(drv!);
      expect(history.map(({ to }) => to)).toEqual(['queued', 'buildable', 'building', 'succeeded']);
    }
    const finished = world.events.filter((event) => event.type === 'build-finished');
    expect(finished.map(({ name, outcome }) => `${name} ${outcome}`).toSorted()).toEqual([
      ...['lower-head succeeded', 'lower-head succeeded', 'other-head succeeded', 'other-head succeeded'],
      'upper-head succeeded',
    ]);
    expect(finished.at(-1)).toMatchObject({ finished: 3, total: 3 });
  });

  it('learns how long builds take, and goes by it', async () => {
    const slow = (name: string): string => `${name} = shell "${name}-1" "sleep 0.3; echo > $out" { };`;
    const body = `${slow('slow')} quick = shell "quick-1" "echo > $out" { };`;
    const none = 'nothing = fine "nothing" { };';
    const world = await worldOf(body, ['slow', 'quick'], none);
    await build(world);
    const key = { system: 'x86_64-linux', pname: 'slow', fixedOutput: false };
    const [history] = await database.packages.historiesOf([key]);
    expect(history?.recentMs).toHaveLength(1);
    expect(history?.recentMs[0]).toBeGreaterThanOrEqual(300);

    // The next version: one slot, so the order of the starts is the order of what is expected.
    const next = await worldOf(
      `quick = shell "quick-2" "echo > $out" { }; slow = shell "slow-2" "echo > $out" { };`,
      ['slow', 'quick'],
      none,
    );
    const builder = await createNixStoreBuilder(store.nix);
    const scheduler = schedulerOf({ builder, slots: { build: 1, fixedOutput: 1 } });
    await build({ ...next, stage: { ...next.stage, scheduler } });
    const started = next.events.flatMap((event) => (event.type === 'build-started' ? [event.name] : []));
    expect(started).toEqual(['slow-2', 'quick-2']);
  });
});
