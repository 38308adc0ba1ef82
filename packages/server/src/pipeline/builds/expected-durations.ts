// What a run's builds are expected to take, read before it begins.
import { expectDurations, type PackageKey, packageKeyText } from '@eka-ci/core/build-durations';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { PackageHistory, Packages } from '../../database/database.ts';
import { packageKeyOf } from '../../database/package-key.ts';
import { createBreath, eachBreathing, takeBreathing } from '../../lib/breathe.ts';

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

/** Packages of one question: others ask the database in between. */
const askedAtOnce = 2000;

const readHistories = async (
  packages: Pick<Packages, 'historiesOf'>,
  keys: readonly PackageKey[],
): Promise<PackageHistory[]> => {
  const histories: PackageHistory[] = [];
  for (let at = 0; at < keys.length; at += askedAtOnce) {
    for (const one of await packages.historiesOf(keys.slice(at, at + askedAtOnce))) histories.push(one);
  }
  return histories;
};

/** In several breaths: there may be a whole package set. @throws DatabaseError */
export const readExpectedDurations = async (
  packages: Pick<Packages, 'historiesOf'>,
  graph: DrvGraph,
  wanted: Iterable<NodeId>,
): Promise<ExpectedDurations> => {
  const breath = createBreath();
  const keys = new Map<NodeId, PackageKey>();
  const distinct = new Map<string, PackageKey>();
  await eachBreathing(wanted, breath, (node) => {
    const key = packageOf(graph, node);
    keys.set(node, key);
    distinct.set(packageKeyText(key), key);
  });
  const histories = await readHistories(packages, [...distinct.values()]);
  const expected = await takeBreathing(expectDurations(histories), breath);
  const seconds = new Map<NodeId, number>();
  await eachBreathing(keys, breath, ([node, key]) => seconds.set(node, expected(key)));
  const known = histories.filter(({ recentMs }) => recentMs.length > 0).length;
  return {
    durationOf: (node) => seconds.get(node) ?? expected(packageOf(graph, node)),
    areKnown: 2 * known > distinct.size,
  };
};
