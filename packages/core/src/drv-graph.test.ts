// The compact graph answers like the naive one, whatever was added in whatever order.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DrvGraph, type DrvNode, NodeSet } from './drv-graph.ts';
import type { DrvPath } from './ids.ts';
import { acyclicNodes, NaiveGraph } from './testing/naive-graph.ts';
import { randomDrvNodes } from './testing/random-graph.ts';

/** Histories of adding: any order, some nodes never (they stay placeholders), some twice. */
const histories = acyclicNodes.chain((nodes) =>
  fc.record({
    added: fc
      .tuple(fc.shuffledSubarray([...nodes]), fc.subarray([...nodes]))
      .map(([once, again]) => [...once, ...again]),
    picks: fc.array(fc.nat(), { minLength: 1, maxLength: 70 }),
    salt: fc.nat(),
  }),
);

function build(added: readonly DrvNode[]) {
  const graph = new DrvGraph();
  const naive = new NaiveGraph();
  for (const node of added) {
    const id = graph.add(node);
    naive.add(node);
    // Asked in between, so that what is derived lazily must be derived again.
    graph.dependentsOf(id);
  }
  const pathsOf = (ids: Iterable<number>): DrvPath[] => Array.from(ids, (id) => graph.pathOf(id));
  const idOf = (path: DrvPath): number => {
    const id = graph.find(path);
    if (id === undefined) throw new Error(`${path} was added but is not found`);
    return id;
  };
  return { graph, naive, pathsOf, idOf };
}

const plainNode = (path: string, inputs: readonly string[] = []): DrvNode => ({
  path: path as DrvPath,
  system: 'x86_64-linux',
  fixedOutput: false,
  preferLocalBuild: false,
  allowSubstitutes: true,
  requiredFeatures: [],
  outputs: [],
  inputs: inputs.map((input) => ({ path: input as DrvPath, outputs: ['out'] })),
});

