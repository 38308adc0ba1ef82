import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DrvGraph, type DrvNode, DrvNodeTable, type NodeId, NodeSet } from '../drv-graph.ts';
import type { DrvPath } from '../ids.ts';
import { acyclicNodes, NaiveGraph } from '../testing/naive-graph.ts';
import { randomDrvNodes } from '../testing/random-graph.ts';
import { ClosureWalk } from './closure-walk.ts';
import { drvNodeOf } from './copy-node.ts';

/** Of a pool of nodes: which come, and which of those that are there go, step by step. */
const histories = fc.record({
  nodes: acyclicNodes,
  steps: fc.array(
    fc.record({ add: fc.array(fc.nat(), { maxLength: 12 }), drop: fc.array(fc.nat(), { maxLength: 6 }) }),
    { minLength: 1, maxLength: 6 },
  ),
});

const pick = <T>(from: readonly T[], picks: readonly number[]): T[] =>
  picks.flatMap((index) => from[index % Math.max(1, from.length)] ?? []);

/** The table after some steps, and the nodes that it must hold. */
const live = ({
  nodes,
  steps,
}: {
  nodes: readonly DrvNode[];
  steps: { add: number[]; drop: number[] }[];
}) => {
  const table = new DrvNodeTable();
  const held = new Map<DrvPath, DrvNode>();
  const ids = new Map<DrvPath, NodeId>();
  for (const { add, drop } of steps) {
    for (const node of pick(nodes, add)) {
      const id = table.add(node);
      expect(ids.get(node.path) ?? id).toBe(id);
      ids.set(node.path, id);
      held.set(node.path, node);
    }
    const gone = new NodeSet(0);
    for (const node of pick([...held.values()], drop)) {
      gone.add(ids.get(node.path) ?? -1);
      held.delete(node.path);
      ids.delete(node.path);
    }
    table.drop(gone);
  }
  return { table, held, ids };
};

/** By path, as given, but an input named twice once, with the outputs of both. */
const normalOf = (nodes: readonly DrvNode[]): ReadonlyMap<DrvPath, DrvNode> => {
  const graph = new DrvGraph();
  return new Map(nodes.map((node) => [node.path, drvNodeOf(graph, graph.add(node))]));
};

describe('a table that forgets', () => {
  it('holds what it was not told to forget, under the same ids, and nothing else', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const { table, held, ids } = live(history);
        const graph = new DrvGraph(table);
        const naive = new NaiveGraph();
        const normal = normalOf(history.nodes);
        for (const node of held.values()) naive.add(node);
        expect(table.count).toBe(naive.paths.size);
        let edges = 0;
        for (const { path } of history.nodes) {
          const id = table.find(path);
          const node = held.get(path);
          expect(id !== undefined).toBe(naive.paths.has(path));
          if (id === undefined) continue;
          expect(table.pathOf(id)).toBe(path);
          expect(table.isComplete(id)).toBe(node !== undefined);
          expect(new Set(Array.from(graph.dependentsOf(id), (at) => table.pathOf(at)))).toEqual(
            naive.dependentsOf(path),
          );
          if (node === undefined) {
            expect(drvNodeOf(graph, id)).toMatchObject({ system: '', outputs: [], inputs: [] });
            continue;
          }
          expect(id).toBe(ids.get(path));
          expect(drvNodeOf(graph, id)).toEqual(normal.get(path));
          edges += table.inputsOf(id).length;
        }
        expect(graph.edgeCount).toBe(edges);
      }),
      { numRuns: 100 },
    );
  });

  it('gives the ids of what is gone to what comes, so that it does not grow for ever', () => {
    const table = new DrvNodeTable();
    for (let seed = 0; seed < 10; seed++) {
      for (const node of randomDrvNodes({ nodes: 500, seed })) table.add(node);
      const all = Array.from({ length: table.bound }, (_, id) => id);
      if (seed < 9) table.drop(NodeSet.of(all.filter((id) => id % 10 !== 0 || seed % 2 === 0)));
    }
    expect(table.count).toBeLessThan(1000);
    expect(table.bound).toBeLessThan(1000);
    expect(table.sizeBytes / table.count).toBeLessThan(250);
  });
});

/** The closures of these roots as parts of one table, and each as a graph of its own. */
const split = (nodes: readonly DrvNode[], rootsOfParts: readonly (readonly number[])[]) => {
  const table = new DrvNodeTable();
  // Ids are not in the order of any part.
  for (const node of nodes.toReversed()) table.add(node);
  const byPath = new Map(nodes.map((node) => [node.path, node]));
  return rootsOfParts.map((picks) => {
    const roots = pick(nodes, picks).map(({ path }) => path);
    const walk = new ClosureWalk(table);
    for (const root of roots) walk.meet(root);
    expect(walk.takeLacking()).toEqual([]);
    const part = DrvGraph.partOf(table);
    part.include(walk.reached);
    const own = new DrvGraph();
    const closure = part.closureOf(roots.flatMap((root) => part.find(root) ?? []));
    for (const node of [...closure].flatMap((id) => byPath.get(part.pathOf(id)) ?? [])) own.add(node);
    return { part, own, roots };
  });
};

