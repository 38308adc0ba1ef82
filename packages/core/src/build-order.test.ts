// The order of builds over several changes: by properties on random graphs, and by the stories it is made for.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BuildFrontier } from './build-frontier.ts';
import { BuildOrder, type Demand } from './build-order.ts';
import { DrvGraph, type NodeId } from './drv-graph.ts';
import { randomDrvNodes } from './testing/random-graph.ts';

const graphOf = (nodes: number, seed = 1): DrvGraph => {
  const graph = new DrvGraph();
  for (const node of randomDrvNodes({ nodes, seed })) graph.add(node);
  return graph;
};

/** A graph of independent derivations: names only matter where a test gives edges. */
const independent = (count: number): DrvGraph => {
  const graph = new DrvGraph();
  for (const [node] of Array.from({ length: count }, (_, seed) => [
    ...randomDrvNodes({ nodes: 1, seed: seed + 1 }),
  ])) {
    if (node !== undefined) graph.add(node);
  }
  return graph;
};

const open = (arrivedAtS: number, wanted: readonly NodeId[], more: Partial<Demand> = {}): Demand => ({
  class: 'open-change',
  arrivedAtS,
  wanted,
  ...more,
});

const takeAll = (order: BuildOrder, kind = 0): NodeId[] => {
  const taken: NodeId[] = [];
  for (let node = order.take([kind]); node !== undefined; node = order.take([kind])) taken.push(node);
  return taken;
};

interface Arriving {
  /** Since the one before. */
  readonly gapS: number;
  readonly buildsS: readonly number[];
}

/** Independent builds on slots that are alike, in whole seconds. @returns when each change came, and when its last build ended */
const serve = (changes: readonly Arriving[], slots: number) => {
  const durations = changes.flatMap(({ buildsS }) => buildsS);
  const graph = independent(durations.length);
  const order = new BuildOrder(graph, { durationOf: (id) => durations[id] ?? 0 });
  const arrivesS: number[] = [];
  for (const { gapS } of changes) arrivesS.push((arrivesS.at(-1) ?? 0) + gapS);
  const endsS = changes.map(() => 0);
  const owner: number[] = [];
  const running: { node: NodeId; endS: number }[] = [];
  let next = 0;
  for (let nowS = 0; next < changes.length || running.length > 0; nowS++) {
    for (const done of running.filter(({ endS }) => endS === nowS)) {
      running.splice(running.indexOf(done), 1);
      order.settle(done.node);
      endsS[owner[done.node] ?? 0] = nowS;
    }
    for (; arrivesS[next] === nowS; next++) {
      const wanted = (changes[next]?.buildsS ?? []).map(() => owner.push(next) - 1);
      order.add(open(nowS, wanted));
      for (const node of wanted) order.markReady(node);
    }
    while (running.length < slots) {
      const node = order.take();
      if (node === undefined) break;
      running.push({ node, endS: nowS + (durations[node] ?? 0) });
    }
  }
  return { endsS, arrivesS };
};

