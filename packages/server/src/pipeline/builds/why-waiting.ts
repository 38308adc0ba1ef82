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
  /** Why nothing is started at all, without a full stop; null where slots are filled. */
  readonly heldBack: string | null;
}

/** What a ready one waits for, after "waits". */
const readyPhrase = ({ graph, slots, heldBack }: WaitView, node: NodeId): string => {
  if (heldBack !== null) return `: ${heldBack}`;
  const [count, what] = graph.isFixedOutput(node)
    ? [slots.fixedOutput, 'downloads']
    : [slots.build, 'builds'];
  return ` for a free slot (${count} for ${what})`;
};

/** Null for a derivation that is not in the run, or is settled. */
export const explainWait = (view: WaitView, drv: DrvPath): string | null => {
  const { graph, frontier, builder, isRunning } = view;
  const node = graph.find(drv);
  if (node === undefined) return null;
  const state = frontier.stateOf(node);
  if (isRunning(node)) return `${graph.nameOf(node)} is being built by ${builder}.`;
  if (state === 'ready') return `${graph.nameOf(node)} waits${readyPhrase(view, node)}.`;
  if (state !== 'waiting') return null;
  const path = graph.shortestPathTo(node, (other) => isRunning(other) || frontier.stateOf(other) === 'ready');
  const last = path?.at(-1);
  if (path === null || last === undefined) return `${graph.nameOf(node)} waits for something it needs.`;
  const over = path.length > 2 ? `, ${path.length - 2} between,` : ',';
  const first = isRunning(last) ? `which ${builder} is building` : `which waits${readyPhrase(view, last)}`;
  return `${graph.nameOf(node)} waits for ${graph.nameOf(last)}${over} ${first}.`;
};
