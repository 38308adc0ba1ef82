// A repository for the benchmark `recovery`: a package set with the degrees of a real one, of builders that take next to no
// time and write down in a ledger that they came to their end.
import { join } from 'node:path';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import { randomDrvNodes } from '@eka-ci/core/testing/random-graph';
import { writeLedger } from '../e2e/testing/ledger.ts';
import { createRepository, type Repository } from '../e2e/testing/repository.ts';

export interface RecoverySet {
  readonly repository: Repository;
  readonly ledgerFile: string;
  /** Of what the one branch must build, whatever else is built to tell new failures from old ones. */
  readonly builds: number;
  readonly branches: 1;
}

/** As the set's expression reads it. */
interface Entry {
  readonly isSource: boolean;
  readonly inputs: readonly number[];
  readonly fails: boolean;
}

const failing = 3;

const closureSizes = (inputsOf: readonly (readonly number[])[]): number[] => {
  const closures: Set<number>[] = [];
  for (const [index, inputs] of inputsOf.entries()) {
    closures.push(new Set([index, ...inputs.flatMap((input) => [...(closures[input] ?? [])])]));
  }
  return closures.map(({ size }) => size);
};

/** Packages that nobody needs and that need little: what is built of the base to judge them is a handful. */
const chooseFailing = (nodes: readonly DrvNode[], inputsOf: readonly (readonly number[])[]): Set<number> => {
  const needed = new Set(inputsOf.flat());
  const sizes = closureSizes(inputsOf);
  const leaves = nodes.flatMap(({ fixedOutput }, index) => (fixedOutput || needed.has(index) ? [] : [index]));
  return new Set(leaves.toSorted((a, b) => (sizes[a] ?? 0) - (sizes[b] ?? 0)).slice(0, failing));
};

const entriesOf = (builds: number): Entry[] => {
  const nodes = [...randomDrvNodes({ nodes: builds, seed: 7 })];
  const indexOf = new Map(nodes.map(({ path }, index) => [path, index]));
  const inputsOf = nodes.map(({ inputs }) => inputs.flatMap(({ path }) => indexOf.get(path) ?? []));
  const fails = chooseFailing(nodes, inputsOf);
  return nodes.map(({ fixedOutput }, index) => ({
    isSource: fixedOutput,
    inputs: inputsOf[index] ?? [],
    fails: fails.has(index),
  }));
};

const packageSet = (ledgerFile: string): string => `
let
  version = import ./version.nix;
  entries = builtins.fromJSON (builtins.readFile ./graph.json);
  numbers = builtins.genList (n: n) (builtins.length entries);
  make = n: { isSource, inputs, fails }:
    let name = "\${if isSource then "source" else "package"}-\${toString n}-\${version}";
    in derivation ({
      inherit name;
      inputs = map (builtins.elemAt built) inputs;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [ "-c" ''
        /bin/sleep 0.01
        printf %s "$name" > $out
        \${if fails && version != "1" then "exit 1" else ""}
        ${writeLedger(ledgerFile)}
      '' ];
    } // (if !isSource then { } else {
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
      outputHash = builtins.hashString "sha256" name;
    }));
  built = map (n: make n (builtins.elemAt entries n)) numbers;
  packages = builtins.filter (n: !(builtins.elemAt entries n).isSource) numbers;
in
builtins.listToAttrs (map (n: { name = "p\${toString n}"; value = builtins.elemAt built n; }) packages)
`;

/** In `folder`, which must exist. Its branch `all` makes everything anew, of which a few fail that did not before. */
export const createRecoverySet = async (folder: string, builds: number): Promise<RecoverySet> => {
  const ledgerFile = join(folder, 'ledger');
  const repository = await createRepository(join(folder, 'recovery-set'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet(ledgerFile),
    'graph.json': JSON.stringify(entriesOf(builds)),
    'version.nix': '"1"\n',
  });
  await repository.branch('all', { 'version.nix': '"2"\n' });
  return { repository, ledgerFile, builds, branches: 1 };
};
