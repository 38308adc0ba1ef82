// Random runs over random graphs, against the rules written plainly: what waits, what is ready, what fails with what.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BuildFrontier, type FrontierState } from './build-frontier.ts';
import { DrvGraph, type DrvNode, type NodeId } from './drv-graph.ts';
import type { DrvPath } from './ids.ts';
import { acyclicNodes } from './testing/naive-graph.ts';

/** The rules, with a full scan after every step. */
class NaiveFrontier {
  readonly states = new Map<NodeId, FrontierState>();
  /** Inputs that a node waits for: those unsettled when it or they were added, unless it was ready by then. */
  readonly awaited = new Map<NodeId, Set<NodeId>>();
  readonly graph: DrvGraph;

  constructor(graph: DrvGraph) {
    this.graph = graph;
  }

  stateOf(id: NodeId): FrontierState {
    return this.states.get(id) ?? 'outside';
  }

  isUnsettled(id: NodeId): boolean {
    return this.stateOf(id) === 'waiting' || this.stateOf(id) === 'ready';
  }

  extend(more: readonly NodeId[]) {
    const added = [...new Set(more)].filter((id) => this.stateOf(id) === 'outside');
    for (const id of added) this.states.set(id, 'waiting');
    for (const id of added) {
      const inputs = [...this.graph.inputsOf(id)].filter((input) => this.stateOf(input) !== 'outside');
      this.awaited.set(id, new Set(inputs.filter((input) => this.stateOf(input) !== 'succeeded')));
    }
    for (const [id, awaited] of this.awaited) {
      if (this.stateOf(id) !== 'waiting') continue;
      for (const input of this.graph.inputsOf(id)) if (added.includes(input)) awaited.add(input);
    }
    return this.#advance();
  }

  settle(id: NodeId, state: 'succeeded' | 'failed') {
    this.states.set(id, state);
    return this.#advance();
  }

  /** Applies the rules until nothing changes. */
  #advance() {
    const ready = new Set<NodeId>();
    const dependencyFailed = new Set<NodeId>();
    for (let changed = true; changed; ) {
      changed = false;
      for (const [id, awaited] of this.awaited) {
        if (this.stateOf(id) !== 'waiting') continue;
        const states = [...awaited].map((input) => this.stateOf(input));
        if (states.some((state) => state === 'failed' || state === 'dependency-failed')) {
          this.states.set(id, 'dependency-failed');
          dependencyFailed.add(id);
          changed = true;
        } else if (states.every((state) => state === 'succeeded')) {
          this.states.set(id, 'ready');
          ready.add(id);
          changed = true;
        }
      }
    }
    return { ready, dependencyFailed };
  }
}

interface Step {
  readonly kind: 'extend' | 'succeed' | 'fail' | 'settle early' | 'add nodes';
  readonly pick: number;
  readonly ids: readonly number[];
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 5, arbitrary: fc.constant('succeed' as const) },
      { weight: 2, arbitrary: fc.constant('fail' as const) },
      { weight: 2, arbitrary: fc.constant('extend' as const) },
      { weight: 1, arbitrary: fc.constantFrom('settle early' as const, 'add nodes' as const) },
    ),
    pick: fc.nat(),
    ids: fc.array(fc.nat(), { maxLength: 8 }),
  }),
  { maxLength: 60 },
);

const runs = fc.record({ nodes: acyclicNodes, firstAdded: fc.nat(), wanted: fc.array(fc.nat()), steps });

/** Plays a history on both sides, comparing every answer; then ends it, so that nothing is left waiting. */
class Rehearsal {
  readonly graph = new DrvGraph();
  readonly naive = new NaiveFrontier(this.graph);
  readonly frontier: BuildFrontier;
  readonly wereReady = new Set<NodeId>();
  readonly wereDependencyFailed = new Set<NodeId>();
  readonly #pending: DrvNode[];

