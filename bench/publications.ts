// `publications`: what a judgement of a whole package set hands on to a cache, from the roots to rows of pushes. How long others
// wait for their turn meanwhile, in this process and at the database; against the same read in one piece.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import { evaluateSets } from '@eka-ci/core/testing/package-set';
import { createFakeCache } from '@eka-ci/server/cache/cache.fake';
import { RepositoryConfigSchema } from '@eka-ci/server/config/repository-config-schema';
import type { Database } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { judgedResult } from '@eka-ci/server/database/testing/samples';
import { later } from '@eka-ci/server/lib/later';
import {
  type JudgedRoots,
  publicationOf,
  readPublication,
} from '@eka-ci/server/pipeline/publish/publication';
import { writePublication } from '@eka-ci/server/pipeline/publish/publication-parts';
import { createPushQueue } from '@eka-ci/server/pipeline/publish/push-queue';
import {
  assertSameWork,
  type Benchmark,
  collectGarbage,
  forOrientation,
  type Outcome,
  type RunOptions,
  summarize,
  timesLess,
} from './measure.ts';

const everybody = { allow_all: true, allowed_repos: [], allowed_branches: [] };
const rules = { caches: new Map([['bench', everybody]]), hooks: new Map() };

const judgedRoots = (count: number): JudgedRoots => {
  const set = Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`package-${at}`, { version: '1' }]),
  );
  const sets = evaluateSets({}, set);
  const plan = planRebuilds(sets);
  return {
    place: { repository: 'bench/set', branch: 'main', isOnBranch: true },
    commit: 'a'.repeat(40) as CommitSha,
    config: RepositoryConfigSchema.parse({ jobs: { [plan.job]: { file: 'a.nix', caches: ['bench'] } } }),
    plans: [plan],
    outcomes: { judged: () => ({ state: 'succeeded' }) },
    graph: sets.graph,
  };
};

interface Turns {
  readonly p99Ms: number;
  /** A full collection of garbage, which is one turn, included. */
  readonly longestMs: number;
}

/** How long anybody waited for a turn of the event loop. */
const watchTurns = async (work: () => Promise<unknown>): Promise<Turns> => {
  collectGarbage();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  // A delay is told by the turn after it: there has to be one before and one after.
  await sleep(20);
  await work();
  await sleep(20);
  delay.disable();
  return { p99Ms: delay.percentile(99) / 1e6, longestMs: delay.max / 1e6 };
};

/** The longest that anybody waited for the database, until `work` is done. */
const watchAnswers = async (database: Database, work: () => Promise<unknown>): Promise<number> => {
  let longestMs = 0;
  let isDone = false;
  const asking = (async () => {
    while (!isDone) {
      const start = performance.now();
      await database.meta.schemaVersion();
      longestMs = Math.max(longestMs, performance.now() - start);
      await sleep(2);
    }
  })();
  await work().finally(() => {
    isDone = true;
  });
  await asking;
  return longestMs;
};

const queueChange = async (database: Database): Promise<void> => {
  const head = 'a'.repeat(40) as CommitSha;
  const update = { kind: 'base-moved', repository: 'bench/set', branch: 'main', base: null, head } as const;
  await database.deliveries.receive([{ key: 'bench', payload: '{}', receivedAtMs: 1 }]);
  await database.changes.apply(
    [{ deliveryKey: 'bench', update: { ...update, title: 't', newId: 'bench' } }],
    1,
  );
  await database.changes.claimNext({ owner: 'bench', nowMs: 2, untilMs: 3 });
};

/** Of a cache that takes nothing: what is pushed then is another figure's. */
const openQueue = (database: Database) => {
  const cache = createFakeCache({ id: 'bench' });
  cache.fail({ kind: 'passing', why: 'it is down', retryAfterMs: null });
  return createPushQueue({
    database,
    caches: [{ cache, permissions: everybody, push: 'runtime', concurrency: 4 }],
    store: { queryValid: async (paths) => new Set(paths) },
    buildTimePathsOf: async () => [],
    roots: { keep: async () => null, release: async () => {} },
    owner: 'bench',
    clock: Date.now,
    random: Math.random,
    later,
    onEvent: () => {},
  });
};

const handOn = async (database: Database, judged: JudgedRoots): Promise<void> => {
  const whole = await publicationOf(judged, rules);
  if (whole === null) throw new Error('nothing is handed on');
  const publications = await writePublication(whole);
  await database.changes.finish({ id: 'bench', owner: 'bench' }, judgedResult({ publications }), 4);
  const queue = openQueue(database);
  await queue.start();
  while ((await database.publications.waiting('pushes', 1)).length > 0) await sleep(5);
  await queue.stop();
};

interface Measured {
  readonly turns: Turns;
  readonly answerMs: number;
  readonly ms: number;
  readonly pushes: number;
}

const measureParts = async (judged: JudgedRoots): Promise<Measured> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-bench-publications-'));
  const database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), durability: 'power-loss' });
  try {
    await queueChange(database);
    let answerMs = 0;
    const start = performance.now();
    const turns = await watchTurns(async () => {
      answerMs = await watchAnswers(database, () => handOn(database, judged));
    });
    const ms = performance.now() - start;
    const [counts] = await database.pushes.counts();
    return { turns, answerMs, ms, pushes: counts?.waiting ?? 0 };
  } finally {
    await database.close();
    await rm(folder, { recursive: true });
  }
};

/** As one text, written and read in one go; nothing of the rest. */
const measureOnePiece = async (judged: JudgedRoots) => {
  const whole = await publicationOf(judged, rules);
  const drvs = new Set<DrvPath>();
  const turns = await watchTurns(async () => {
    for (const { roots } of readPublication({ json: JSON.stringify(whole), repository: null })?.jobs ?? []) {
      for (const { drv } of roots) drvs.add(drv);
    }
  });
  return { longestMs: turns.longestMs, roots: drvs.size };
};

const measure = async ({ smoke, repetitions }: RunOptions): Promise<Outcome> => {
  const count = smoke ? 2000 : 100_000;
  const judged = judgedRoots(count);
  const parts: Measured[] = [];
  const pieces: number[] = [];
  for (let round = 0; round < repetitions; round++) {
    const piece = await measureOnePiece(judged);
    const part = await measureParts(judged);
    assertSameWork('roots', { asked: count, inOnePiece: piece.roots, inParts: part.pushes });
    pieces.push(piece.longestMs);
    parts.push(part);
  }
  const of = (pick: (one: Measured) => number) => summarize(parts.map(pick));
  return {
    kind: 'measured',
    figures: [
      timesLess({
        name: `${count} roots handed on: wait for a turn, p99`,
        ours: of(({ turns }) => turns.p99Ms),
        baseline: { name: 'the one turn that reads it in one piece', samples: summarize(pieces) },
        atLeast: 10,
      }),
      forOrientation({
        name: 'the longest wait for a turn, collections of garbage included',
        unit: 'ms',
        ours: of(({ turns }) => turns.longestMs),
      }),
      forOrientation({
        name: 'the longest wait for the database meanwhile',
        unit: 'ms',
        ours: of(({ answerMs }) => answerMs),
      }),
      forOrientation({ name: 'until all of it waits in rows', unit: 'ms', ours: of(({ ms }) => ms) }),
    ],
  };
};

export const publications: Benchmark = {
  name: 'publications',
  what: 'a judgement of 100,000 roots handed on to a cache that is down: how long others wait for the event loop, against reading it in one piece',
  run: measure,
};