describe('the order of builds', () => {
  it('gives every wanted build once, after its inputs, and tells when a demand is done', () => {
    const demandOf = fc.record({ size: fc.integer({ min: 1, max: 40 }), from: fc.nat(80) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(demandOf, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 8 }),
        (seed, shapes, slots) => {
          const graph = graphOf(120, seed);
          const order = new BuildOrder(graph, { durationOf: (id) => 1 + (id % 7) });
          const frontier = new BuildFrontier(graph, []);
          const wanted = new Map<number, Set<NodeId>>();
          const begin = ({ size, from }: (typeof shapes)[number], arrivedAtS: number): void => {
            const nodes = Array.from({ length: size }, (_, i) => from + i).filter(
              (id) => frontier.stateOf(id) === 'outside' || frontier.stateOf(id) === 'waiting',
            );
            const { ready } = frontier.extend(nodes);
            const left = new Set(nodes);
            if (left.size > 0) wanted.set(order.add(open(arrivedAtS, nodes)), left);
            for (const node of ready) order.markReady(node);
          };
          const built = new Set<NodeId>();
          let running: NodeId[] = [];
          let turn = 0;
          for (; shapes.length > turn || running.length > 0 || frontier.remaining > 0; turn++) {
            const shape = shapes[turn];
            if (shape !== undefined) begin(shape, turn);
            while (running.length < slots) {
              const node = order.take();
              if (node === undefined) break;
              expect(built.has(node)).toBe(false);
              expect(frontier.stateOf(node)).toBe('ready');
              built.add(node);
              running.push(node);
            }
            const [ended, ...others] = running;
            running = others;
            if (ended === undefined) continue;
            for (const ready of frontier.settleSucceeded(ended)) order.markReady(ready);
            const done = order.settle(ended);
            for (const [id, left] of wanted) {
              left.delete(ended);
              expect(done.includes(id)).toBe(left.size === 0);
              expect(order.remainingOf(id)).toBeCloseTo(
                [...left].reduce((sum, node) => sum + 1 + (node % 7), 0),
              );
              if (left.size === 0) wanted.delete(id);
            }
          }
          expect(wanted.size).toBe(0);
          expect(order.take()).toBeUndefined();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('serves classes in their order, whatever their size', () => {
    const order = new BuildOrder(independent(4), { durationOf: () => 1 });
    order.add(open(0, [0], { class: 'flaky-retry' }));
    order.add(open(0, [1], { class: 'base-branch' }));
    order.add(open(9, [2], { class: 'merge-queue' }));
    order.add(open(0, [3]));
    for (const node of [0, 1, 2, 3]) order.markReady(node);
    expect(takeAll(order)).toEqual([2, 3, 1, 0]);
  });

  it('lets a small change pass a mass rebuild, but not for ever', () => {
    const graph = independent(60);
    const order = new BuildOrder(graph, { durationOf: () => 100, ageCredit: 2 });
    const mass = Array.from({ length: 50 }, (_, id) => id);
    order.add(open(0, mass));
    order.add(open(10, [50]));
    // 5,000 s of work are forgiven after 2,500 s.
    order.add(open(2_400, [51]));
    order.add(open(2_500, [52]));
    for (const node of [...mass, 50, 51, 52]) order.markReady(node);
    expect(takeAll(order).filter((node) => node >= 49)).toEqual([50, 51, 49, 52]);
  });

  it('starves nobody: however many come after it, and however small, each change is served in a time that it knows', () => {
    const arrivals = fc.array(
      fc.record({
        gapS: fc.integer({ min: 0, max: 20 }),
        buildsS: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
      }),
      { minLength: 100, maxLength: 300 },
    );
    const victim = fc.record({
      at: fc.nat(50),
      buildsS: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 60 }),
    });
    fc.assert(
      fc.property(arrivals, victim, fc.integer({ min: 1, max: 4 }), (others, { at, buildsS }, slots) => {
        // More work comes than can ever be done: a queue by size alone would never come to the largest.
        const changes = [...others.slice(0, at), { gapS: 0, buildsS }, ...others.slice(at)];
        const { endsS, arrivesS } = serve(changes, slots);
        const workS = buildsS.reduce((sum, s) => sum + s, 0);
        const startS = arrivesS[at] ?? 0;
        // Whoever comes more than its own work later stands behind it.
        const before = changes.filter((_, index) => (arrivesS[index] ?? 0) <= startS + workS);
        const aheadS = before.flatMap((change) => change.buildsS).reduce((sum, s) => sum + s, 0);
        expect(endsS[at]).toBeLessThanOrEqual((arrivesS[at] ?? 0) + workS + aheadS / slots + 2 * 9);
      }),
      { numRuns: 100 },
    );
  });

  it('gives what several want the best of their places', () => {
    const order = new BuildOrder(independent(10), { durationOf: () => 10 });
    order.add(open(0, [0, 1, 2, 3, 4, 5, 6, 7]));
    order.add(open(0, [7, 8]));
    for (let node = 0; node < 9; node++) order.markReady(node);
    expect(
      takeAll(order)
        .slice(0, 2)
        .toSorted((a, b) => a - b),
    ).toEqual([7, 8]);
  });

  it('builds the longest chain of a change first', () => {
    const graph = graphOf(400, 3);
    const order = new BuildOrder(graph, { durationOf: () => 1 });
    // Not the first ten: all others hang on these.
    const all = Array.from({ length: 390 }, (_, id) => 10 + id);
    const frontier = new BuildFrontier(graph, all);
    order.add(open(0, all));
    for (const node of frontier.initiallyReady()) order.markReady(node);
    const chains = takeAll(order).map((node) => frontier.criticalPathLength(node));
    expect(chains).toEqual(chains.toSorted((a, b) => b - a));
    expect(chains.length).toBeGreaterThan(3);
  });

  it('keeps kinds apart, and names what nobody wants any more', () => {
    const order = new BuildOrder(independent(5), { durationOf: () => 1, kindOf: (id) => id % 2 });
    const first = order.add(open(0, [0, 1, 2]));
    const second = order.add(open(0, [2, 3]));
    for (const node of [0, 1, 2, 3, 4]) order.markReady(node);
    expect(takeAll(order, 1).toSorted((a, b) => a - b)).toEqual([1, 3]);
    expect(order.remove(first).toSorted((a, b) => a - b)).toEqual([0, 1]);
    expect(order.remove(first)).toEqual([]);
    expect(takeAll(order, 0)).toEqual([2]);
    order.markReady(2);
    expect(order.take([0])).toBe(2);
    expect(order.settle(2)).toEqual([]);
    expect(order.settle(3)).toEqual([second]);
    order.markReady(2);
    expect(order.take([0])).toBeUndefined();
  });

  it('gives nobody the place of another for what was settled here, and is wanted there anew', () => {
    const order = new BuildOrder(independent(3), { durationOf: () => 1 });
    order.add(open(0, [0], { class: 'ordered' }));
    order.add(open(0, [0, 1], { class: 'merge-queue' }));
    order.markReady(0);
    expect(order.take()).toBe(0);
    order.settle(0);
    order.add(open(0, [0], { class: 'flaky-retry' }));
    order.add(open(0, [2]));
    for (const node of [0, 2]) order.markReady(node);
    expect(takeAll(order)).toEqual([2, 0]);
  });

  it('measures the longest chain also where nothing of the first kinds is ready', () => {
    const order = new BuildOrder(independent(2), { durationOf: () => 7, kindOf: () => 2 });
    const demand = order.add(open(0, [0, 1]));
    expect(order.longestReadyOf(demand)).toBe(0);
    order.markReady(1);
    expect(order.longestReadyOf(demand)).toBe(7);
  });
});
