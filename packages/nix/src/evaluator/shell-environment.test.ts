// Development shells on real Nix: what is captured is what their own builder sees, from a file and from a flake.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseDerivation } from '../derivation.ts';
import type { EvaluationTarget } from './evaluator.ts';
import { createStockEvaluator } from './stock/stock-evaluator.ts';
import { type Collected, collectEvaluation } from './testing/collect.ts';
import { makeTemporaryStore, type TemporaryStore } from './testing/temporary-store.ts';

let store: TemporaryStore;
beforeAll(async () => {
  store = await makeTemporaryStore();
});
afterAll(() => store.remove());

// Its builder would fail; a set-up as stdenv has one is sourced, and a dependency is found in the environment.
const shell = (more = '') => `
  let
    d = name: script: derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/usr/bin:/bin";
    };
    tool = d "tool" "mkdir -p $out/bin; echo tool > $out/bin/tool";
    stdenv = d "stdenv" "mkdir $out; echo 'set -eu; export FROM_SETUP=yes PATH=$tool/bin' > $out/setup";
  in derivation {
    name = "dev"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "exit 1" ];
    inherit tool stdenv; GREETING = "it's \\"quoted\\"\\nin two lines";
    shellHook = "export HOOKED=$GREETING"; allowedReferences = [ ]; ${more}
  }`;

const evaluate = (tree: string, target: EvaluationTarget): Promise<Collected> =>
  collectEvaluation(createStockEvaluator(store.nix), {
    ...{ tree, target, limits: { workers: 2, maxMemoryMib: 1024, timeoutMs: 60_000 } },
    ...{ allowImportFromDerivation: false, allowNetwork: false, sandbox: 'preferred' as const },
    rootsDir: join(store.folder, 'roots'),
  });

const build = async ({ records, end }: Collected) => {
  const [record] = records;
  if (record?.kind !== 'derivation' || records.length !== 1) throw new Error(JSON.stringify([end, records]));
  const { builder } = parseDerivation(readFileSync(record.drvPath, 'utf8'));
  const built = await runChild({
    command: store.nix.programs.store,
    args: ['--realise', record.drvPath],
    env: store.nix.env,
  });
  if (built.code !== 0) throw new Error(built.stderr);
  return { builder, file: built.stdout.trim() };
};

const askIn = async ({ builder, file }: { builder: string; file: string }, command: string) => {
  const script = `. ${file}; eval "$shellHook"; ${command}`;
  const said = await runChild({
    command: builder,
    args: ['-c', script],
    env: { HOME: '/home-of-the-check' },
  });
  return said.stdout;
};

const flake = (output: string) => `{ outputs = { self }: { ${output} }; }`;
const ofFlake = (name: string): EvaluationTarget => ({
  kind: 'flake',
  output: 'devShells',
  shell: name,
  systems: ['x86_64-linux'],
  rev: null,
  lastModified: null,
});

it('captures what the builder sees: attributes, the set-up of stdenv, the hook unrun, nothing of the build', async () => {
  const tree = await store.tree({ 'shell.nix': `{ loud ? false }: ${shell()}` });
  const target = { kind: 'file', file: 'shell.nix', attrPath: [], isShell: true } as const;
  const captured = await build(await evaluate(tree, target));
  const text = readFileSync(captured.file, 'utf8');
  // What reads it is named in it, and nothing of the shell's own is lost by that.
  expect(text).toMatch(/^: '\/bin\/sh'$/m);
  expect(text).not.toMatch(/^export (HOME|TMPDIR|NIX_BUILD_TOP|HOOKED|out)=/m);
  const said = await askIn(captured, 'echo "$GREETING|$FROM_SETUP|$HOOKED|$HOME|$PATH|$name"');
  const greeting = 'it\'s "quoted"\nin two lines';
  expect(said).toMatch(
    new RegExp(`^${greeting}\\|yes\\|${greeting}\\|/home-of-the-check\\|.*-tool/bin\\|dev-env`),
  );
});

it('takes one shell of a flake by its name, and says which there are where it has none of that name', async () => {
  const tree = await store.tree({
    'flake.nix': flake(
      `devShells.x86_64-linux = { fmt = ${shell()}; "odd.name" = 1; broken = throw "in the shell"; };`,
    ),
  });
  const captured = await build(await evaluate(tree, ofFlake('fmt')));
  expect(await askIn(captured, 'echo "$FROM_SETUP"')).toBe('yes\n');
  const failureOf = async (name: string) => {
    const { end } = await evaluate(tree, ofFlake(name));
    return end.kind === 'failed' ? end.failure.message : JSON.stringify(end);
  };
  expect(await failureOf('absent')).toMatch(/no development shell 'absent'.*broken, fmt, odd\.name/);
  expect(await failureOf('odd.name')).toMatch(/must be a derivation, and this is a value of type int/);
  expect(await failureOf('broken')).toMatch(/in the shell/);
});
