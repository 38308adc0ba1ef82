// What would be newly failing is built once more, after everything else of its change. What then succeeds was flaky, and
// what had waited for it is built as well.
import { type SettledStep, settleDependent } from '@eka-ci/core/build-settlement';
import type { BuildStep } from '@eka-ci/core/build-state';
import type { NodeId } from '@eka-ci/core/drv-graph';
import {
  type BuildAgain,
  chooseBuildAgain,
  type Freed,
  failuresBefore,
  findFreed,
  isOwnFailure,
  mostBuiltAgain,
  type NodeEnding,
} from '@eka-ci/core/flaky';
import type { DrvPath } from '@eka-ci/core/ids';
import { culpritsOfNewFailures } from '@eka-ci/core/verdict';
import { buildWanted, toNode } from './build.ts';
import { type BuildOutcome, outcomeOfStep } from './build-outcome.ts';
import { buildBases, type ChangeBuilds, outcomesOf } from './change-builds.ts';

/** Those whose own failure is behind a row, and that failed only once so far: a row each. */
const findDoubtful = async (
  change: ChangeBuilds,
  tried: ReadonlySet<DrvPath>,
): Promise<readonly DrvPath[]> => {
  const { stage, request, built } = change;
  const outcomes = outcomesOf(change);
  const culprits = request.plans
    .flatMap((plan) => culpritsOfNewFailures(plan, outcomes))
    .filter((drv) => {
      const outcome = built.get(drv);
      return outcome !== undefined && isOwnFailure(outcome) && !tried.has(drv);
    });
  const answers = await stage.records.builds.answersOf(culprits);
  return culprits.filter((drv) => {
    const all = answers.get(drv) ?? [];
    // It may be built by now: something of the base needs it as well.
    return all.at(-1)?.state === 'succeeded' || failuresBefore(all).length === 0;
  });
};

const buildNodes = async (
  change: ChangeBuilds,
  nodes: readonly NodeId[],
  { isSecondTry }: { readonly isSecondTry: boolean },
): Promise<ReadonlyMap<DrvPath, BuildOutcome>> => {
  const { stage, request, progress, signal, roots } = change;
  const wanted = new Set(nodes);
  progress.total += wanted.size;
  stage.onEvent({ type: 'building', side: 'judged', toBuild: wanted.size, toSubstitute: 0 });
  const rootNodes = Array.from(roots, (root) => toNode(request.graph, root));
  return buildWanted(stage, request, { wanted, roots: rootNodes, progress, signal, isSecondTry });
};

const endingOf =
  ({ request: { graph }, built }: ChangeBuilds) =>
  (node: NodeId): NodeEnding => {
    const outcome = built.get(graph.pathOf(node));
    if (outcome === undefined) return null;
    const { state, culprit } = outcome;
    if (state === 'dependency-failed')
      return { state, culprit: culprit === null ? null : toNode(graph, culprit) };
    return { state: state === 'succeeded' ? state : 'other' };
  };

const stepOf: Readonly<Record<BuildOutcome['state'], BuildStep>> = {
  succeeded: 'succeed',
  failed: 'fail',
  'dependency-failed': 'fail-dependency',
  interrupted: 'interrupt',
  unsatisfiable: 'find-unsatisfiable',
};

/** What was laid to a failure that did not last, and has another one below it, is laid to that. */
const blameOthers = async (change: ChangeBuilds, blocked: Freed['stillBlocked']): Promise<void> => {
  const { stage, request, built } = change;
  const { graph } = request;
  const steps = [...blocked].flatMap(([node, culprit]): SettledStep[] => {
    const outcome = built.get(graph.pathOf(culprit));
    if (outcome === undefined) return [];
    const { state, cause, message } = outcome;
    return [
      settleDependent(graph, node, { node: culprit, step: stepOf[state], cause, culprit: null, message }),
    ];
  });
  const recorded = await stage.scheduler.recordAtRest(
    steps.map(({ node, culprit, ...step }) => {
      const drv = graph.pathOf(node);
      return { drv, ...step, culprit: culprit === null ? null : graph.pathOf(culprit), logFile: null };
    }),
  );
  const attempts = new Map(recorded.map(({ drv, attempt }) => [drv, attempt]));
  for (const step of steps) {
    const drv = graph.pathOf(step.node);
    built.set(drv, outcomeOfStep(graph, step, attempts.get(drv) ?? built.get(drv)?.attempt ?? 1));
  }
};

const tell = ({ stage, request: { graph } }: ChangeBuilds, { drvs }: BuildAgain): void => {
  const names = drvs.map((drv) => graph.nameOf(toNode(graph, drv)));
  const message = `built once more, for ${names.length === 1 ? 'it' : 'they'} would be newly failing: ${names.join(', ')}`;
  stage.onEvent({ type: 'notice', level: 'warning', message });
};

const buildAgain = async (change: ChangeBuilds, chosen: BuildAgain): Promise<void> => {
  const { built, request } = change;
  const { graph } = request;
  tell(change, chosen);
  // They alone at first: mostly they fail again, and what waits for them need not be touched.
  const second = await buildNodes(
    change,
    chosen.drvs.map((drv) => toNode(graph, drv)),
    { isSecondTry: true },
  );
  for (const [drv, outcome] of second) {
    // One that is no answer, as a timeout is none, leaves the first as it was.
    if (outcome.state === 'succeeded' || isOwnFailure(outcome)) built.set(drv, outcome);
  }
  const recovered = chosen.drvs.filter((drv) => built.get(drv)?.state === 'succeeded');
  if (recovered.length === 0) return;
  const freed = findFreed(
    graph,
    recovered.map((drv) => toNode(graph, drv)),
    endingOf(change),
  );
  await blameOthers(change, freed.stillBlocked);
  if (freed.nodes.length > 0) {
    const first = await buildNodes(change, freed.nodes, { isSecondTry: false });
    for (const [drv, outcome] of first) built.set(drv, outcome);
  }
  // What is tried now for the first time can fail by its own doing.
  await buildBases(change);
};

/**
 * Only failures that the base is known not to have, each once, and at most `mostBuiltAgain` of a change: what failed
 * before this judgement as well, also under a server that died over it, is believed.
 * @returns one sentence on those that were too many; null where all were built again
 * @throws as buildChange
 */
export const buildFailuresAgain = async (change: ChangeBuilds): Promise<string | null> => {
  const tried = new Set<DrvPath>();
  for (;;) {
    const doubtful = await findDoubtful(change, tried);
    const chosen = chooseBuildAgain(doubtful, mostBuiltAgain - tried.size);
    if (chosen.drvs.length > 0) {
      for (const drv of chosen.drvs) tried.add(drv);
      await buildAgain(change, chosen);
      continue;
    }
    if (chosen.passedOver === 0) return null;
    const [count, verb] = [chosen.passedOver, chosen.passedOver === 1 ? 'was' : 'were'];
    return `${count} of what newly fails ${verb} built only once: of one change ${mostBuiltAgain} are built once more`;
  }
};
