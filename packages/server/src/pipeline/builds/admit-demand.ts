// A demand's turn has come: what it wants is queued, but for what is known to fail, or what nobody could build.
import { settleFailedBefore, settleUnsatisfiable } from '@eka-ci/core/build-settlement';
import { DrvGraphError, type NodeId } from '@eka-ci/core/drv-graph';
import { outcomeOfStep } from './build-outcome.ts';
import type { KnownFailure } from './known-failures.ts';
import type { OpenDemand } from './open-demand.ts';
import { NeedKinds, needsOf, whatNobodyHas } from './placement.ts';
import type { SchedulerState, Turn } from './scheduler-state.ts';

/** Rows of one transaction: what is queued of a whole package set would keep everybody waiting in one piece. */
const queuedAtOnce = 4000;

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
  const left = new Set(demand.wanted);
  for (const [drv, outcome] of builtSince?.outcomes ?? []) {
    const [node, here] = [own.find(drv), graph.find(drv)];
    if (node === undefined || (here !== undefined && unsettled.has(here)) || !left.delete(node)) continue;
    turn.acts.push(() => demand.tell({ kind: 'build-finished', outcome }));
  }
  demand.wanted = left;
};

/** Null where its graph cannot be built: the demand fails by that, and no other. */
const enter = async ({ wanted }: SchedulerState, demand: OpenDemand): Promise<Entered | null> => {
  try {
    const ids = await wanted.copy(demand);
    const fresh = ids.filter((node) => !wanted.isUnsettled(node));
    return { ids, fresh, ready: wanted.extend(fresh) };
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
  if (believes === 'no-failure' || fresh.length === 0) return new Map();
  const known = await deps.findKnownFailures(graph, new Set(fresh));
  if (believes === 'every-failure') return known;
  return new Map([...known].filter(([, { builtAgain }]) => builtAgain));
};

const endKnown = (
  state: SchedulerState,
  { node, failure }: { readonly node: NodeId; readonly failure: KnownFailure },
  turn: Turn,
): void => {
  const { graph, frontier } = state.wanted;
  if (!state.wanted.isUnsettled(node)) return;
  const [own, ...dependents] = settleFailedBefore({ graph, frontier }, node, failure);
  if (own !== undefined) {
    // Its row stays as it is, with the attempt that failed.
    const { attempt, logFile, lastLines } = failure;
    const outcome = { ...outcomeOfStep(graph, own, attempt), logFile, lastLines };
    state.settle(node, () => ({ kind: 'build-finished', outcome }), turn);
  }
  for (const step of dependents) state.endUntried(step, turn);
};

const endUnsatisfiable = (state: SchedulerState, fresh: readonly NodeId[], turn: Turn): void => {
  const { wanted, deps } = state;
  const { graph, frontier } = wanted;
  const builders = deps.pool.builders();
  // Of this demand alone: nobody need remember what a change makes up.
  const kinds = new NeedKinds();
  const missing = new Map<number, string | null>();
  for (const node of fresh) {
    if (!wanted.isUnsettled(node)) continue;
    const kind = kinds.kindOf(needsOf(graph, node));
    if (!missing.has(kind)) missing.set(kind, whatNobodyHas(builders, needsOf(graph, node)));
    const message = missing.get(kind) ?? null;
    if (message === null) continue;
    for (const step of settleUnsatisfiable({ graph, frontier }, node, message)) state.endUntried(step, turn);
  }
};

/** @throws DatabaseError */
export const admitDemand = async (state: SchedulerState, demand: OpenDemand, turn: Turn): Promise<void> => {
  demand.isAdmitted = true;
  if (demand.asked.signal.aborted) return;
  const { wanted, recorder, running } = state;
  takeBuilt(state, demand, turn);
  const entered = await enter(state, demand);
  if (entered === null) return;
  const { ids, fresh, ready } = entered;
  wanted.join(demand, ids);
  const known = await findKnown(state, demand, fresh);
  const unknown = fresh.filter((node) => !known.has(node));
  for (let at = 0; at < unknown.length; at += queuedAtOnce) {
    const part = unknown.slice(at, at + queuedAtOnce);
    await recorder.enqueue(part.map((node) => wanted.graph.pathOf(node)));
  }
  // Dependents first: what is known to fail by itself is not queued, and cannot fail by what it needs.
  for (const node of fresh.toReversed()) {
    const failure = known.get(node);
    if (failure !== undefined) endKnown(state, { node, failure }, turn);
  }
  endUnsatisfiable(state, fresh, turn);
  state.makeReady(ready, turn);
  for (const node of ids) {
    const start = running.startOf(node);
    if (start !== null) turn.acts.push(() => demand.tell(start));
  }
};
