// The plainest dependency graph there is, Maps and Sets, for comparing the compact one with; and random ones to compare on.
import * as fc from 'fast-check';
import type { DrvNode } from '../drv-graph.ts';
import type { DrvPath } from '../ids.ts';

export class NaiveGraph {
  readonly nodes = new Map<DrvPath, DrvNode>();
  /** Paths that are known, added or named as an input. */
  readonly paths = new Set<DrvPath>();

  add(node: DrvNode): void {
    this.paths.add(node.path);
    for (const input of node.inputs) this.paths.add(input.path);
    if (!this.nodes.has(node.path)) this.nodes.set(node.path, node);
  }

  inputsOf(path: DrvPath): Set<DrvPath> {
    return new Set(this.nodes.get(path)?.inputs.map((input) => input.path));
  }

  dependentsOf(path: DrvPath): Set<DrvPath> {
    return new Set([...this.paths].filter((other) => this.inputsOf(other).has(path)));
  }

  /** Without `path` itself. */
  allDependentsOf(path: DrvPath): Set<DrvPath> {
    const found = new Set<DrvPath>();
    const visit = (at: DrvPath): void => {
      for (const dependent of this.dependentsOf(at)) {
        if (found.has(dependent)) continue;
        found.add(dependent);
        visit(dependent);
      }
    };
    visit(path);
    return found;
  }

  closureOf(roots: Iterable<DrvPath>): Set<DrvPath> {
    const found = new Set(roots);
    for (const path of found) for (const input of this.inputsOf(path)) found.add(input);
    return found;
  }

  /** Links on the shortest way down to a goal; null where there is none. */
  distanceTo(from: DrvPath, isGoal: (path: DrvPath) => boolean): number | null {
    let level = new Set([from]);
    for (let distance = 0; distance <= this.paths.size; distance++) {
      if ([...level].some(isGoal)) return distance;
      level = new Set([...level].flatMap((path) => [...this.inputsOf(path)]));
    }
    return null;
  }
}

const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz';

/** 32 base-32 digits that look random, so that every bit of the packing counts. */
const hashArbitrary = fc.string({
  unit: fc.constantFrom(...DIGITS.split('')),
  minLength: 32,
  maxLength: 32,
});

const STORE = '/tmp/x/store';

/** Mostly usual paths; some share a hash, lie elsewhere, or are no store paths at all. */
const pathArbitrary = fc
  .tuple(
    fc.oneof({ weight: 5, arbitrary: hashArbitrary }, { weight: 1, arbitrary: fc.constant('0'.repeat(32)) }),
    fc.oneof(
      fc.constantFrom('hello-1.0', 'source', 'a', 'größe', 'x/y'),
      fc.stringMatching(/^[a-z0-9+._?=-]{1,30}$/),
    ),
    fc.oneof(
      { weight: 12, arbitrary: fc.constant('usual' as const) },
      { weight: 1, arbitrary: fc.constantFrom('elsewhere', 'bad digit', 'no suffix', 'no path') },
    ),
  )
  .map(([hash, name, shape]) => {
    if (shape === 'elsewhere') return `/nix/store/${hash}-${name}.drv`;
    if (shape === 'bad digit') return `${STORE}/e${hash.slice(1)}-${name}.drv`;
    if (shape === 'no suffix') return `${STORE}/${hash}-${name}`;
    if (shape === 'no path') return `${hash}${name}`;
    return `${STORE}/${hash}-${name}.drv`;
  });

const outputsArbitrary = (path: string): fc.Arbitrary<DrvNode['outputs']> => {
  const name = path.replace(/^.*\/.{32}-/, '').replace(/\.drv$/, '');
  const output = fc
    .tuple(fc.constantFrom('out', 'dev', 'lib', 'a-b'), hashArbitrary, fc.nat(7))
    .map(([output, hash, shape]) => {
      if (shape === 0) return { name: output, path: '' };
      if (shape === 1) return { name: output, path: `/nix/store/${hash}-${name}` };
      if (shape === 2) return { name: output, path: `${STORE}/${hash}-other` };
      return { name: output, path: `${STORE}/${hash}-${name}${output === 'out' ? '' : `-${output}`}` };
    });
  return fc.uniqueArray(output, { selector: ({ name }) => name, maxLength: 3 });
};

const edgesArbitrary = (paths: readonly string[], index: number): fc.Arbitrary<DrvNode['inputs']> =>
  index === 0
    ? fc.constant([])
    : fc.array(
        fc.record({
          path: fc.nat(index - 1).map((input) => paths[input] as DrvPath),
          outputs: fc.subarray(['out', 'dev', 'lib']),
        }),
        { maxLength: 5 },
      );

const nodeArbitrary = (paths: readonly string[], index: number): fc.Arbitrary<DrvNode> => {
  const path = paths[index] ?? '';
  return fc.record({
    path: fc.constant(path as DrvPath),
    system: fc.constantFrom('x86_64-linux', 'builtin', 'aarch64-darwin'),
    fixedOutput: fc.boolean(),
    preferLocalBuild: fc.boolean(),
    allowSubstitutes: fc.boolean(),
    requiredFeatures: fc.subarray(['kvm', 'big-parallel']),
    outputs: outputsArbitrary(path),
    inputs: edgesArbitrary(paths, index),
  });
};

/** Nodes of an acyclic graph, each input before its dependents; an input may be named twice. */
export const acyclicNodes: fc.Arbitrary<readonly DrvNode[]> = fc
  .uniqueArray(pathArbitrary, { minLength: 1, maxLength: 24 })
  .chain((paths) => fc.tuple(...paths.map((_, index) => nodeArbitrary(paths, index))));
