// A package set of small derivations that take their time, and write down in a ledger of their own when they end:
// what was really built, whatever the server or the store say of it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LedgerLine, readLedger, writeLedger } from './ledger.ts';
import { createRepository, type Files, type Repository } from './repository.ts';

export interface SleepySet {
  readonly repository: Repository;
  /** Branches that differ from main. */
  readonly branches: number;
  /** Of builders that came to their last line and were not to fail, in the order in which they did. */
  ledger(): Promise<readonly LedgerLine[]>;
}

const chain = 6;
const wide = 8;

/** `name` is its own version's, so a bump is a new name; what depends on it is rebuilt under its old one. */
const packageSet = (ledger: string): string => `
let
  versions = import ./versions.nix;
  toFail = import ./failing.nix;
  versionOf = pname: versions.\${pname} or "1";
  system = builtins.currentSystem;
  build = pname: sleep: inputs: extra:
    derivation (rec {
      name = "\${pname}-\${versionOf pname}";
      inherit inputs system;
      verdict = if builtins.elem pname toFail then "1" else "0";
      builder = "/bin/sh";
      args = [ "-c" ''
        echo building $name from $inputs
        /bin/sleep \${if slow == null then sleep else slow}
        echo $name $inputs > $out
        [ $verdict = 0 ] || exit 1
        ${writeLedger(ledger)}
      '' ];
    } // extra) // { inherit pname; version = versionOf pname; };
  numbers = builtins.genList (n: n + 1);
  source = build "source" "0.1" [ ] {
    outputHashAlgo = "sha256";
    outputHashMode = "flat";
    outputHash = builtins.hashString "sha256" "source-\${versionOf "source"} \\n";
    args = [ "-c" ''
      /bin/sleep 0.1
      echo "$name " > $out
      ${writeLedger(ledger)}
    '' ];
  };
  link = n: build "chain\${toString n}" "0.0\${toString n}" (if n == 1 then [ ] else [ (link (n - 1)) ]) { };
  base = build "base" "0.1" [ ] { };
  # Every package of a branch that has the file takes as long as it says.
  slow = if builtins.pathExists ./sleep.nix then import ./sleep.nix else null;
  bad = build "bad" "0.05" [ base ] { };
in
builtins.listToAttrs (
  map (n: { name = "chain\${toString n}"; value = link n; }) (numbers ${chain})
  ++ map (n: { name = "wide\${toString n}"; value = build "wide\${toString n}" "0.1" [ base ] { }; }) (numbers ${wide})
)
// {
  inherit source base bad;
  program = build "program" "0.2" [ source base ] { };
  needs-bad = build "needs-bad" "0.1" [ bad ] { };
  needs-needs-bad = build "needs-needs-bad" "0.1" [ (build "needs-bad" "0.1" [ bad ] { }) ] { };
}
`;

const files = (versions: Readonly<Record<string, string>>, failing: readonly string[] = ['bad']): Files => {
  const rows = Object.entries(versions).map(([pname, version]) => `  ${pname} = "${version}";\n`);
  return {
    'versions.nix': `{\n${rows.join('')}}\n`,
    'failing.nix': `[ ${failing.map((pname) => `"${pname}"`).join(' ')} ]\n`,
  };
};

type Branches = Readonly<Record<string, Files>>;

/** Six that share some of what they build, and of which one breaks something. */
export const sixBranches: Branches = {
  chain: files({ chain1: '2' }),
  'all-of-it': files({ base: '2', chain4: '2' }),
  'base-and-source': files({ base: '2', source: '2' }),
  source: files({ source: '3' }),
  'breaks-a-link': files({ chain3: '2' }, ['bad', 'chain5']),
  // Fails on main as well, which takes building it there to know.
  'touches-what-fails': files({ 'needs-bad': '2', wide1: '2', bad: '2' }),
};

/** Everything is built, and each takes a minute. */
export const longBranch: Branches = { long: { 'sleep.nix': '"60"' } };

/** In `folder`, which must exist: the repository and the ledger beside it. */
export const createSleepySet = async (folder: string, branches: Branches): Promise<SleepySet> => {
  const ledger = join(folder, 'ledger');
  await writeFile(ledger, '');
  const repository = await createRepository(join(folder, 'sleepy-set'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet(ledger),
    ...files({}),
  });
  for (const [name, changed] of Object.entries(branches)) await repository.branch(name, changed);
  return {
    repository,
    branches: Object.keys(branches).length,
    ledger: () => readLedger(ledger),
  };
};
