// Builds what some roots lack, tells of it, and keeps what comes of it.
import type { BuildClass } from '@eka-ci/core/build-order';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RebuildPlan } from '@eka-ci/core/rebuild-plan';
import type { MissingPaths, StoreQueries } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { ChangeListing, Database } from '../../database/database.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import { readExpectedDurations } from './expected-durations.ts';
import type { OutputRoots } from './output-roots.ts';
import type { BuildDemand, Scheduler } from './scheduler.ts';
import type { SuccessMemory } from './success-memory.ts';

/** What builds are for: it decides their place among those of others. */
export interface BuildPurpose {
  readonly class: BuildClass;
  /** Milliseconds since 1970: since when somebody waits for it. */
  readonly arrivedAtMs: number;
  /** Null for what belongs to no change. */
  readonly change: ChangeListing | null;
}

export interface BuildStage {
  readonly scheduler: Pick<Scheduler, 'demand' | 'recordAtRest' | 'rememberSuccesses'>;
  readonly purpose: BuildPurpose;
  /** What was recorded, and what was learnt from it. */
  readonly records: Pick<Database, 'builds' | 'packages'>;
  readonly store: StoreQueries;
  readonly onEvent: (event: ReviewEvent) => void;
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

/** A run's events in the words of a review. @param etaS null where nobody knows */
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
      case 'build-started': {
        const leftS = etaS();
        return stage.onEvent({
          type: 'build-started',
          drvPath: event.drv,
          name: nameOf(event.drv),
          attempt: event.attempt,
          ...(leftS === null ? {} : { etaS: leftS }),
        });
      }
      case 'phase':
        return stage.onEvent({ type: 'build-phase', drvPath: event.drv, phase: event.phase });
      case 'retried': {
        const message = `${nameOf(event.drv)} is tried once more: ${event.message ?? event.cause}`;
        return stage.onEvent({ type: 'notice', level: 'warning', message });
      }
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
  /** @default as the purpose has it */
  readonly believes?: BuildDemand['believes'];
  /** Of what the store lacked when it was asked. @default it was not asked */
  readonly builtSince?: SuccessMemory;
  /** True: once more, after everything else. @default false */
  readonly isSecondTry?: boolean;
}

/** What a baseline finds counts for all changes to come: a failure that was seen once is looked at again. */
const demandFor = ({ purpose }: BuildStage, { isSecondTry = false, believes, builtSince }: WantedBuilds) => ({
  ...purpose,
  ...(purpose.class === 'base-branch' && { believes: 'repeated-failures' as const }),
  ...(believes !== undefined && { believes }),
  ...(builtSince !== undefined && { builtSince }),
  ...(isSecondTry && { class: 'flaky-retry' as const, believes: 'no-failure' as const }),
});

const runBuilds = async (stage: BuildStage, request: BuildRequest, wantedBuilds: WantedBuilds) => {
  const { graph } = request;
  const { wanted, roots, progress, signal } = wantedBuilds;
  const { durationOf, areKnown } = await readExpectedDurations(stage.records.packages, graph, wanted);
  signal.throwIfAborted();
  const etaS = (): number | null => (areKnown ? Math.round(builds.expectedLeftS()) : null);
  const report = createReporter(stage, request, { progress, etaS });
  const kept = new Set(roots);
  const onEvent = (event: BuildEvent): void => {
    if (event.kind === 'build-finished' && event.outcome.state === 'succeeded') {
      const node = graph.find(event.outcome.drv);
      if (node !== undefined && kept.has(node)) keepOutputs(stage, graph, node);
    }
    report(event);
  };
  const demand = demandFor(stage, wantedBuilds);
  const builds = stage.scheduler.demand({ ...demand, graph, wanted, durationOf, onEvent, signal });
  return builds.finished;
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

/** What the store lacked when it was asked, and what was built since. */
export interface Lacking {
  readonly missing: MissingPaths;
  readonly builtSince: SuccessMemory;
}

/** @returns what `use` does @throws StoreQueryError, DerivationLostError, and what `use` does */
export const withLacking = async <Result>(
  { scheduler, store }: BuildStage,
  roots: readonly DrvPath[],
  use: (lacking: Lacking) => Promise<Result>,
): Promise<Result> => {
  const builtSince = scheduler.rememberSuccesses();
  try {
    const missing = await store.queryMissing(roots);
    const lost = missing.unknown[0];
    if (lost !== undefined) throw new DerivationLostError(lost);
    return await use({ missing, builtSince });
  } finally {
    builtSince.close();
  }
};

interface MissingBuilds extends Run, Pick<WantedBuilds, 'believes'> {
  readonly lacking: Lacking;
}

/** Builds what `roots` lack: derivations of the graph. @returns outcomes of what was wanted; all else was valid already */
export const buildMissing = async (
  stage: BuildStage,
  request: BuildRequest,
  { side, roots, lacking: { missing, builtSince }, progress, signal, believes }: MissingBuilds,
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
  const again = believes === undefined ? {} : { believes };
  return buildWanted(stage, request, { wanted, roots: rootNodes, progress, signal, builtSince, ...again });
};