describe('DrvGraph', () => {
  it('gives back what was added, the first time counting', () => {
    fc.assert(
      fc.property(histories, ({ added }) => {
        const { graph, naive, idOf } = build(added);
        expect(graph.nodeCount).toBe(naive.paths.size);
        for (const path of naive.paths) {
          const id = idOf(path);
          const node = naive.nodes.get(path);
          expect(graph.pathOf(id)).toBe(path);
          expect(graph.isComplete(id)).toBe(node !== undefined);
          expect(graph.systemOf(id)).toBe(node?.system ?? '');
          expect(graph.isFixedOutput(id)).toBe(node?.fixedOutput ?? false);
          expect(graph.prefersLocalBuild(id)).toBe(node?.preferLocalBuild ?? false);
          expect(graph.allowsSubstitutes(id)).toBe(node?.allowSubstitutes ?? true);
          expect(graph.requiredFeaturesOf(id)).toEqual(node?.requiredFeatures ?? []);
          expect(graph.outputsOf(id)).toEqual(node?.outputs ?? []);
        }
        expect(graph.find('/tmp/x/store/never-added.drv' as DrvPath)).toBeUndefined();
      }),
    );
  });

  it('links inputs and dependents, an input named twice once with the outputs of both', () => {
    fc.assert(
      fc.property(histories, ({ added }) => {
        const { graph, naive, pathsOf, idOf } = build(added);
        let edges = 0;
        for (const path of naive.paths) {
          const id = idOf(path);
          const inputs = pathsOf(graph.inputsOf(id));
          edges += inputs.length;
          expect(inputs).toEqual([...naive.inputsOf(path)]);
          expect(new Set(pathsOf(graph.dependentsOf(id)))).toEqual(naive.dependentsOf(path));
          const used = graph.usedOutputsOf(id).map((outputs) => new Set(outputs));
          const given = naive.nodes.get(path)?.inputs ?? [];
          expect(used).toEqual(
            inputs.map(
              (input) => new Set(given.filter((one) => one.path === input).flatMap((one) => one.outputs)),
            ),
          );
        }
        expect(graph.edgeCount).toBe(edges);
      }),
    );
  });

  it('orders a closure with inputs before dependents, every node once', () => {
    fc.assert(
      fc.property(histories, ({ added, picks }) => {
        const { graph, naive, pathsOf } = build(added);
        const roots = added.length === 0 ? [] : picks.map((pick) => pick % graph.nodeCount);
        const closure = pathsOf(graph.closureOf(roots));
        expect(new Set(closure)).toEqual(naive.closureOf(pathsOf(roots)));
        expect(new Set(closure).size).toBe(closure.length);
        const place = new Map(closure.map((path, index) => [path, index]));
        for (const path of closure) {
          for (const input of naive.inputsOf(path))
            expect(place.get(input)).toBeLessThan(place.get(path) ?? -1);
        }
      }),
    );
  });

  it('counts blast radii, one by one and many at once', () => {
    fc.assert(
      fc.property(histories, ({ added, salt }) => {
        const { graph, naive, pathsOf, idOf } = build(added);
        const ids = Array.from({ length: graph.nodeCount }, (_, id) => id);
        const within = NodeSet.of(ids.filter((id) => ((id + 1) * (salt | 1)) % 3 !== 0));
        const expected = ids.map((id) => {
          const [path] = pathsOf([id]);
          const above = path === undefined ? [] : [...naive.allDependentsOf(path)].map(idOf);
          return { all: above.length, within: above.filter((node) => within.has(node)).length };
        });
        expect(ids.map((id) => graph.blastRadius(id))).toEqual(expected.map((counts) => counts.all));
        expect(ids.map((id) => graph.blastRadius(id, within))).toEqual(
          expected.map((counts) => counts.within),
        );
        expect([...graph.blastRadii(ids)]).toEqual(expected.map((counts) => counts.all));
        // More sources than one pass holds, in any order, repeated.
        const many = [...ids, ...ids.toReversed(), ...ids];
        expect([...graph.blastRadii(many, within)]).toEqual(many.map((id) => expected[id]?.within));
      }),
    );
  });

  it('counts the blast radii of a real-shaped graph, more forks than one pass holds', () => {
    const graph = new DrvGraph();
    for (const node of randomDrvNodes({ nodes: 3000, seed: 3 })) graph.add(node);
    const ids = Array.from({ length: graph.nodeCount }, (_, id) => id);
    const within = NodeSet.of(ids.filter((id) => id % 3 !== 0));
    expect([...graph.blastRadii(ids, within)]).toEqual(ids.map((id) => graph.blastRadius(id, within)));
  });

  it('finds the shortest path down to a goal', () => {
    fc.assert(
      fc.property(histories, ({ added, picks, salt }) => {
        const { graph, naive, pathsOf } = build(added);
        if (graph.nodeCount === 0) return;
        const from = (picks[0] ?? 0) % graph.nodeCount;
        const isGoal = (id: number): boolean => (id * 7 + salt) % 5 === 0;
        // The callback walks the same graph meanwhile.
        const path = graph.shortestPathTo(from, (id) => graph.blastRadius(id) >= 0 && isGoal(id));
        const [start] = pathsOf([from]);
        if (start === undefined) throw new Error('a known id has a path');
        const distance = naive.distanceTo(start, (at) => isGoal(graph.find(at) ?? -1));
        expect(path === null ? null : path.length - 1).toBe(distance);
        if (path === null) return;
        expect(path[0]).toBe(from);
        expect(isGoal(path.at(-1) ?? -1)).toBe(true);
        for (const [i, id] of path.slice(1).entries()) expect(graph.inputsOf(path[i] ?? -1)).toContain(id);
      }),
    );
  });

  it('refuses a cycle and names it', () => {
    const graph = new DrvGraph();
    for (const [path, input] of [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['top', 'a'],
    ] as const) {
      graph.add(plainNode(path, [input]));
    }
    const top = graph.find('top' as DrvPath) ?? -1;
    expect(() => graph.closureOf([top])).toThrow(/a → b → c → a/);
    expect(() => graph.blastRadii([graph.find('b' as DrvPath) ?? -1])).toThrow(
      expect.objectContaining({ code: 'DRV_GRAPH_CYCLE' }),
    );
    const selfish = new DrvGraph();
    expect(() => selfish.closureOf([selfish.add(plainNode('a', ['a']))])).toThrow(/a → a/);
  });

  it('walks a chain of 100,000 without recursion', () => {
    const graph = new DrvGraph();
    const last = 100_000;
    for (let i = last; i > 0; i--) graph.add(plainNode(`chain-${i}`, [`chain-${i - 1}`]));
    const top = graph.find(`chain-${last}` as DrvPath) ?? -1;
    const bottom = graph.find('chain-0' as DrvPath) ?? -1;
    expect(graph.closureOf([top])).toHaveLength(last + 1);
    expect(graph.blastRadius(bottom)).toBe(last);
    expect(graph.blastRadii([bottom, top])).toEqual(Uint32Array.of(last, 0));
    expect(graph.shortestPathTo(top, (id) => id === bottom)).toHaveLength(last + 1);
  });

  it('says which id it does not know', () => {
    const graph = new DrvGraph();
    graph.add(plainNode('a'));
    for (const ask of [
      () => graph.pathOf(1),
      () => graph.inputsOf(-1),
      () => graph.closureOf([Number.NaN]),
      () => graph.blastRadii([0, 1]),
    ]) {
      expect(ask).toThrow(expect.objectContaining({ code: 'DRV_GRAPH_UNKNOWN_NODE' }));
    }
  });

  it('keeps more distinct systems and features than a byte or two can name', () => {
    const graph = new DrvGraph();
    const ids = Array.from({ length: 66_000 }, (_, i) =>
      graph.add({ ...plainNode(`n-${i}`), system: `system-${i}`, requiredFeatures: [`f-${i}`] }),
    );
    for (const i of [0, 254, 255, 256, 65_534, 65_535, 65_999]) {
      const id = ids[i] ?? -1;
      expect([graph.systemOf(id), ...graph.requiredFeaturesOf(id)]).toEqual([`system-${i}`, `f-${i}`]);
    }
  });
});

