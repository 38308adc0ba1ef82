// One change while it is built: what is known of it so far, and what its failures are compared with.
import type { AttrOutcome, OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { DrvPath } from '@eka-ci/core/ids';
import { basesNeeded } from '@eka-ci/core/verdict';
import { toAttrOutcome } from './attr-outcome.ts';
import { type BuildRequest, type BuildStage, buildMissing, type Progress, withLacking } from './build.ts';
import type { BuildOutcome } from './build-outcome.ts';

export interface ChangeBuilds {
  readonly stage: BuildStage;
  readonly request: BuildRequest;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** What the plans want, and what was asked for of the bases; what has no outcome then was valid already. */
  readonly roots: ReadonlySet<DrvPath>;
  readonly bases: Set<DrvPath>;
  readonly built: Map<DrvPath, BuildOutcome>;
  readonly builtBases: Map<DrvPath, BuildOutcome>;
}

export const valid: AttrOutcome = { state: 'succeeded', reason: 'it was in the store already' };
export const unasked: AttrOutcome = { state: 'unknown' };

const lookUp =
  (
    { request: { graph } }: ChangeBuilds,
    built: ReadonlyMap<DrvPath, BuildOutcome>,
    asked: ReadonlySet<DrvPath>,
  ) =>
  (drv: DrvPath): AttrOutcome => {
    const outcome = built.get(drv);
    if (outcome !== undefined) return toAttrOutcome(outcome, built, graph);
    return asked.has(drv) ? valid : unasked;
  };

/** As far as it is known now. */
export const outcomesOf = (change: ChangeBuilds): OutcomeLookup => {
  const { built, builtBases, roots, bases } = change;
  return {
    judged: lookUp(change, built, roots),
    base: lookUp(change, new Map([...built, ...builtBases]), bases),
  };
};

/** Builds what a failure is to be compared with and was not asked for so far. @throws as buildChange */
export const buildBases = async (change: ChangeBuilds): Promise<void> => {
  const { stage, request, progress, signal, bases, builtBases } = change;
  const { judged } = outcomesOf(change);
  const asked: OutcomeLookup = { judged, base: (drv) => (bases.has(drv) ? valid : unasked) };
  const roots = [...new Set(request.plans.flatMap((plan) => basesNeeded(plan, asked)))];
  const run = { side: 'base', roots, progress, signal } as const;
  const found = await withLacking(stage, roots, (lacking) =>
    buildMissing(stage, request, { ...run, lacking }),
  );
  for (const [drv, outcome] of found) builtBases.set(drv, outcome);
  for (const base of roots) bases.add(base);
};
