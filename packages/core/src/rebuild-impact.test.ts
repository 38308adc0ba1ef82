import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findTopBlastRadius } from './blast-radius.ts';
import { DrvGraph } from './drv-graph.ts';
import { bucketOf, measureRebuildImpact } from './rebuild-impact.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { explainRebuilds } from './rebuild-reason.ts';
import { findRebuilt } from './rebuilt-closure.ts';
import { evaluateSets, type PackageSet } from './testing/package-set.ts';
import { randomDrvNodes } from './testing/random-graph.ts';

const before: PackageSet = {
  src: { hash: '1', hidden: true },
  zlib: { version: '1.2', inputs: ['src'] },
  curl: { version: '8', inputs: ['zlib'] },
  git: { version: '2', inputs: ['curl', 'zlib'], aliases: ['gitMinimal'] },
  macTool: { inputs: ['zlib'], system: 'aarch64-darwin' },
  other: {},
};
const after: PackageSet = {
  ...before,
  src: { hash: '2', hidden: true },
  zlib: { version: '1.3', inputs: ['src'] },
};

const measure = (base: PackageSet, judged: PackageSet, options = {}) => {
  const sets = evaluateSets(base, judged);
  const plan = planRebuilds(sets);
  return { sets, plan, impact: measureRebuildImpact(plan, sets.graph, options) };
};

describe('measureRebuildImpact', () => {
  it('counts derivations by system and kernel, once under all their names', () => {
    const { impact } = measure(before, after);
    expect(impact.systems).toEqual([
      { system: 'aarch64-darwin', rebuilds: 1 },
      { system: 'x86_64-linux', rebuilds: 3 },
    ]);
    expect(impact.kernels).toEqual([
      { kernel: 'linux', rebuilds: 3, bucket: '1-10' },
      { kernel: 'darwin', rebuilds: 1, bucket: '1' },
    ]);
    expect(impact.totalRebuilds).toBe(5);
  });

  it('names the source as the cause, and the package it belongs to as the edited one', () => {
    const { impact } = measure(before, after);
    expect(impact.causes.map(({ name, attr }) => [name, attr])).toEqual([['src', null]]);
    expect(impact.editedAttrs).toEqual(['zlib']);
  });

  it('orders by what depends on a package, and lets other derivations compete when asked', () => {
    const { impact } = measure(before, after, { maxTopBlastRadius: 2 });
    expect(impact.topBlastRadius.map(({ attr, dependents }) => [attr, dependents])).toEqual([
      ['zlib', 3],
      ['curl', 1],
    ]);
    const full = measure(before, after, { maxTopBlastRadius: 1, fullBlastRadius: true }).impact;
    expect(full.topBlastRadius.map(({ name, dependents }) => [name, dependents])).toEqual([['src', 4]]);
  });

  it('explains each rebuild by the shortest way to the edit', () => {
    const { sets, plan } = measure(before, after);
    const reasonOf = explainRebuilds(plan, sets.graph);
    const why = (key: string): string[] | null =>
      reasonOf(sets.judgedDrv(key))?.map(({ name }) => name) ?? null;
    expect(why('git')).toEqual(['git-2', 'zlib-1.3', 'src']);
    expect(why('src')).toEqual(['src']);
    expect(why('other')).toBeNull();
  });

  it('finds the same top as counting for each, on random graphs', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 1, max: 12 }), (seed, limit) => {
        const graph = new DrvGraph();
        const ids: number[] = [];
        for (const node of randomDrvNodes({ nodes: 400, seed })) {
          ids.push(graph.add(seed % 2 === 0 ? node : { ...node, fixedOutput: false }));
        }
        const rebuilt = findRebuilt(graph, { toBuild: ids, base: [], left: [] });
        const counted = new Set(ids.filter((id) => id % 3 !== 0));
        const top = findTopBlastRadius({
          graph,
          rebuilt,
          counted,
          isCandidate: (id) => counted.has(id),
          limit,
        });
        const naive = countNaively(graph, ids, counted).slice(0, limit);
        const found = top.map(({ dependents }) => dependents).sort((a, b) => b - a);
        expect(found.slice(0, limit)).toEqual(naive.map(([, count]) => count));
        for (const [id, count] of naive) expect(top).toContainEqual({ id, dependents: count });
      }),
      { numRuns: 20 },
    );
  });

  it('has the labels of nixpkgs', () => {
    const labels = [0, 1, 2, 10, 11, 500, 501, 1000, 2500, 5000, 5001].map(bucketOf);
    expect(labels).toEqual([
      ...['0', '1', '1-10', '1-10', '11-100', '101-500', '501-1000', '501-1000'],
      ...['1001-2500', '2501-5000', '5001+'],
    ]);
  });
});

const countNaively = (
  graph: DrvGraph,
  ids: readonly number[],
  counted: ReadonlySet<number>,
): [number, number][] => {
  const reached = new Map<number, Set<number>>(ids.map((id) => [id, new Set()]));
  for (const id of ids.toReversed()) {
    for (const dependent of graph.dependentsOf(id)) {
      if (graph.isFixedOutput(dependent)) continue;
      for (const further of [dependent, ...(reached.get(dependent) ?? [])]) reached.get(id)?.add(further);
    }
  }
  return ids
    .filter((id) => counted.has(id))
    .map((id): [number, number] => [
      id,
      [...(reached.get(id) ?? [])].filter((other) => counted.has(other)).length,
    ])
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1] || a[0] - b[0]);
};
