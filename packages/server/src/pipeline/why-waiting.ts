// One sentence on what a derivation waits for.
import type { BuildFrontier } from '@eka-ci/core/build-frontier';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';

export interface WaitView {
  readonly graph: DrvGraph;
  readonly frontier: BuildFrontier;
  readonly builder: string;
  readonly slots: { readonly build: number; readonly fixedOutput: number };
  readonly isRunning: (node: NodeId) => boolean;
}

const slotPhrase = ({ graph, slots }: WaitView, node: NodeId): string => {
  const [count, what] = graph.isFixedOutput(node)
    ? [slots.fixedOutput, 'downloads']
    : [slots.build, 'builds'];
  return `a free slot (${count} for ${what})`;
};

/** Null for a derivation that is not in the run, or is settled. */
export const explainWait = (view: WaitView, drv: DrvPath): string | null => {
  const { graph, frontier, builder, isRunning } = view;
  const node = graph.find(drv);
  if (node === undefined) return null;
  const state = frontier.stateOf(node);
  if (isRunning(node)) return `${graph.nameOf(node)} is being built by ${builder}.`;
  if (state === 'ready') return `${graph.nameOf(node)} waits for ${slotPhrase(view, node)}.`;
  if (state !== 'waiting') return null;
  const path = graph.shortestPathTo(node, (other) => isRunning(other) || frontier.stateOf(other) === 'ready');
  const last = path?.at(-1);
  if (path === null || last === undefined) return `${graph.nameOf(node)} waits for something it needs.`;
  const over = path.length > 2 ? `, ${path.length - 2} between,` : ',';
  const first = isRunning(last)
    ? `which ${builder} is building`
    : `which waits for ${slotPhrase(view, last)}`;
  return `${graph.nameOf(node)} waits for ${graph.nameOf(last)}${over} ${first}.`;
};
