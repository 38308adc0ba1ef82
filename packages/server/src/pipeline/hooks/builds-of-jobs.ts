// What was built on behalf of each job that names hooks: its roots, and what these needed built.
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Database, StoredBuild } from '../../database/database.ts';
import { createBreath, eachBreathing } from '../../lib/breathe.ts';
import type { JobBuild, Publication, PublishedJob, PublishedRoot } from '../publish/publication.ts';

export interface BuiltForChange {
  readonly graph: DrvGraph;
  /** What this judgement wanted built. */
  readonly wanted: Iterable<DrvPath>;
  /**
   * Milliseconds since 1970: when the change came. What was built since is its own, also where an earlier judgement of it,
   * cut short by a crash, wanted it.
   */
  readonly sinceMs: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** What was built longer ago counts for no hook: that one ran for it may be forgotten. */
const longestAgoMs = 60 * 24 * 60 * 60_000;

type Builds = Pick<Database, 'builds'>['builds'];

/** In one answer of the database: more would hold up whoever else asks, and the turn in which it comes. */
const pageSize = 2000;

const readSince = async (builds: Builds, sinceMs: number): Promise<StoredBuild[]> => {
  const all: StoredBuild[] = [];
  for (let after: StoredBuild | null = null; ; ) {
    const page: readonly StoredBuild[] = await builds.endedSince(sinceMs, { after, limit: pageSize });
    for (const build of page) all.push(build);
    after = page.at(-1) ?? null;
    if (page.length < pageSize) return all;
  }
};

/** Ended by a bound of its time or its log: as much the package's doing as a failure. */
const bounds: readonly (string | null)[] = ['timeout', 'max-duration', 'log-limit'];

/** Null for what nobody here built: it was fetched, was there already, or was not tried to its end. */
const stateOf = ({ state, cause }: StoredBuild): JobBuild['state'] | null => {
  if (state === 'succeeded') return cause === 'built' ? 'succeeded' : null;
  if (state === 'failed') return 'failed';
  return state === 'interrupted' && bounds.includes(cause) ? 'failed' : null;
};

const nodesOf = (graph: DrvGraph, drvs: Iterable<DrvPath>): NodeId[] =>
  [...drvs].flatMap((drv) => graph.find(drv) ?? []);

const answers: readonly PublishedRoot['ending'][] = ['succeeded', 'failed', 'timed-out'];

/** Of what was asked and answered: what a branch has without its push having changed it was built for others. */
const rootsOf = ({ roots }: PublishedJob): DrvPath[] =>
  roots.filter(({ ending }) => answers.includes(ending)).map(({ drv }) => drv);

/** @param builds each once */
const buildsOf = async (
  job: PublishedJob,
  graph: DrvGraph,
  builds: Iterable<StoredBuild>,
): Promise<JobBuild[]> => {
  const needed = new Set<number>(graph.closureOf(nodesOf(graph, rootsOf(job))));
  const found: JobBuild[] = [];
  await eachBreathing(builds, createBreath(), (build) => {
    const node = graph.find(build.drv);
    const state = stateOf(build);
    if (node === undefined || state === null || !needed.has(node)) return;
    const { drv, attempt } = build;
    found.push({ drv, attempt, state, fixedOutput: graph.isFixedOutput(node) });
  });
  return found;
};

/** What is known of each, so many in a question. */
async function* readStates(builds: Builds, drvs: readonly DrvPath[]): AsyncGenerator<StoredBuild> {
  for (let at = 0; at < drvs.length; at += pageSize) {
    yield* (await builds.statesOf(drvs.slice(at, at + pageSize))).values();
  }
}

/**
 * A root counts whenever it was built here: a hook that may not run for a pull request runs when what was built for that
 * has come to a branch where it may. What roots need counts where it was built since the change came.
 * @throws DatabaseError
 */
export const withBuilds = async (
  builds: Builds,
  publication: Publication,
  { graph, wanted, sinceMs, nowMs }: BuiltForChange,
): Promise<Publication> => {
  const hooked = publication.jobs.filter(({ hooks }) => hooks.length > 0);
  if (hooked.length === 0) return publication;
  const asked = [...new Set([...hooked.flatMap(rootsOf), ...wanted])];
  const oldestMs = nowMs - longestAgoMs;
  const found = new Map<DrvPath, StoredBuild>();
  for (const build of await readSince(builds, Math.max(sinceMs, oldestMs))) found.set(build.drv, build);
  for await (const build of readStates(builds, asked)) {
    if ((build.finishedAtMs ?? 0) >= oldestMs) found.set(build.drv, build);
  }
  const jobs: PublishedJob[] = [];
  for (const job of publication.jobs) {
    const isHooked = job.hooks.length > 0;
    jobs.push(isHooked ? { ...job, builds: await buildsOf(job, graph, found.values()) } : job);
  }
  return { ...publication, jobs };
};
