// Which builds count for the hooks of a job: by the graph, and by what was recorded.
import type { BuildCause, BuildState } from '@eka-ci/core/build-state';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath, step } from '../../database/testing/samples.ts';
import { createWorkFolder, type WorkFolder } from '../../lib/work-folder.ts';
import type { PublishedJob } from '../publish/publication.ts';
import { withBuilds } from './builds-of-jobs.ts';

const dayMs = 24 * 60 * 60_000;
const nowMs = 1000 * dayMs;

let folder: WorkFolder;
let database: Database;
beforeAll(async () => {
  folder = await createWorkFolder('ekaci-test-');
  database = await openWarmDatabase({ path: `${folder.path}/test.db`, durability: 'process-death' });
});
afterAll(async () => {
  await database.close();
  await folder.remove();
});

/** Built, as far as `to`, and then. */
const build = async (drv: DrvPath, to: BuildState, cause: BuildCause, atMs: number): Promise<void> => {
  await database.builds.recordTransitions([
    step(drv, null, 'queued', { atMs }),
    step(drv, 'queued', 'buildable', { atMs }),
    step(drv, 'buildable', 'building', { atMs }),
    step(drv, 'building', to, { atMs, cause }),
  ]);
};

const job = (
  roots: readonly DrvPath[],
  hooks: readonly string[],
  ending: 'open' | 'not-built' | 'failed',
): PublishedJob => ({
  ...{ name: 'packages', caches: [], hooks, builds: [] },
  roots: roots.map((drv) => ({ drv, outputs: [], ending })),
});

const buildsOf = async (
  jobs: readonly PublishedJob[],
  graph: DrvGraph,
  more: { wanted?: readonly DrvPath[]; sinceMs?: number } = {},
) => {
  const place = { repository: 'o/r', branch: 'main', isOnBranch: true };
  const { wanted = [], sinceMs = nowMs - 1000 } = more;
  const publication = await withBuilds(
    database.builds,
    { schemaVersion: 1, commit: 'c', place, jobs },
    { graph, wanted, sinceMs, nowMs },
  );
  return publication.jobs.map(({ builds }) =>
    builds.map(({ drv, state }) => `${drv.slice(44, -4)} ${state}`).toSorted(),
  );
};

it('takes roots whenever they were built here, and what they need where it was built for the change', async () => {
  const [root, fetched, old, fresh, source, other] = [
    'root',
    'fetched',
    'old',
    'fresh',
    'source',
    'other',
  ].map(newPath);
  if (!root || !fetched || !old || !fresh || !source || !other) throw new Error('no paths');
  const nodes = [
    newNode([], { path: source, fixedOutput: true }),
    newNode([], { path: old }),
    newNode([], { path: fetched }),
    newNode([{ path: source, outputs: ['out'] }], { path: fresh }),
    newNode(
      [fresh, old, fetched].map((path) => ({ path, outputs: ['out'] })),
      { path: root },
    ),
    newNode([], { path: other }),
  ];
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  for (const node of nodes) graph.add(node);
  await build(root, 'failed', 'builder-exit', nowMs - 30 * dayMs);
  await build(old, 'succeeded', 'built', nowMs - 2000);
  await build(fetched, 'succeeded', 'substituted', nowMs);
  await build(fresh, 'succeeded', 'built', nowMs);
  await build(source, 'interrupted', 'timeout', nowMs);
  await build(other, 'succeeded', 'built', nowMs);

  // Of two jobs each has its own; one that names no hook has none.
  expect(
    await buildsOf(
      [job([root], ['h'], 'failed'), job([other], ['h'], 'failed'), job([root], [], 'failed')],
      graph,
    ),
  ).toEqual([['fresh succeeded', 'root failed'], ['other succeeded'], []]);
  // What the records by time do not say: it was ended by a bound, or the clock was set back meanwhile.
  expect(await buildsOf([job([root], ['h'], 'failed')], graph, { wanted: [source, old, fetched] })).toEqual([
    ['fresh succeeded', 'old succeeded', 'root failed', 'source failed'],
  ]);
  // As after a crash: nothing is wanted any more, and all of it was built since the change came.
  expect(await buildsOf([job([root], ['h'], 'failed')], graph, { sinceMs: nowMs - 3000 })).toEqual([
    ['fresh succeeded', 'old succeeded', 'root failed'],
  ]);
  // What a branch has unchanged.
  expect(await buildsOf([job([root], ['h'], 'open')], graph)).toEqual([[]]);
  // As of a branch that is seen for the first time.
  expect(await buildsOf([job([root], ['h'], 'not-built')], graph)).toEqual([[]]);
});

it('leaves out what was built so long ago that nobody knows whether a hook ran', async () => {
  const root = newPath('ancient');
  await database.derivations.save([newNode([], { path: root })]);
  const graph = new DrvGraph();
  graph.add(newNode([], { path: root }));
  await build(root, 'succeeded', 'built', nowMs - 61 * dayMs);
  expect(await buildsOf([job([root], ['h'], 'failed')], graph, { sinceMs: 0 })).toEqual([[]]);
});
