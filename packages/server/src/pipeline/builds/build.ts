// Builds what some roots lack, tells of it, and keeps what comes of it.
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RebuildPlan } from '@eka-ci/core/rebuild-plan';
import type { MissingPaths, StoreQueries } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Builder } from '../../builder/builder.ts';
import type { Database } from '../../database/database.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import { readExpectedDurations } from './expected-durations.ts';
import type { LiveBuilds } from './live-builds.ts';
import type { OutputRoots } from './output-roots.ts';
import type { Recorder } from './record.ts';
import { type ScheduleOptions, type Slots, scheduleBuilds } from './schedule.ts';
import type { StartGate } from './start-gate.ts';

export interface BuildStage {
  readonly builder: Builder;
  readonly recorder: Recorder;
  /** What the recorder recorded, and what was learnt from it. */
  readonly records: Pick<Database, 'builds' | 'packages'>;
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
export interface Progress {
  finished: number;
  total: number;
}

/** A run's events in the words of a review. */
/** @param etaS null where nobody knows */
const createReporter = (
  stage: BuildStage,
  { graph }: BuildRequest,
  { progress, etaS }: { readonly progress: Progress; readonly etaS: () => number | null },
) => {
  const nameOf = (drv: DrvPath): string => {
    const id = graph.find(drv);
    return id === undefined ? drv : graph.nameOf(id);
  };
  const finish = ({ drv, state, message, durationMs }: BuildOutcome): void => {
    progress.finished += 1;
    const { finished, total } = progress;
    const leftS = etaS();
    stage.onEvent({
      type: 'build-finished',
      drvPath: drv,
      name: nameOf(drv),
      outcome: state,
      message,
      durationMs: durationMs ?? 0,
      finished,
      total,
      ...(leftS === null ? {} : { etaS: leftS }),
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

/** @throws DerivationLostError where the graph does not have it */
export const toNode = (graph: DrvGraph, drv: DrvPath): NodeId => {
  const node = graph.find(drv);
  if (node === undefined) throw new DerivationLostError(drv);
  return node;
};

export const isAmong = (paths: ReadonlySet<string>, graph: DrvGraph, node: NodeId): boolean =>
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
  const { durationOf, areKnown } = await readExpectedDurations(stage.records.packages, graph, wanted);
  const etaS = (): number | null => (areKnown ? Math.round(builds.expectedLeft()) : null);
  const report = createReporter(stage, request, { progress, etaS });
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
    durationOf,
    onEvent,
    signal,
    ...(gate !== undefined && { gate }),
    ...(onRanDry !== undefined && { onRanDry }),
  });
  return builds.finished.finally(() => run?.end());
};

/** Builds these and nothing else; their inputs that are not among them are there. @returns their outcomes */
export const buildWanted = async (
  stage: BuildStage,
  request: BuildRequest,
  wantedBuilds: WantedBuilds,
): Promise<ReadonlyMap<DrvPath, BuildOutcome>> => {
  try {
    if (wantedBuilds.wanted.size === 0) return new Map();
    const outcomes = await runBuilds(stage, request, wantedBuilds);
    wantedBuilds.signal.throwIfAborted();
    return outcomes;
  } finally {
    // Also where it was cut short: what is built already is wanted when it is taken up again.
    const fault = (await stage.outputRoots?.finish()) ?? null;
    if (fault !== null) stage.onEvent({ type: 'notice', level: 'warning', message: fault });
  }
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
  for (const root of rootNodes) if (!wanted.has(root)) keepOutputs(stage, graph, root);
  return buildWanted(stage, request, { wanted, roots: rootNodes, progress, signal });
};
