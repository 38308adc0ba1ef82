// What is known to fail: wanted derivations whose newest attempt failed by their own doing, not long ago.
import { join } from 'node:path';
import type { FailureCause } from '@eka-ci/core/build-state';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import { describeKnownFailure, knownFailureCause, wasBuiltAgain } from '@eka-ci/core/known-failure';
import type { Database, StoredBuild } from '../../database/database.ts';
import { tailOf } from '../../lib/stored-log.ts';

/** A failure that stands for another try. */
export interface KnownFailure {
  readonly cause: FailureCause;
  /** One sentence for people: `failed before, on 2026-11-20 14:03 UTC: …`. */
  readonly message: string;
  /** The attempt that failed, whatever change it was made for. Counted from 1. */
  readonly attempt: number;
  /** Of that attempt, relative to the log directory; null where there is none. */
  readonly logFile: string | null;
  /** The last lines of that log, at most 20; empty where it is gone. */
  readonly lastLines: readonly string[];
  /** When that attempt ended, in milliseconds since 1970. */
  readonly endedAtMs: number;
  /** It failed more than once in a row: nobody need doubt it. */
  readonly builtAgain: boolean;
}

export interface KnownFailuresDeps {
  readonly builds: Pick<Database['builds'], 'statesOf' | 'answersOf'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** `retention.failure_days`: one that is older is tried again. 0: none is known. */
  readonly failureDays: number;
  /** Absolute; the last lines are read there. @default they are empty */
  readonly logsDir?: string;
}

const dayMs = 24 * 60 * 60_000;
const keptLines = 20;
/** Logs that are read at once. */
const readAtOnce = 16;

/** A log that is gone or damaged takes nothing from the failure that it told of. */
const readTail = (logsDir: string | undefined, logFile: string | null): Promise<readonly string[]> =>
  logsDir === undefined || logFile === null
    ? Promise.resolve([])
    : tailOf(join(logsDir, logFile), keptLines).catch(() => []);

interface Found extends Omit<KnownFailure, 'builtAgain' | 'lastLines'> {
  readonly node: NodeId;
  readonly drv: StoredBuild['drv'];
}

/** Fixed-output derivations are always tried again: the network may have changed its mind. */
const findFailed = async (
  { builds, clock, failureDays }: KnownFailuresDeps,
  graph: DrvGraph,
  wanted: ReadonlySet<NodeId>,
): Promise<Found[]> => {
  const nodes = new Map(
    [...wanted].flatMap((id) => (graph.isFixedOutput(id) ? [] : [[graph.pathOf(id), id]])),
  );
  const age = { nowMs: clock(), maxAgeMs: failureDays * dayMs };
  const found: Found[] = [];
  for (const build of (await builds.statesOf(nodes.keys())).values()) {
    const cause = knownFailureCause(build, age);
    const node = nodes.get(build.drv);
    if (cause === null || node === undefined) continue;
    const { drv, attempt, logFile } = build;
    const endedAtMs = build.finishedAtMs ?? age.nowMs;
    const message = describeKnownFailure(endedAtMs, build.message);
    found.push({ node, drv, cause, message, attempt, logFile, endedAtMs });
  }
  return found;
};

/**
 * Those of `wanted` that are not to be tried again. To be asked before they are enqueued: the row of a known failure
 * stays as it is, with its attempt and its log. @throws DatabaseError
 */
export const findKnownFailures = async (
  deps: KnownFailuresDeps,
  graph: DrvGraph,
  wanted: ReadonlySet<NodeId>,
): Promise<ReadonlyMap<NodeId, KnownFailure>> => {
  const known = new Map<NodeId, KnownFailure>();
  if (deps.failureDays <= 0 || wanted.size === 0) return known;
  const found = await findFailed(deps, graph, wanted);
  if (found.length === 0) return known;
  const answers = await deps.builds.answersOf(found.map(({ drv }) => drv));
  for (let at = 0; at < found.length; at += readAtOnce) {
    const some = found.slice(at, at + readAtOnce).map(async ({ node, drv, ...failure }) => {
      const lastLines = await readTail(deps.logsDir, failure.logFile);
      known.set(node, { ...failure, lastLines, builtAgain: wasBuiltAgain(answers.get(drv) ?? []) });
    });
    await Promise.all(some);
  }
  return known;
};