describe('a part of a table', () => {
  const parts = fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 });

  it('answers as a graph of its own, whatever else is in the table', () => {
    fc.assert(
      fc.property(acyclicNodes, parts, (nodes, rootsOfParts) => {
        for (const { part, own, roots } of split(nodes, rootsOfParts)) {
          const answer = (graph: DrvGraph) => {
            const idOf = (path: DrvPath): NodeId => graph.find(path) ?? -1;
            const pathsOf = (ids: Iterable<NodeId>): DrvPath[] => Array.from(ids, (id) => graph.pathOf(id));
            const paths = nodes.map(({ path }) => path).filter((path) => graph.find(path) !== undefined);
            const within = NodeSet.of(paths.filter((_, index) => index % 3 !== 0).map(idOf));
            const isGoal = (id: NodeId): boolean => graph.pathOf(id).length % 3 === 0;
            return {
              paths,
              edges: graph.edgeCount,
              held: new Set(pathsOf(graph.ids())),
              closure: pathsOf(graph.closureOf(roots.map(idOf))),
              inputs: paths.map((path) => pathsOf(graph.inputsOf(idOf(path)))),
              dependents: paths.map((path) => new Set(pathsOf(graph.dependentsOf(idOf(path))))),
              radii: paths.map((path) => graph.blastRadius(idOf(path), within)),
              allRadii: [...graph.blastRadii(paths.map(idOf))],
              ways: paths.map((path) => graph.shortestPathTo(idOf(path), isGoal)?.length ?? null),
            };
          };
          expect(answer(part)).toEqual(answer(own));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('knows no id of another part, and none at all once it is closed', () => {
    const [one, other] = split([...randomDrvNodes({ nodes: 60, seed: 4 })], [[19], [58]]);
    if (one === undefined || other === undefined) throw new Error('two parts were asked for');
    const foreign = [...other.part.ids()].filter((id) => !one.part.ids().includes(id));
    expect(foreign.length).toBeGreaterThan(0);
    const refusal: unknown = expect.objectContaining({ code: 'DRV_GRAPH_UNKNOWN_NODE' });
    for (const id of [...foreign, -1, Number.NaN, 1e9]) expect(() => one.part.pathOf(id)).toThrow(refusal);
    const own = one.part.ids();
    one.part.close();
    for (const id of own) expect(() => one.part.inputsOf(id)).toThrow(refusal);
    expect(one.part.find(one.roots[0] ?? ('' as DrvPath))).toBeUndefined();
  });

  it('takes nothing in without what it needs', () => {
    const [base, top] = [...randomDrvNodes({ nodes: 2, seed: 1 })];
    if (base === undefined || top === undefined) throw new Error('two nodes were asked for');
    const table = new DrvNodeTable();
    const id = table.add(top);
    const part = DrvGraph.partOf(table);
    const refusal: unknown = expect.objectContaining({ code: 'DRV_GRAPH_INCOMPLETE' });
    expect(() => part.include([id])).toThrow(refusal);
    const below = table.add(base);
    expect(() => part.include([id])).toThrow(refusal);
    expect(part.ids()).toHaveLength(0);
    expect(new Set(part.include([id, below]))).toEqual(new Set([id, below]));
    expect(part.include([id, below])).toHaveLength(0);
    expect(part.edgeCount).toBe(1);
  });
});

describe('a graph that is given nodes of another', () => {
  it('holds them as if each had been added by itself, whatever else the other forgets meanwhile', () => {
    const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(histories, picks, picks, (history, chosen, before) => {
        const { table, held, ids } = live(history);
        const other = new DrvGraph(table);
        const wanted = pick([...held.values()], chosen).map(({ path }) => ids.get(path) ?? -1);
        const [given, added] = [new DrvGraph(), new DrvGraph()];
        for (const node of pick(history.nodes, before)) for (const graph of [given, added]) graph.add(node);
        for (const id of wanted) added.add(drvNodeOf(other, id));
        const add = given.adderFrom(other);
        const half = wanted.length >> 1;
        for (const id of wanted.slice(0, half)) add(id);
        table.drop(NodeSet.of([...ids.values()].filter((id) => !wanted.includes(id))));
        // They take the ids of what has gone.
        for (const node of randomDrvNodes({ nodes: 30, seed: 9 })) table.add(node);
        for (const id of wanted.slice(half)) add(id);
        const all = (graph: DrvGraph) => [...graph.ids()].map((id) => [id, drvNodeOf(graph, id)]);
        expect(all(given)).toEqual(all(added));
        expect(given.edgeCount).toBe(added.edgeCount);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a walk in steps', () => {
  it('finds what was there when it began, whatever comes to the table and goes meanwhile', () => {
    const table = new DrvNodeTable();
    const ids = Array.from(randomDrvNodes({ nodes: 6000, seed: 6 }), (node) => table.add(node));
    const part = DrvGraph.partOf(table);
    part.include(ids);
    const whole = part.closureOf(ids.slice(-100));
    const more = randomDrvNodes({ nodes: 100_000, seed: 7 });
    const steps = part.closureInSteps(ids.slice(-100));
    let given = 0;
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) {
      given += 1;
      // A walk beside it, and one that is never ended.
      expect(part.closureOf(ids.slice(-100))).toEqual(whole);
      part.closureInSteps(ids).next();
      for (let count = 0; count < 3000; count++) table.add(more.next().value as DrvNode);
      table.drop(NodeSet.of(Array.from({ length: table.bound - 6000 }, (_, at) => 6000 + at)));
    }
    expect(step.value).toEqual(whole);
    expect(given).toBeGreaterThan(0);
  });
});
