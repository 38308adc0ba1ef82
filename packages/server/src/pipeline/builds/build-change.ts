// Stage: plans → every wanted derivation built; of what newly fails the base's own, to know whether it is new; and what
// is new once more, to know whether it is true.
import type { AttrOutcome, OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { DrvPath } from '@eka-ci/core/ids';
import { describeWide, findWide, type WideChange } from '@eka-ci/core/wide-change';
import type { MissingPaths } from '@eka-ci/nix/store-queries';
import {
  type BuildRequest,
  type BuildStage,
  buildMissing,
  isAmong,
  type Progress,
  toNode,
  withLacking,
} from './build.ts';
import { buildFailuresAgain } from './build-again.ts';
import type { BuildOutcome } from './build-outcome.ts';
import { buildBases, type ChangeBuilds, outcomesOf, unasked, valid } from './change-builds.ts';
import { readAttempts, type ToldAttempts } from './tell-attempts.ts';

export interface ChangeBuildRequest extends BuildRequest {
  /** Where more are left to build, nothing is. @default null: however many */
  readonly maxBuilds?: number | null;
  /** True: what would be newly failing is built once more. */
  readonly again: boolean;
}

export interface BuiltChange {
  readonly outcomes: OutcomeLookup;
  /** What the judged side wanted built. */
  readonly wanted: Iterable<DrvPath>;
  /** Not null where nothing was built, for it would have been too much. */
  readonly wide: WideChange | null;
  /** For people: what the rows do not say. */
  readonly warnings: readonly string[];
}

/** What is said of each where nothing is built: only what is valid has an outcome. */
const holdBuilds = (
  stage: BuildStage,
  { graph }: BuildRequest,
  { wide, missing }: { readonly wide: WideChange; readonly missing: MissingPaths },
): BuiltChange => {
  stage.onEvent({ type: 'notice', level: 'warning', message: `nothing is built: ${describeWide(wide)}` });
  const fetched = new Set<string>(missing.willSubstitute);
  const lacking = new Set<DrvPath>(missing.willBuild);
  const reason = `the change waits for approval: ${describeWide(wide)}`;
  const held: AttrOutcome = { state: 'not-built', reason, awaitsApproval: true };
  const judged = (drv: DrvPath): AttrOutcome =>
    lacking.has(drv) || isAmong(fetched, graph, toNode(graph, drv)) ? held : valid;
  return { outcomes: { judged, base: () => unasked }, wanted: [], wide, warnings: [] };
};

const withAttempts = ({ judged, base }: OutcomeLookup, told: ToldAttempts): OutcomeLookup => ({
  judged: (drv) => told.addTo(drv, judged(drv)),
  base,
});

/**
 * Resolves when nothing more is to be built. Failures of builds are outcomes.
 * @throws StoreQueryError, DatabaseError, DerivationLostError; the signal's reason when it aborts
 */
export const buildChange = async (
  stage: BuildStage,
  request: ChangeBuildRequest,
  signal: AbortSignal,
): Promise<BuiltChange> => {
  const roots = new Set(request.plans.flatMap((plan) => plan.rootsToBuild));
  const progress: Progress = { finished: 0, total: 0 };
  const run = { side: 'judged', roots: [...roots], progress, signal } as const;
  const first = await withLacking(stage, [...roots], async (lacking) => {
    const wide = findWide(lacking.missing.willBuild.length, request.maxBuilds ?? null);
    if (wide !== null) return { held: holdBuilds(stage, request, { wide, missing: lacking.missing }) };
    return { built: new Map(await buildMissing(stage, request, { ...run, lacking })) };
  });
  if (first.held !== undefined) return first.held;
  const { built } = first;
  const known = { roots, built, bases: new Set<DrvPath>(), builtBases: new Map<DrvPath, BuildOutcome>() };
  const change: ChangeBuilds = { stage, request, progress, signal, ...known };
  await buildBases(change);
  const left = request.again ? await buildFailuresAgain(change) : null;
  const told = await readAttempts(change);
  const warnings = [...told.warnings, ...(left === null ? [] : [left])];
  const outcomes = withAttempts(outcomesOf(change), told);
  return { outcomes, wanted: built.keys(), wide: null, warnings };
};
