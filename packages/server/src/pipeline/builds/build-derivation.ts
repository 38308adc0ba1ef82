// One derivation by itself, whatever change it belongs to: its closure ingested, what it lacks built.
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { findStandingFailure, type PastBuild, type TryAgain } from '@eka-ci/core/standing-failure';
import { baseNameOf } from '@eka-ci/nix/store-path';
import type { BuildEnding } from '@eka-ci/protocol/build-request';
import type { Database } from '../../database/database.ts';
import { ingestClosure } from '../ingest.ts';
import { type BuildStage, buildMissing, queryMissing } from './build.ts';
import type { BuildOutcome } from './build-outcome.ts';
import type { StepToRecord } from './record.ts';

export interface BuildDerivationDeps {
  readonly database: Pick<Database, 'derivations' | 'builds'>;
  readonly builds: BuildStage;
  /** The directory in store paths' names. */
  readonly storeDir: string;
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
    await builds.recorder.enqueue([drv]);
    await builds.recorder.record([step(drv, 'succeed', { cause: 'already-valid' })]);
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
  await builds.recorder.enqueue([drv]);
  await builds.recorder.record([step(drv, 'fail-dependency', { cause, culprit: failure.drv, message })]);
  return { outcome: 'dependency-failed', cause, culprit: failure.drv, message };
};

const isFixedOutput = (graph: DrvGraph, path: DrvPath): boolean => {
  const node = graph.find(path);
  return node !== undefined && graph.isFixedOutput(node);
};

/**
 * Outputs that are valid or can be fetched are never built. Failures of builds are endings.
 * @throws DerivationFileError, StoreQueryError, DerivationLostError, DatabaseError; the signal's reason when it aborts
 */
export const buildDerivation = async (
  deps: BuildDerivationDeps,
  { drv, ...again }: TryAgain & { readonly drv: DrvPath },
  signal: AbortSignal,
): Promise<BuildEnding> => {
  const { database, builds, storeDir } = deps;
  const graph = new DrvGraph();
  await ingestClosure({ storeDir, graph, database }, [drv], signal);
  const missing = await queryMissing(builds, [drv]);
  // A download that failed says nothing of the next try.
  const telling = missing.willBuild.filter((path) => path === drv || !isFixedOutput(graph, path));
  const past = await database.builds.statesOf(telling);
  const failure = findStandingFailure(drv, past.values(), again);
  if (failure !== null) return recordStanding(deps, drv, failure);
  const outcomes = await buildMissing(
    builds,
    { graph, plans: [] },
    { side: 'judged', roots: [drv], missing, progress: { finished: 0, total: 0 }, signal },
  );
  const outcome = outcomes.get(drv);
  return outcome === undefined ? recordValid(deps, drv) : endingOf(outcome);
};
