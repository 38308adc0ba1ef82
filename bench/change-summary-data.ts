// A made-up package set of any size, and the same after an edit that rebuilds one package in twenty.
import { DrvGraph, type DrvNode } from '@eka-ci/core/drv-graph';
import type { EvaluatedAttr, Jobset } from '@eka-ci/core/evaluation';
import type { DrvPath } from '@eka-ci/core/ids';

export interface PackageSetData {
  readonly attributes: number;
  readonly nodes: readonly DrvNode[];
  readonly base: Jobset;
  readonly judged: Jobset;
}

const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz';

/** 32 characters that differ for different numbers: long strings cost what they cost in earnest. */
const hashOf = (index: number, salt: number): string => {
  let [a, b] = [Math.imul(index + 1, 0x9e3779b1), Math.imul(salt + 1, 0x85ebca6b) ^ index];
  let text = '';
  for (let digit = 0; digit < 32; digit++) {
    a = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d) + b;
    b = Math.imul(b ^ (b >>> 13), 0x297a2d39) ^ a;
    text += DIGITS[(a >>> 9) & 31] ?? '0';
  }
  return text;
};

/** The same numbers for the same seed (mulberry32). */
const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** Packages that most others need. */
const HUBS = 12;

/** For each package the earlier packages it needs: four on average, near ones rather than far ones. */
const chooseInputs = (packages: number, random: () => number): number[][] =>
  Array.from({ length: packages }, (_, index) => {
    const inputs = new Set<number>();
    if (index > HUBS) for (let hub = 0; hub < 2; hub++) inputs.add(Math.floor(random() * HUBS));
    const more = index < 2 ? 0 : Math.floor(random() * 6);
    for (let input = 0; input < more; input++) {
      // Few packages are needed by many, and chains stay about a hundred long.
      inputs.add(Math.floor(index * random() ** 2 * 0.98));
    }
    inputs.delete(index);
    return [...inputs];
  });

const reverse = (inputs: readonly (readonly number[])[]): number[][] => {
  const dependents: number[][] = inputs.map(() => []);
  for (const [index, list] of inputs.entries()) for (const input of list) dependents[input]?.push(index);
  return dependents;
};

interface Edit {
  /** Edited packages; those above them are rebuilt. */
  readonly edited: ReadonlySet<number>;
  readonly rebuilt: ReadonlySet<number>;
}

const chooseEdit = (inputs: readonly (readonly number[])[], share: number, random: () => number): Edit => {
  const dependents = reverse(inputs);
  const limit = Math.ceil(inputs.length * share);
  const edited = new Set<number>();
  const rebuilt = new Set<number>();
  while (rebuilt.size < limit * 0.99) {
    const pick = Math.floor(random() * inputs.length);
    const reached = new Set([pick]);
    for (const index of reached) {
      for (const dependent of dependents[index] ?? []) if (!rebuilt.has(dependent)) reached.add(dependent);
      if (reached.size + rebuilt.size > limit) break;
    }
    if (rebuilt.has(pick) || reached.size + rebuilt.size > limit) continue;
    edited.add(pick);
    for (const index of reached) rebuilt.add(index);
  }
  return { edited, rebuilt };
};

interface Version {
  readonly drvPath: DrvPath;
  readonly sourcePath: DrvPath;
  readonly name: string;
  readonly output: string;
}

/** @param salt 0 on the base; another for what differs from it */
const versionOf = (index: number, salt: number, isEdited: boolean): Version => {
  const name = `package-${index}-1.${isEdited ? salt : 0}`;
  const source = `${hashOf(index, isEdited ? 100 + salt : 100)}-package-${index}-source.tar.gz.drv`;
  return {
    // Only the edge parser makes such paths; made-up ones have no edge.
    drvPath: `/nix/store/${hashOf(index, salt)}-${name}.drv` as DrvPath,
    sourcePath: `/nix/store/${source}` as DrvPath,
    name,
    output: `/nix/store/${hashOf(index, 200 + salt)}-${name}`,
  };
};

const nodesOf = (version: Version, inputs: readonly DrvPath[]): DrvNode[] => {
  const common = { preferLocalBuild: false, allowSubstitutes: true, requiredFeatures: [] };
  const sourceOutput = version.sourcePath.replace(/\.drv$/, '').replace('/store/', '/store/s');
  return [
    {
      ...common,
      path: version.sourcePath,
      system: 'builtin',
      fixedOutput: true,
      outputs: [{ name: 'out', path: sourceOutput }],
      inputs: [],
    },
    {
      ...common,
      path: version.drvPath,
      system: 'x86_64-linux',
      fixedOutput: false,
      outputs: [{ name: 'out', path: version.output }],
      inputs: [version.sourcePath, ...inputs].map((path) => ({ path, outputs: ['out'] })),
    },
  ];
};

const recordOf = (index: number, version: Version, handle: string): EvaluatedAttr => ({
  kind: 'derivation',
  attr: `package${String(index).padStart(7, '0')}`,
  attrPath: [`package${String(index).padStart(7, '0')}`],
  name: version.name,
  system: 'x86_64-linux',
  drvPath: version.drvPath,
  outputs: { out: version.output },
  meta: {
    pname: `package-${index}`,
    version: version.name.slice(version.name.lastIndexOf('-') + 1),
    licenses: ['MIT'],
    maintainers: [handle, `maintainer-${index % 999}`],
    maintainerIds: [(index % 999) + 1],
    position: `pkgs/by-name/pa/package-${index}/package.nix:12`,
    broken: false,
    insecure: false,
    unfree: false,
    unsupported: false,
  },
  metaError: null,
});

/** Nearly twice as many derivations as attributes: a package and its source each; one in twenty rebuilt. */
export const makePackageSet = (attributes: number): PackageSetData => {
  const random = randomFrom(attributes);
  const inputs = chooseInputs(attributes, random);
  const { edited, rebuilt } = chooseEdit(inputs, 0.05, random);
  const base = inputs.map((_, index) => versionOf(index, 0, false));
  const judged = base.map((version, index) =>
    rebuilt.has(index) ? versionOf(index, 1, edited.has(index)) : version,
  );
  const nodes: DrvNode[] = [];
  for (const [side, isNew] of [
    [base, () => true],
    [judged, (index: number) => rebuilt.has(index)],
  ] as const) {
    for (const [index, version] of side.entries()) {
      const paths = (inputs[index] ?? []).flatMap((input) => side[input]?.drvPath ?? []);
      if (isNew(index)) nodes.push(...nodesOf(version, paths));
    }
  }
  const toJobset = (side: readonly Version[], handle: string): Jobset => ({
    job: 'packages',
    records: side.map((version, index) => recordOf(index, version, edited.has(index) ? handle : 'everyone')),
  });
  return { attributes, nodes, base: toJobset(base, 'before'), judged: toJobset(judged, 'after') };
};

export const toGraph = ({ nodes }: PackageSetData): DrvGraph => {
  const graph = new DrvGraph();
  for (const node of nodes) graph.add(node);
  return graph;
};
