// After a start: what the server's earlier life left under way. Nothing else may be at work on builds yet.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { Database, StoredBuild } from '../../database/database.ts';
import { diedMessage, type Recorder, type StepToRecord } from './record.ts';

export interface RecoverDeps {
  readonly database: Pick<Database, 'builds' | 'derivations'>;
  readonly recorder: Recorder;
  readonly store: Pick<StoreQueries, 'queryValid'>;
}

export interface Recovered {
  /** Their outputs are there: they had succeeded, or somebody else built them. */
  readonly succeeded: number;
  /** They wait for a change that wants them. */
  readonly interrupted: number;
}

/** Output paths; null where one is not known before the build, so that nobody can ask for it. */
const outputsOf = async (
  derivations: Database['derivations'],
  drv: DrvPath,
): Promise<readonly StorePath[] | null> => {
  const node = await derivations.find(drv);
  const paths = node?.outputs.map(({ path }) => path) ?? [];
  const known = paths.filter((path) => path !== null && path !== '');
  // As they stand in the derivation: only the store can say more of them.
  return known.length === 0 || known.length < paths.length ? null : (known as StorePath[]);
};

const findValid = async (
  deps: Pick<RecoverDeps, 'database' | 'store'>,
  builds: readonly StoredBuild[],
): Promise<Set<DrvPath>> => {
  const outputs = new Map<DrvPath, readonly StorePath[]>();
  for (const { drv } of builds) {
    const paths = await outputsOf(deps.database.derivations, drv);
    if (paths !== null) outputs.set(drv, paths);
  }
  const present = await deps.store.queryValid([...outputs.values()].flat());
  const valid = [...outputs].filter(([, paths]) => paths.every((path) => present.has(path)));
  return new Set(valid.map(([drv]) => drv));
};

const stepOf = (
  drv: DrvPath,
  step: StepToRecord['step'],
  why: Pick<StepToRecord, 'cause' | 'message'>,
): StepToRecord => ({ drv, step, culprit: null, logFile: null, ...why });

const stepsFor = ({ drv, state }: StoredBuild, isValid: boolean): StepToRecord[] => {
  if (isValid) {
    const succeed = stepOf(drv, 'succeed', { cause: 'already-valid', message: null });
    return state === 'building'
      ? [succeed]
      : [stepOf(drv, 'enqueue', { cause: null, message: null }), succeed];
  }
  if (state !== 'building') return [];
  return [stepOf(drv, 'interrupt', { cause: 'scheduler-death', message: diedMessage })];
};

/**
 * Of what a builder was at, asks the store what is done, and records it; the rest is interrupted by the server's death.
 * What had only waited is not asked for: nobody built it here, and whoever wants it asks the store by itself.
 * @throws DatabaseError, StoreQueryError
 */
export const recoverBuilds = async ({ database, recorder, store }: RecoverDeps): Promise<Recovered> => {
  const started = await database.builds.startedUnfinished();
  const valid = await findValid({ database, store }, started);
  await recorder.load(started.map(({ drv }) => drv));
  await recorder.record(started.flatMap((build) => stepsFor(build, valid.has(build.drv))));
  const died = started.filter(({ drv, state }) => state === 'building' && !valid.has(drv));
  return { succeeded: valid.size, interrupted: died.length + (await recorder.interruptWaiting()) };
};
