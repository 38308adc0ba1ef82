// A demand's turn has come: what it wants is queued, but for what is known to fail, or what nobody could build.
import { settleFailedBefore, settleUnsatisfiable } from '@eka-ci/core/build-settlement';
import { DrvGraphError, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { eachBreathing } from '../../lib/breathe.ts';
import { outcomeOfStep } from './build-outcome.ts';
import type { KnownFailure } from './known-failures.ts';
import type { OpenDemand } from './open-demand.ts';
import { NeedKinds, needsOf, whatNobodyHas } from './placement.ts';
import type { SchedulerState, Turn } from './scheduler-state.ts';

/** Rows of one transaction: what is queued of a whole package set would keep everybody waiting in one piece. */
const queuedAtOnce = 2000;

interface Entered {
  readonly ids: readonly NodeId[];
  /** Of those, what nobody wanted before. */
  readonly fresh: readonly NodeId[];
  /** Of those, what waits for nothing. */
  readonly ready: readonly NodeId[];
}

/** What was built since its owner asked the store: wanted no more, unless others want that again. */
const takeBuilt = (
  { wanted: { graph, unsettled } }: SchedulerState,
  demand: OpenDemand,
  turn: Turn,
): void => {
  const { builtSince, graph: own } = demand.asked;
  builtSince?.close();
  if ((builtSince?.outcomes.size ?? 0) === 0) return;
  const left = new Set(demand.wanted);
  for (const [drv, outcome] of builtSince?.outcomes ?? []) {
    const [node, here] = [own.find(drv), graph.find(drv)];
    if (node === undefined || (here !== undefined && unsettled.has(here)) || !left.delete(node)) continue;
    turn.acts.push(() => demand.tell({ kind: 'build-finished', outcome }));
  }
  demand.wanted = left;
};

/** Null where nobody waits for it any more, or its graph cannot be built: the demand fails by that, and no other. */
const enter = async ({ wanted, breath }: SchedulerState, demand: OpenDemand): Promise<Entered | null> => {
  try {
    const ids = await wanted.copy(demand);
    // The last moment: from here on rows say that it is wanted, and all of it would have to be ended.
    if (demand.asked.signal.aborted) return null;
    const fresh: NodeId[] = [];
    await eachBreathing(ids, breath, (node) => {
      if (!wanted.isUnsettled(node)) fresh.push(node);
    });
    return { ids, fresh, ready: await wanted.extend(fresh) };
  } catch (error) {
    if (!(error instanceof DrvGraphError)) throw error;
    demand.fault = { error };
    return null;
  }
};

const findKnown = async (
  { deps, wanted: { graph } }: SchedulerState,
  { asked: { believes = 'every-failure' } }: OpenDemand,
  fresh: readonly NodeId[],
): Promise<ReadonlyMap<NodeId, KnownFailure>> => {
  if (believes === 'no-failure') return new Map();
  const known = await deps.findKnownFailures(graph, new Set(fresh));
  if (believes === 'every-failure') return known;
  return new Map([...known].filter(([, { builtAgain }]) => builtAgain));
};

interface KnownNode {
  readonly node: NodeId;
  readonly failure: KnownFailure;
}

/** All that is not known to fail. @returns what is, in the order of `fresh` */
const queue = async (
  state: SchedulerState,
  demand: OpenDemand,
  fresh: readonly NodeId[],
): Promise<KnownNode[]> => {
  const failing: KnownNode[] = [];
  for (let at = 0; at < fresh.length; at += queuedAtOnce) {
    const part = fresh.slice(at, at + queuedAtOnce);
    const known = await findKnown(state, demand, part);
    const unknown: DrvPath[] = [];
    for (const node of part) {
      const failure = known.get(node);
      if (failure === undefined) unknown.push(state.wanted.graph.pathOf(node));
      else failing.push({ node, failure });
    }
    if (unknown.length > 0) await state.recorder.enqueue(unknown);
  }
  return failing;
};

const endKnown = async (state: SchedulerState, { node, failure }: KnownNode, turn: Turn): Promise<void> => {
  const { graph, frontier } = state.wanted;
  if (!state.wanted.isUnsettled(node)) return;
  const [own, ...dependents] = settleFailedBefore({ graph, frontier }, node, failure);
  if (own !== undefined) {
    // Its row stays as it is, with the attempt that failed.
    const { attempt, logFile, lastLines } = failure;
    const outcome = { ...outcomeOfStep(graph, own, attempt), logFile, lastLines };
    state.settle({ node, drv: outcome.drv }, () => ({ kind: 'build-finished', outcome }), turn);
  }
  await state.endUntried(dependents, turn);
};

const endUnsatisfiable = async (
  state: SchedulerState,
  fresh: readonly NodeId[],
  turn: Turn,
): Promise<void> => {
  const { wanted, deps, breath } = state;
  const { graph, frontier } = wanted;
  const builders = deps.pool.builders();
  // Of this demand alone: nobody need remember what a change makes up.
  const kinds = new NeedKinds();
  const missing = new Map<number, string | null>();
  for (const node of fresh) {
    if (breath.isDue()) await breath.take();
    if (!wanted.isUnsettled(node)) continue;
    const kind = kinds.kindOf(needsOf(graph, node));
    if (!missing.has(kind)) missing.set(kind, whatNobodyHas(builders, needsOf(graph, node)));
    const message = missing.get(kind) ?? null;
    if (message === null) continue;
    await state.endUntried(settleUnsatisfiable({ graph, frontier }, node, message), turn);
  }
};

/** @throws DatabaseError */
export const admitDemand = async (state: SchedulerState, demand: OpenDemand, turn: Turn): Promise<void> => {
  demand.isAdmitted = true;
  if (demand.asked.signal.aborted) return;
  const { wanted, running } = state;
  takeBuilt(state, demand, turn);
  const entered = await enter(state, demand);
  if (entered === null) return;
  const { ids, fresh, ready } = entered;
  await wanted.join(demand, ids);
  const known = await queue(state, demand, fresh);
  // Dependents first: what is known to fail by itself is not queued, and cannot fail by what it needs.
  for (const failing of known.toReversed()) await endKnown(state, failing, turn);
  await endUnsatisfiable(state, fresh, turn);
  await state.makeReady(ready, turn);
  for (const node of running.nodes()) {
    const start = demand.left.has(node) ? running.startOf(node) : null;
    if (start !== null) turn.acts.push(() => demand.tell(start));
  }
};
