import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildCause } from './build-state.ts';
import { DrvGraph, type NodeId } from './drv-graph.ts';
import {
  type BuildAnswer,
  chooseBuildAgain,
  describeFlaky,
  describeRepeatedFailure,
  failuresBefore,
  findFreed,
  isFlaky,
  type NodeEnding,
} from './flaky.ts';
import type { DrvPath } from './ids.ts';

/** `f` failed by its own doing, `n` for want of a network, `b` was built, `s` was fetched, `v` was there. */
const answersOf = (letters: string): BuildAnswer[] => {
  const causes: Record<string, BuildCause> = {
    f: 'builder-exit',
    n: 'network',
    b: 'built',
    s: 'substituted',
    v: 'already-valid',
  };
  return [...letters].map((letter, index) => ({
    attempt: index + 1,
    state: 'bsv'.includes(letter) ? 'succeeded' : 'failed',
    cause: causes[letter] ?? null,
    logFile: `${index + 1}.log`,
  }));
};

describe('the answers of a derivation', () => {
  it.each([
    ['b', false],
    ['fb', true],
    ['fnb', true],
    ['nb', false],
    ['fs', false],
    ['ffb', true],
    // It was built and then built again: that it had failed before is an old story.
    ['fbb', false],
    ['bfb', true],
    ['fbf', false],
    ['fv', true],
    ['fbv', true],
    ['fbvv', true],
    ['fbbv', false],
    ['v', false],
    ['', false],
  ])('%s: flaky %s', (letters, flaky) => {
    expect(isFlaky(answersOf(letters))).toBe(flaky);
  });

  it('count the failures since it was last built, and name the log of the first', () => {
    expect(failuresBefore(answersOf('fbfnff')).map(({ attempt }) => attempt)).toEqual([3, 5]);
    expect(describeRepeatedFailure(answersOf('bff'))).toBe(
      'failed twice; the original log is that of attempt 2 (2.log)',
    );
    expect(describeRepeatedFailure(answersOf('f'))).toBeNull();
    expect(describeRepeatedFailure(answersOf('fb'))).toBeNull();
    expect(describeFlaky(answersOf('fb'), 3)).toBe(
      "failed once, then built; 3 times so far; the failure's log is that of attempt 1 (1.log)",
    );
  });
});

const paths = ['a', 'b', 'c', 'd'].map((name) => `/nix/store/${name}.drv` as DrvPath);

describe('what is built again', () => {
  it('is never more than there is room for, what spoils most first, the same in any order', () => {
    const culprits = fc.array(fc.constantFrom(...paths), { maxLength: 30 });
    fc.assert(
      fc.property(culprits, fc.integer({ min: -1, max: 5 }), (rows, room) => {
        const { drvs, passedOver } = chooseBuildAgain(rows, room);
        expect(drvs.length + passedOver).toBe(new Set(rows).size);
        expect(drvs.length).toBeLessThanOrEqual(Math.max(0, room));
        const count = (drv: DrvPath): number => rows.filter((row) => row === drv).length;
        const fewest = Math.min(...drvs.map(count));
        for (const drv of rows) if (!drvs.includes(drv)) expect(count(drv)).toBeLessThanOrEqual(fewest);
        expect(chooseBuildAgain(rows.toReversed(), room)).toEqual({ drvs, passedOver });
      }),
    );
  });
});

/** Nodes by number; each needs some of those before it. `failing` ended by themselves. */
const scenario = fc
  .array(fc.record({ inputs: fc.array(fc.nat(), { maxLength: 3 }), failing: fc.nat(3) }), {
    minLength: 1,
    maxLength: 14,
  })
  .map((nodes) =>
    nodes.map(({ inputs, failing }, index) => ({
      inputs: index === 0 ? [] : [...new Set(inputs.map((input) => input % index))],
      fails: failing === 0,
    })),
  );

const pathOf = (index: number): DrvPath =>
  `/nix/store/${String(index).padStart(32, '0')}-p${index}.drv` as DrvPath;

const graphOf = (nodes: readonly { readonly inputs: readonly number[] }[]): DrvGraph => {
  const graph = new DrvGraph();
  for (const [index, { inputs }] of nodes.entries()) {
    graph.add({
      path: pathOf(index),
      system: 'x86_64-linux',
      fixedOutput: false,
      preferLocalBuild: false,
      allowSubstitutes: true,
      requiredFeatures: [],
      outputs: [{ name: 'out', path: pathOf(index).slice(0, -4) }],
      inputs: inputs.map((input) => ({ path: pathOf(input), outputs: ['out'] })),
    });
  }
  return graph;
};

describe('what a recovered failure frees', () => {
  it('is all that needs no other failure, and the rest is laid to one that it does need', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (nodes, choice) => {
        const graph = graphOf(nodes);
        const id = (index: number): NodeId => graph.find(pathOf(index)) ?? expect.fail();
        const causes = nodes.map(() => new Set<number>());
        for (const [index, { inputs, fails }] of nodes.entries()) {
          for (const input of inputs) for (const cause of causes[input] ?? []) causes[index]?.add(cause);
          if (causes[index]?.size === 0 && fails) causes[index]?.add(index);
        }
        const failed = nodes.flatMap((_, index) => (causes[index]?.has(index) ? [index] : []));
        const recovered = failed.filter((_, at) => ((choice >> at) & 1) === 1);
        const blamed = causes.map((all) => [...all][choice % Math.max(1, all.size)] ?? 0);
        const endings = new Map<NodeId, NodeEnding>(
          nodes.map((_, index) => {
            const ending: NodeEnding =
              causes[index]?.size === 0 || recovered.includes(index)
                ? { state: 'succeeded' }
                : causes[index]?.has(index)
                  ? { state: 'other' }
                  : { state: 'dependency-failed', culprit: id(blamed[index] ?? 0) };
            return [id(index), ending];
          }),
        );
        const freed = findFreed(graph, recovered.map(id), (node) => endings.get(node) ?? null);

        const expected = nodes.flatMap((_, index) => {
          const all = [...(causes[index] ?? [])];
          const isUntried = all.length > 0 && !all.includes(index);
          return isUntried && all.every((cause) => recovered.includes(cause)) ? [id(index)] : [];
        });
        expect([...freed.nodes].toSorted((a, b) => a - b)).toEqual(expected);
        const order = new Map(freed.nodes.map((node, at) => [node, at]));
        for (const node of freed.nodes) {
          for (const input of graph.inputsOf(node)) {
            expect(order.get(input) ?? -1).toBeLessThan(order.get(node) ?? 0);
          }
        }
        for (const index of nodes.keys()) {
          const left = [...(causes[index] ?? [])].filter((cause) => !recovered.includes(cause));
          const wasBlamed = recovered.includes(blamed[index] ?? -1) && !causes[index]?.has(index);
          const culprit = freed.stillBlocked.get(id(index));
          expect(culprit !== undefined).toBe(wasBlamed && left.length > 0 && causes[index]?.size !== 0);
          if (culprit !== undefined) expect(left.map(id)).toContain(culprit);
        }
      }),
      { numRuns: 500 },
    );
  });
});
