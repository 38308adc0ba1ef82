// Free slots take the best of what is ready.
import type { PooledBuilder } from '../../builder/builder-pool.ts';
import { needsOf } from './placement.ts';
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
