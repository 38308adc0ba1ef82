// What a run came to for one derivation, in the words of the verdict: the culprit named, its last lines with it.
import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import type { BuildCause } from '@eka-ci/core/build-state';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildOutcome } from './build-outcome.ts';

const failureOf = (cause: BuildCause | null): Pick<AttrOutcome, 'cause'> =>
  cause === null || cause === 'built' || cause === 'substituted' || cause === 'already-valid'
    ? {}
    : { cause };

const culpritOf = (drv: DrvPath | null, graph: DrvGraph): Pick<AttrOutcome, 'culprit'> => {
  const id = drv === null ? undefined : graph.find(drv);
  return drv === null || id === undefined ? {} : { culprit: { drvPath: drv, name: graph.nameOf(id) } };
};

/** @param all outcomes of the run, where the culprit's is found */
export const toAttrOutcome = (
  outcome: BuildOutcome,
  all: ReadonlyMap<DrvPath, BuildOutcome>,
  graph: DrvGraph,
): AttrOutcome => {
  const culprit = outcome.culprit === null ? outcome : (all.get(outcome.culprit) ?? outcome);
  return {
    state: outcome.state,
    ...failureOf(outcome.cause),
    ...culpritOf(outcome.culprit, graph),
    ...(culprit.message === null ? {} : { reason: culprit.message }),
    ...(culprit.lastLines.length === 0 ? {} : { logTail: culprit.lastLines }),
    ...(outcome.durationMs === null ? {} : { durationMs: outcome.durationMs }),
    ...(outcome.cause === 'substituted' ? { substituted: true } : {}),
  };
};