describe('randomDrvNodes', () => {
  it('has the degrees of real package sets', () => {
    const graph = new DrvGraph();
    const nodes = [...randomDrvNodes({ nodes: 20_000, seed: 1 })];
    const ids = nodes.map((node) => graph.add(node));
    expect(ids).toEqual(nodes.map((_, index) => index));
    const quantile = (degrees: number[], part: number): number =>
      degrees.sort((a, b) => a - b)[Math.floor(degrees.length * part)] ?? -1;
    const outDegrees = ids.map((id) => graph.inputsOf(id).length);
    expect(graph.edgeCount / ids.length).toBeGreaterThan(5);
    expect(graph.edgeCount / ids.length).toBeLessThan(6.5);
    expect(quantile(outDegrees, 0.5)).toBe(4);
    expect(quantile(outDegrees, 0.99)).toBeGreaterThan(20);
    const inDegrees = ids.map((id) => graph.dependentsOf(id).length);
    expect(quantile(inDegrees, 0.5)).toBe(1);
    expect(quantile(inDegrees, 1 - 1e-9)).toBeGreaterThan(19_000);
    const depths: number[] = [];
    for (const id of ids)
      depths.push(1 + Math.max(0, ...[...graph.inputsOf(id)].map((at) => depths[at] ?? 0)));
    expect(Math.max(...depths)).toBeGreaterThan(80);
    expect(Math.max(...depths)).toBeLessThan(120);
  });
});

describe('NodeSet', () => {
  it('holds what a Set holds, ascending', () => {
    const step = fc.record({ add: fc.boolean(), id: fc.nat(200) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.nat(64), (steps, capacity) => {
        const set = new NodeSet(capacity);
        const plain = new Set<number>();
        for (const { add, id } of steps) {
          if (add) plain.add(id);
          else plain.delete(id);
          if (add) set.add(id);
          else set.delete(id);
        }
        expect([...set]).toEqual([...plain].sort((a, b) => a - b));
        expect(set.size).toBe(plain.size);
        for (let id = 0; id <= 300; id++) expect(set.has(id)).toBe(plain.has(id));
      }),
    );
  });
});
