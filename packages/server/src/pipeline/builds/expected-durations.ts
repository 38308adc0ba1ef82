// What a run's builds are expected to take, read in one go before it begins.
import { expectDurations, type PackageKey, packageKeyText } from '@eka-ci/core/build-durations';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { Packages } from '../../database/database.ts';
import { packageKeyOf } from '../../database/package-key.ts';

export interface ExpectedDurations {
  /** Seconds. Of a node that was not among `wanted` it knows its kind at most. */
  readonly durationOf: (node: NodeId) => number;
  /** True where most packages were built before, so that a sum of durations says something. */
  readonly areKnown: boolean;
}

/** The package that a node is a build of. */
export const packageOf = (graph: DrvGraph, node: NodeId): PackageKey => {
  const kind = { system: graph.systemOf(node), fixedOutput: graph.isFixedOutput(node) };
  return packageKeyOf(graph.pathOf(node), kind);
};

/** @throws DatabaseError */
export const readExpectedDurations = async (
  packages: Pick<Packages, 'historiesOf'>,
  graph: DrvGraph,
  wanted: Iterable<NodeId>,
): Promise<ExpectedDurations> => {
  const keys = new Map(Array.from(wanted, (node) => [node, packageOf(graph, node)]));
  const histories = await packages.historiesOf(keys.values());
  const expected = expectDurations(histories);
  const seconds = new Map(Array.from(keys, ([node, key]) => [node, expected(key)]));
  const known = histories.filter(({ recentMs }) => recentMs.length > 0).length;
  const distinct = new Set(Array.from(keys.values(), packageKeyText)).size;
  return {
    durationOf: (node) => seconds.get(node) ?? expected(packageOf(graph, node)),
    areKnown: 2 * known > distinct,
  };
};