  constructor(nodes: readonly DrvNode[], firstAdded: number, wanted: readonly number[]) {
    this.#pending = [...nodes];
    this.addNodes(1 + (firstAdded % nodes.length));
    const ids = this.known(wanted);
    this.frontier = new BuildFrontier(this.graph, ids);
    const { ready } = this.naive.extend(ids);
    expect(new Set(this.frontier.initiallyReady())).toEqual(ready);
    this.#note(this.frontier.initiallyReady(), []);
  }

  addNodes(count: number): void {
    for (const node of this.#pending.splice(0, count)) this.graph.add(node);
  }

  known(picks: readonly number[]): NodeId[] {
    return picks.map((pick) => pick % this.graph.nodeCount);
  }

  among(states: readonly FrontierState[], pick: number): NodeId | undefined {
    const ids = [...this.naive.states.keys()].filter((id) => states.includes(this.naive.stateOf(id)));
    return ids[pick % Math.max(1, ids.length)];
  }

  play({ kind, pick, ids }: Step): void {
    if (kind === 'add nodes') this.addNodes(1 + (pick % 5));
    else if (kind === 'extend') this.#extend(this.known(ids));
    else {
      const id = this.among(kind === 'settle early' ? ['waiting'] : ['ready'], pick);
      if (id === undefined) return;
      if (kind === 'fail' || (kind === 'settle early' && pick % 2 === 0)) this.#fail(id);
      else this.succeed(id);
    }
  }

  #extend(ids: readonly NodeId[]): void {
    const expected = this.naive.extend(ids);
    const { ready, dependencyFailed } = this.frontier.extend(ids);
    expect(new Set(ready)).toEqual(expected.ready);
    expect(new Set(dependencyFailed)).toEqual(expected.dependencyFailed);
    this.#note(ready, dependencyFailed);
  }

  succeed(id: NodeId): void {
    const expected = this.naive.settle(id, 'succeeded');
    const ready = this.frontier.settleSucceeded(id);
    expect(new Set(ready)).toEqual(expected.ready);
    expect(expected.dependencyFailed.size).toBe(0);
    this.#note(ready, []);
  }

  #fail(id: NodeId): void {
    const expected = this.naive.settle(id, 'failed');
    const dependencyFailed = this.frontier.settleFailed(id);
    expect(new Set(dependencyFailed)).toEqual(expected.dependencyFailed);
    expect(expected.ready.size).toBe(0);
    this.#note([], dependencyFailed);
  }

  /** Nothing may be reported twice. */
  #note(ready: readonly NodeId[], dependencyFailed: readonly NodeId[]): void {
    for (const [ids, seen] of [
      [ready, this.wereReady],
      [dependencyFailed, this.wereDependencyFailed],
    ] as const) {
      for (const id of ids) {
        expect(seen.has(id)).toBe(false);
        seen.add(id);
      }
    }
  }

  compare(): void {
    let remaining = 0;
    for (let id = 0; id < this.graph.nodeCount; id++) {
      expect(this.frontier.stateOf(id)).toBe(this.naive.stateOf(id));
      if (this.naive.isUnsettled(id)) remaining++;
      const culprit = this.frontier.culpritOf(id);
      if (this.frontier.stateOf(id) !== 'dependency-failed') expect(culprit).toBeNull();
      else {
        expect(this.frontier.stateOf(culprit ?? -1)).toBe('failed');
        expect(this.graph.shortestPathTo(id, (at) => at === culprit)).not.toBeNull();
      }
    }
    expect(this.frontier.remaining).toBe(remaining);
  }
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

function graphOf(nodes: Readonly<Record<string, readonly string[]>>) {
  const graph = new DrvGraph();
  for (const [path, inputs] of Object.entries(nodes)) graph.add(plainNode(path, inputs));
  const id = (path: string): NodeId => graph.find(path as DrvPath) ?? -1;
  return { graph, id, ids: (...paths: readonly string[]) => paths.map(id) };
}

