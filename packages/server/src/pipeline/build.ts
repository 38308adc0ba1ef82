// Stage: plans → every wanted derivation built, and of what newly fails, the base's own, to know whether it is new.
import type { AttrOutcome, OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { basesNeeded } from '@eka-ci/core/verdict';
import { describeWide, findWide, type WideChange } from '@eka-ci/core/wide-change';
import type { MissingPaths, StoreQueries } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Builder } from '../builder/builder.ts';
import { toAttrOutcome } from './attr-outcome.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import type { LiveBuilds } from './live-builds.ts';
import type { OutputRoots } from './output-roots.ts';
import type { Recorder } from './record.ts';
import { type ScheduleOptions, type Slots, scheduleBuilds } from './schedule.ts';
import type { StartGate } from './start-gate.ts';

export interface BuildStage {
  readonly builder: Builder;
  readonly recorder: Recorder;
  readonly store: StoreQueries;
  readonly slots: Slots;
  readonly limits: ScheduleOptions['limits'];
  readonly logs: ScheduleOptions['logs'];
  readonly onEvent: (event: ReviewEvent) => void;
  /** Where others see what is wanted and what runs. */
  readonly live?: LiveBuilds;
  /** While it is shut no build is started. @default always open */
  readonly gate?: StartGate;
  /** Called when none of the builds runs and the gate holds the rest back. It may abort the signal. */
  readonly onRanDry?: () => void;
  /** Keeps the outputs of succeeded roots from garbage collection. @default nobody does */
  readonly outputRoots?: OutputRoots;
}

export interface BuildRequest {
  /** Holds the closures of both sides. */
  readonly graph: DrvGraph;
  readonly plans: readonly RebuildPlan[];
  /** Where more are left to build, nothing is. @default null: however many */
  readonly maxBuilds?: number | null;
}

export interface BuiltChange {
  readonly outcomes: OutcomeLookup;
  /** Not null where nothing was built, for it would have been too much. */
  readonly wide: WideChange | null;
}

/** Thrown when the store cannot make something that a jobset needs, because its derivation is gone. */
export class DerivationLostError extends Error {
  readonly code = 'DRV_LOST';
  constructor(path: string) {
    super(`${path} is no longer in the store; was it garbage-collected meanwhile? Run the review again`);
    this.name = 'DerivationLostError';
  }
}

/** Of one change, over all its runs. */
interface Progress {
  finished: number;
  total: number;
}

/** A run's events in the words of a review. */
const createReporter = (stage: BuildStage, { graph }: BuildRequest, progress: Progress) => {
  const nameOf = (drv: DrvPath): string => {
    const id = graph.find(drv);
    return id === undefined ? drv : graph.nameOf(id);
  };
  const finish = ({ drv, state, message, durationMs }: BuildOutcome): void => {
    progress.finished += 1;
    const { finished, total } = progress;
    stage.onEvent({
      type: 'build-finished',
      drvPath: drv,
      name: nameOf(drv),
      outcome: state,
      message,
      durationMs: durationMs ?? 0,
      finished,
      total,
    });
  };
  return (event: BuildEvent): void => {
    switch (event.kind) {
      case 'build-started':
        return stage.onEvent({
          type: 'build-started',
          drvPath: event.drv,
          name: nameOf(event.drv),
          attempt: event.attempt,
        });
      case 'phase':
        return stage.onEvent({ type: 'build-phase', drvPath: event.drv, phase: event.phase });
      case 'retried': {
        const message = `${nameOf(event.drv)} is tried once more: ${event.message ?? event.cause}`;
        return stage.onEvent({ type: 'notice', level: 'warning', message });
      }
      case 'log-line':
        return;
      case 'build-finished':
      case 'dependency-failed':
      case 'not-built':
        return finish(event.outcome);
    }
  };
};

