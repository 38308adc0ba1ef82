// One derivation by itself, whatever change it belongs to: its closure ingested, what it lacks built.
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { FailureAge } from '@eka-ci/core/known-failure';
import { findStandingFailure, type PastBuild, type TryAgain } from '@eka-ci/core/standing-failure';
import { baseNameOf } from '@eka-ci/nix/store-path';
import type { BuildEnding } from '@eka-ci/protocol/build-request';
import type { Database } from '../../database/database.ts';
import type { SharedGraph } from '../graph/shared-graph.ts';
import { type BuildStage, buildMissing, type Lacking, withLacking } from './build.ts';
import type { BuildOutcome } from './build-outcome.ts';
import type { StepToRecord } from './record.ts';

export interface BuildDerivationDeps {
  readonly database: Pick<Database, 'builds'>;
  readonly builds: BuildStage;
  readonly graph: Pick<SharedGraph, 'lease'>;
  /** Of failures that are not tried again, as of now. */
  readonly failureAge: () => FailureAge;
}

const succeeded: BuildEnding = { outcome: 'succeeded', cause: 'already-valid', culprit: null, message: null };

const endingOf = ({ state, cause, culprit, message }: BuildOutcome): BuildEnding => ({
  outcome: state,
  cause,
  culprit,
  message,
});

const step = (drv: DrvPath, name: StepToRecord['step'], more: Partial<StepToRecord> = {}): StepToRecord => ({
  drv,
  step: name,
  cause: null,
  culprit: null,
  message: null,
  logFile: null,
  ...more,
});

/** Its outputs are there; nobody need have built them here. */
const recordValid = async ({ database, builds }: BuildDerivationDeps, drv: DrvPath): Promise<BuildEnding> => {
  const known = (await database.builds.statesOf([drv])).get(drv);
  if (known?.state !== 'succeeded') {
    await builds.scheduler.recordAtRest([step(drv, 'succeed', { cause: 'already-valid' })]);
  }
  return succeeded;
};

const howToTryAgain = (failure: PastBuild, drv: DrvPath): string =>
  failure.drv === drv
    ? 'it failed before; --force tries it again'
    : `it needs ${baseNameOf(failure.drv)}, which failed before; --rebuild-all tries that again`;

/** What failed before is not tried again: it is the answer. */
const recordStanding = async (
  { builds }: BuildDerivationDeps,
  drv: DrvPath,
  failure: PastBuild,
): Promise<BuildEnding> => {
  const message = howToTryAgain(failure, drv);
  const { cause } = failure;
  if (failure.drv === drv) {
    return { outcome: failure.state === 'failed' ? 'failed' : 'interrupted', cause, culprit: null, message };
  }
  await builds.scheduler.recordAtRest([
    step(drv, 'fail-dependency', { cause, culprit: failure.drv, message }),
  ]);
  return { outcome: 'dependency-failed', cause, culprit: failure.drv, message };
};

const isFixedOutput = (graph: DrvGraph, path: DrvPath): boolean => {
  const node = graph.find(path);
  return node !== undefined && graph.isFixedOutput(node);
};

interface Order extends TryAgain {
  readonly drv: DrvPath;
  readonly graph: DrvGraph;
  readonly signal: AbortSignal;
}

const buildLacking = async (
  deps: BuildDerivationDeps,
  { drv, graph, signal, ...again }: Order,
  lacking: Lacking,
): Promise<BuildEnding> => {
  const { database, builds, failureAge } = deps;
  // A download that failed says nothing of the next try.
  const telling = lacking.missing.willBuild.filter((path) => path === drv || !isFixedOutput(graph, path));
  const past = await database.builds.statesOf(telling);
  const failure = findStandingFailure(drv, past.values(), { ...again, age: failureAge() });
  if (failure !== null) return recordStanding(deps, drv, failure);
  const run = { side: 'judged', roots: [drv], lacking, progress: { finished: 0, total: 0 }, signal } as const;
  // What speaks against it was looked at above.
  const believes = 'no-failure';
  const outcomes = await buildMissing(builds, { graph, plans: [] }, { ...run, believes });
  const outcome = outcomes.get(drv);
  return outcome === undefined ? recordValid(deps, drv) : endingOf(outcome);
};

/**
 * Outputs that are valid or can be fetched are never built. Failures of builds are endings.
 * @throws DerivationFileError, StoreQueryError, DerivationLostError, DatabaseError; the signal's reason when it aborts
 */
export const buildDerivation = async (
  deps: BuildDerivationDeps,
  order: TryAgain & { readonly drv: DrvPath },
  signal: AbortSignal,
): Promise<BuildEnding> => {
  const lease = deps.graph.lease();
  try {
    await lease.ingest([order.drv], signal);
    const { graph } = lease;
    return await withLacking(deps.builds, [order.drv], (lacking) =>
      buildLacking(deps, { ...order, graph, signal }, lacking),
    );
  } finally {
    lease.release();
  }
};