describe('BuildFrontier', () => {
  it('keeps to the rules over random runs', () => {
    fc.assert(
      fc.property(runs, ({ nodes, firstAdded, wanted, steps }) => {
        const rehearsal = new Rehearsal(nodes, firstAdded, wanted);
        for (const step of steps) {
          rehearsal.play(step);
          rehearsal.compare();
        }
        for (let id = rehearsal.among(['ready'], 0); id !== undefined; id = rehearsal.among(['ready'], 0)) {
          rehearsal.succeed(id);
        }
        expect(rehearsal.frontier.remaining).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('measures the longest chain of waiting dependents, however the run was put together', () => {
    fc.assert(
      fc.property(acyclicNodes, fc.array(fc.nat(), { maxLength: 40 }), fc.nat(40), (nodes, picks, split) => {
        const graph = new DrvGraph();
        const ids = nodes.map((node) => graph.add(node));
        const wanted = new Set(picks.map((pick) => ids[pick % ids.length] ?? 0));
        const durationOf = (id: NodeId): number => 1 + ((id * 7) % 5);
        const [first, second] = [[...wanted].slice(0, split), [...wanted].slice(split)];
        const frontier = new BuildFrontier(graph, first, { durationOf });
        // What was ready when its input came does not wait for it; only a run without such has one plain answer.
        const wasReady = new Set(frontier.initiallyReady());
        frontier.extend(second);
        const waitsFor = (id: NodeId, input: NodeId): boolean =>
          wanted.has(id) && !(wasReady.has(id) && second.includes(input));
        const chainAt = (id: NodeId): number =>
          durationOf(id) +
          Math.max(0, ...[...graph.dependentsOf(id)].filter((above) => waitsFor(above, id)).map(chainAt));
        for (const id of ids) expect(frontier.criticalPathLength(id)).toBe(wanted.has(id) ? chainAt(id) : 0);
      }),
    );
  });

  it('tells at once that what is added needs something that failed', () => {
    const { graph, id, ids } = graphOf({ base: [], lib: ['base'], app: ['lib'], top: ['app'], other: [] });
    const frontier = new BuildFrontier(graph, ids('base', 'top', 'other'));
    expect(frontier.settleFailed(id('base'))).toEqual([]);
    // top waited for nothing of the run: app counted as done.
    expect(frontier.stateOf(id('top'))).toBe('ready');
    expect(frontier.extend(ids('app', 'lib'))).toEqual({ ready: [], dependencyFailed: ids('lib', 'app') });
    expect(frontier.culpritOf(id('app'))).toBe(id('base'));
    expect(frontier.stateOf(id('top'))).toBe('ready');
    expect(frontier.remaining).toBe(2);
  });

  it('refuses to settle twice, to settle what is outside, and to want a placeholder', () => {
    const { graph, id, ids } = graphOf({ lib: ['not-added'], app: ['lib'], outside: [] });
    const frontier = new BuildFrontier(graph, ids('lib', 'app'));
    frontier.settleFailed(id('lib'));
    const notUnsettled: unknown = expect.objectContaining({ code: 'DRV_GRAPH_NOT_UNSETTLED' });
    expect(() => frontier.settleSucceeded(id('lib'))).toThrow(notUnsettled);
    expect(() => frontier.settleSucceeded(id('app'))).toThrow(notUnsettled);
    expect(() => frontier.settleFailed(id('outside'))).toThrow(notUnsettled);
    expect(() => frontier.extend(ids('outside', 'not-added'))).toThrow(
      expect.objectContaining({ code: 'DRV_GRAPH_INCOMPLETE' }),
    );
    expect(frontier.stateOf(id('outside'))).toBe('outside');
  });

  it('refuses nodes that wait for each other and stays as it was', () => {
    const { graph, id, ids } = graphOf({ a: ['b'], b: ['c'], c: ['a'], alone: [] });
    const frontier = new BuildFrontier(graph, ids('a', 'b', 'alone'));
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => frontier.extend(ids('c'))).toThrow(expect.objectContaining({ code: 'DRV_GRAPH_CYCLE' }));
    }
    expect(frontier.stateOf(id('c'))).toBe('outside');
    expect(frontier.remaining).toBe(3);
    expect(frontier.settleSucceeded(id('b'))).toEqual(ids('a'));
  });
});
