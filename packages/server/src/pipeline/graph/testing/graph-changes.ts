// Changes to random package sets, with real derivation files, and what judging one comes to in a given graph.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import { buildChangeSummary } from '@eka-ci/core/change-summary/build';
import type { DrvGraph, DrvNode } from '@eka-ci/core/drv-graph';
import { drvNodeOf } from '@eka-ci/core/graph/copy-node';
import type { DrvPath } from '@eka-ci/core/ids';
import { classifyPackageChanges } from '@eka-ci/core/package-changes';
import { measureRebuildImpact } from '@eka-ci/core/rebuild-impact';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import {
  type EvaluatedSets,
  evaluateSets,
  type PackageSet,
  testNameRules,
} from '@eka-ci/core/testing/package-set';
import { judgeJobset } from '@eka-ci/core/verdict';
import { printDerivation } from '@eka-ci/nix/derivation';
import { baseNameOf } from '@eka-ci/nix/store-path';
import fc from 'fast-check';

export const storeDir = '/nix/store';

/** `size` packages, each needing some of those before it, and what a change edits of them. */
export const changeArbitrary = (size: number): fc.Arbitrary<EvaluatedSets> =>
  fc
    .record({
      // The same tools for all, so that changes share what they need.
      needs: fc.array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: size, maxLength: size }),
      edited: fc.array(fc.nat(size - 1), { minLength: 1, maxLength: 3 }),
      family: fc.nat(2),
    })
    .map(({ needs, edited, family }) => {
      const base: Record<string, PackageSet[string]> = {};
      for (const [index, wanted] of needs.entries()) {
        const own = index < size / 2 ? index : `${index}-${family}`;
        const below = Object.keys(base);
        const inputs =
          index < size / 2 ? below.slice(-2) : wanted.flatMap((at) => below[at % below.length] ?? []);
        base[`p${own}`] =
          index % 4 === 0
            ? { hash: `source ${own}`, hidden: index % 8 === 0 }
            : { version: '1.0', inputs: [...new Set(inputs)] };
      }
      const keys = Object.keys(base);
      const judged = { ...base };
      for (const at of edited) {
        const key = keys[at] ?? '';
        const spec = base[key] ?? {};
        judged[key] =
          spec.hash === undefined ? { ...spec, version: '1.1' } : { ...spec, hash: `${spec.hash} again` };
      }
      return evaluateSets(base, judged);
    });

export const nodesOf = ({ graph }: EvaluatedSets): DrvNode[] =>
  [...graph.ids()].map((id) => drvNodeOf(graph, id));

export const rootsOf = ({ base, judged }: EvaluatedSets): DrvPath[] => {
  const records = [...base.records, ...judged.records];
  return [...new Set(records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : [])))];
};

/** @param folder is made where it is not there */
export const writeFiles = (folder: string, nodes: Iterable<DrvNode>): void => {
  mkdirSync(folder, { recursive: true });
  for (const node of nodes) {
    const hash = node.fixedOutput ? { hashAlgorithm: 'sha256', hash: '00' } : { hashAlgorithm: '', hash: '' };
    const text = printDerivation({
      outputs: node.outputs.map((output) => ({ ...output, ...hash })),
      inputs: node.inputs,
      sources: [],
      system: node.system,
      builder: '/bin/sh',
      args: [],
      env: [],
    });
    writeFileSync(join(folder, baseNameOf(node.path)), text);
  }
};

/** All that judging it tells, without ids of nodes. @param outcomeOf as builds ended */
export const judgeIn = (
  graph: DrvGraph,
  { base, judged }: EvaluatedSets,
  outcomeOf: (drv: DrvPath) => AttrOutcome,
) => {
  const plan = planRebuilds({ base, judged, graph });
  const { rebuilt, ...told } = plan;
  const pathsOf = (ids: Iterable<number>): DrvPath[] => Array.from(ids, (id) => graph.pathOf(id));
  const roots = plan.rootsToBuild.flatMap((root) => graph.find(root) ?? []);
  const outcomes = { judged: outcomeOf, base: outcomeOf };
  const impact = measureRebuildImpact(plan, graph, { fullBlastRadius: true });
  const summary = buildChangeSummary({
    change: { repository: null, number: null, baseSha: null, headSha: 'a', judgedTree: 'b', merged: true },
    jobs: [
      {
        kind: 'judged',
        plan,
        graph,
        verdict: judgeJobset({ plan, outcomes, allowEvalFailures: true }),
        packageChanges: classifyPackageChanges(plan, testNameRules),
        impact,
        source: null,
        sizes: null,
        sizeCheck: null,
        notices: [],
      },
    ],
    notices: [],
  });
  return {
    plan: told,
    rebuilt: {
      nodes: pathsOf(rebuilt.nodes),
      causes: pathsOf(rebuilt.causes).sort(),
      builds: rebuilt.buildCount,
    },
    impact,
    summary,
    radii: [...graph.blastRadii(rebuilt.nodes)],
    dependents: pathsOf(rebuilt.nodes).map((path) =>
      pathsOf(graph.dependentsOf(graph.find(path) ?? -1)).sort(),
    ),
    ways: roots.map((root) => graph.shortestPathTo(root, (id) => rebuilt.causes.has(id))?.length ?? null),
  };
};