interface Run {
  readonly side: 'base' | 'judged';
  readonly roots: readonly DrvPath[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const toNode = (graph: DrvGraph, drv: DrvPath): NodeId => {
  const node = graph.find(drv);
  if (node === undefined) throw new DerivationLostError(drv);
  return node;
};

const isAmong = (paths: ReadonlySet<string>, graph: DrvGraph, node: NodeId): boolean =>
  graph.outputsOf(node).some(({ path }) => paths.has(path));

const keepOutputs = (stage: BuildStage, graph: DrvGraph, node: NodeId): void =>
  stage.outputRoots?.add(graph.outputsOf(node).map(({ path }) => path));

interface WantedBuilds extends Pick<Run, 'progress' | 'signal'> {
  readonly wanted: ReadonlySet<NodeId>;
  readonly roots: readonly NodeId[];
}

const runBuilds = async (stage: BuildStage, request: BuildRequest, wantedBuilds: WantedBuilds) => {
  const { graph } = request;
  const { builder, recorder, slots, limits, logs, live, gate, onRanDry } = stage;
  const { wanted, roots, progress, signal } = wantedBuilds;
  const report = createReporter(stage, request, progress);
  const paths = [...wanted].map((node) => graph.pathOf(node));
  const run = live?.follow(paths, (drv) => builds.why(drv));
  const kept = new Set(roots);
  const onEvent = (event: BuildEvent): void => {
    run?.take(event);
    if (event.kind === 'build-finished' && event.outcome.state === 'succeeded') {
      const node = graph.find(event.outcome.drv);
      if (node !== undefined && kept.has(node)) keepOutputs(stage, graph, node);
    }
    report(event);
  };
  const builds = scheduleBuilds({
    graph,
    wanted,
    roots,
    builder,
    recorder,
    slots,
    limits,
    logs,
    onEvent,
    signal,
    ...(gate !== undefined && { gate }),
    ...(onRanDry !== undefined && { onRanDry }),
  });
  return builds.finished.finally(() => run?.end());
};

/** @throws StoreQueryError, DerivationLostError */
export const queryMissing = async (stage: BuildStage, roots: readonly DrvPath[]): Promise<MissingPaths> => {
  const missing = await stage.store.queryMissing(roots);
  const lost = missing.unknown[0];
  if (lost !== undefined) throw new DerivationLostError(lost);
  return missing;
};

/** Builds what `roots` lack: derivations of the graph. @returns outcomes of what was wanted; all else was valid already */
export const buildMissing = async (
  stage: BuildStage,
  request: BuildRequest,
  { side, roots, missing, progress, signal }: Run & { readonly missing: MissingPaths },
): Promise<ReadonlyMap<DrvPath, BuildOutcome>> => {
  const { graph } = request;
  const rootNodes = roots.map((root) => toNode(graph, root));
  const fetched = new Set<string>(missing.willSubstitute);
  const wanted = new Set(missing.willBuild.map((drv) => toNode(graph, drv)));
  const toBuild = wanted.size;
  for (const root of rootNodes) if (isAmong(fetched, graph, root)) wanted.add(root);
  progress.total += wanted.size;
  stage.onEvent({ type: 'building', side, toBuild, toSubstitute: fetched.size });
  try {
    for (const root of rootNodes) if (!wanted.has(root)) keepOutputs(stage, graph, root);
    if (wanted.size === 0) return new Map();
    const outcomes = await runBuilds(stage, request, { wanted, roots: rootNodes, progress, signal });
    signal.throwIfAborted();
    return outcomes;
  } finally {
    // Also where it was cut short: what is built already is wanted when it is taken up again.
    const fault = (await stage.outputRoots?.finish()) ?? null;
    if (fault !== null) stage.onEvent({ type: 'notice', level: 'warning', message: fault });
  }
};

const buildRoots = async (
  stage: BuildStage,
  request: BuildRequest,
  run: Run,
): Promise<ReadonlyMap<DrvPath, BuildOutcome>> =>
  buildMissing(stage, request, { ...run, missing: await queryMissing(stage, run.roots) });

const valid: AttrOutcome = { state: 'succeeded', reason: 'it was in the store already' };
const unasked: AttrOutcome = { state: 'unknown' };

const lookup =
  (built: ReadonlyMap<DrvPath, BuildOutcome>, asked: ReadonlySet<DrvPath>, graph: DrvGraph) =>
  (drv: DrvPath): AttrOutcome => {
    const outcome = built.get(drv);
    if (outcome !== undefined) return toAttrOutcome(outcome, built, graph);
    return asked.has(drv) ? valid : unasked;
  };

/** What is said of each where nothing is built: only what is valid has an outcome. */
const holdBuilds = (wide: WideChange, missing: MissingPaths, { graph }: BuildRequest): BuiltChange => {
  const fetched = new Set<string>(missing.willSubstitute);
  const lacking = new Set<DrvPath>(missing.willBuild);
  const reason = `the change waits for approval: ${describeWide(wide)}`;
  const held: AttrOutcome = { state: 'not-built', reason, awaitsApproval: true };
  const judged = (drv: DrvPath): AttrOutcome =>
    lacking.has(drv) || isAmong(fetched, graph, toNode(graph, drv)) ? held : valid;
  return { outcomes: { judged, base: () => unasked }, wide };
};

/**
 * Resolves when nothing more is to be built. Failures of builds are outcomes.
 * @throws StoreQueryError, DatabaseError, DerivationLostError; the signal's reason when it aborts
 */
export const buildChange = async (
  stage: BuildStage,
  request: BuildRequest,
  signal: AbortSignal,
): Promise<BuiltChange> => {
  const { graph, plans } = request;
  const progress: Progress = { finished: 0, total: 0 };
  const roots = new Set(plans.flatMap((plan) => plan.rootsToBuild));
  const missing = await queryMissing(stage, [...roots]);
  const wide = findWide(missing.willBuild.length, request.maxBuilds ?? null);
  if (wide !== null) {
    stage.onEvent({ type: 'notice', level: 'warning', message: `nothing is built: ${describeWide(wide)}` });
    return holdBuilds(wide, missing, request);
  }
  const run: Run = { side: 'judged', roots: [...roots], progress, signal };
  const built = await buildMissing(stage, request, { ...run, missing });
  const judged = lookup(built, roots, graph);
  const bases = new Set(plans.flatMap((plan) => basesNeeded(plan, { judged, base: () => unasked })));
  const builtBases = await buildRoots(stage, request, { side: 'base', roots: [...bases], progress, signal });
  return { outcomes: { judged, base: lookup(new Map([...built, ...builtBases]), bases, graph) }, wide };
};
