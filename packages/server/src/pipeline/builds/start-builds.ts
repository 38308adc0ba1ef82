// Free slots take the best of what is ready, and what no builder has a slot for any more is ended.
import { settleUnsatisfiable } from '@eka-ci/core/build-settlement';
import type { PooledBuilder } from '../../builder/builder-pool.ts';
import { needsOf, whatNobodyHas } from './placement.ts';
import type { StartedBuild } from './running-builds.ts';
import { type SchedulerState, stepOf, type Turn, tellAll } from './scheduler-state.ts';

type Place = Pick<StartedBuild, 'node' | 'slot' | 'outputs'> & { readonly builder: PooledBuilder };

const startLater = (state: SchedulerState, place: Place, turn: Turn): void => {
  const { running, recorder } = state;
  const drv = state.wanted.graph.pathOf(place.node);
  const reserved = { ...place, drv, attempt: 0 };
  running.reserve(reserved);
  turn.steps.push(stepOf(drv, 'start'));
  turn.acts.push(() => {
    const start = running.start({ ...reserved, attempt: recorder.attemptOf(drv) });
    tellAll(state.wanted.waitingFor(place.node), start);
  });
};

/** What was taken up while somebody could build it, and is ready when nobody can any more: it would wait for ever. */
export const endUnbuildable = async (state: SchedulerState, turn: Turn): Promise<void> => {
  const { graph, frontier, order, kinds } = state.wanted;
  const builders = state.deps.pool.builders();
  const lacked = kinds.lackedBy(builders);
  if (lacked.length === 0) return;
  for (let node = order.take(lacked); node !== undefined; node = order.take(lacked)) {
    const message = whatNobodyHas(builders, needsOf(graph, node)) ?? 'no builder offers what it asks for';
    await state.endUntried(settleUnsatisfiable({ graph, frontier }, node, message), turn);
  }
};

export const startBuilds = (state: SchedulerState, turn: Turn): void => {
  const { graph, order, kinds } = state.wanted;
  const { load } = state.running;
  for (;;) {
    const node = order.take(load.startable(kinds));
    if (node === undefined) return;
    const outputs = graph.outputsOf(node).flatMap(({ path }) => (path === '' ? [] : [path]));
    const maker = state.running.makerOf(outputs);
    if (maker !== undefined) {
      state.addTwin(maker, node);
      continue;
    }
    const needs = needsOf(graph, node);
    const builder = load.choose(needs, state.triesOf(node).lostOn);
    if (builder === null) throw new Error(`no builder is free for ${graph.pathOf(node)} after all`);
    startLater(state, { node, builder, slot: needs.slot, outputs }, turn);
  }
};
