// One sentence on what a derivation waits for.
import type { BuildFrontier } from '@eka-ci/core/build-frontier';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuilderPool } from '../../builder/builder-pool.ts';
import { buildersFor, needsOf } from './placement.ts';

export interface WaitView {
  readonly graph: DrvGraph;
  readonly frontier: BuildFrontier;
  readonly pool: BuilderPool;
  /** Where it runs; null where it does not. */
  readonly builderOf: (node: NodeId) => string | null;
  /** Why nothing is started at all, without a full stop; null where slots are filled. */
  readonly heldBack: string | null;
}

const and = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

/** What a ready one waits for, after "waits". */
const readyPhrase = ({ graph, pool, heldBack }: WaitView, node: NodeId): string => {
  if (heldBack !== null) return `: ${heldBack}`;
  const needs = needsOf(graph, node);
  const builders = buildersFor(pool.builders(), needs);
  const out = builders.flatMap(({ name }) => {
    const outage = pool.outageOf(name);
    return outage === null ? [] : [{ name, ...outage }];
  });
  const [first] = out;
  if (first !== undefined && out.length === builders.length) {
    const others = out.length > 1 ? ` (and ${and(out.slice(1).map(({ name }) => name))})` : '';
    return ` for the builder ${first.name}${others}, which is out: ${first.reason}`;
  }
  const slots = builders.reduce((sum, builder) => sum + builder.slots[needs.slot], 0);
  return ` for a free slot (${slots} for ${needs.slot === 'build' ? 'builds' : 'downloads'})`;
};

/** Null for a derivation that is not wanted, or is settled. */
export const explainWait = (view: WaitView, drv: DrvPath): string | null => {
  const { graph, frontier, builderOf } = view;
  const node = graph.find(drv);
  if (node === undefined) return null;
  const state = frontier.stateOf(node);
  const builder = builderOf(node);
  if (builder !== null) return `${graph.nameOf(node)} is being built by ${builder}.`;
  if (state === 'ready') return `${graph.nameOf(node)} waits${readyPhrase(view, node)}.`;
  if (state !== 'waiting') return null;
  const path = graph.shortestPathTo(
    node,
    (other) => builderOf(other) !== null || frontier.stateOf(other) === 'ready',
  );
  const last = path?.at(-1);
  if (path === null || last === undefined) return `${graph.nameOf(node)} waits for something it needs.`;
  const over = path.length > 2 ? `, ${path.length - 2} between,` : ',';
  const maker = builderOf(last);
  const first = maker === null ? `which waits${readyPhrase(view, last)}` : `which ${maker} is building`;
  return `${graph.nameOf(node)} waits for ${graph.nameOf(last)}${over} ${first}.`;
};
