// The environment of a check: of the system, or of a development shell, which is evaluated and built like any other
// derivation. Its hook is run by the check itself, in the sandbox.
import { readFile } from 'node:fs/promises';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { parseDerivation, textOf } from '@eka-ci/nix/derivation';
import type { EvaluationTarget } from '@eka-ci/nix/evaluator/evaluator';
import { type SystemPrograms, storePathAround } from '@eka-ci/nix/system-programs';
import type { BuildEnding } from '@eka-ci/protocol/build-request';
import type { Evaluation } from '../evaluate.ts';
import type { ShellWanted } from './asked-checks.ts';

export type Environment =
  | {
      readonly kind: 'ready';
      /** What runs the text of a command, which is its last argument. */
      readonly runner: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      /** All that these refer to, directly or not. */
      readonly storePaths: readonly StorePath[];
    }
  /** There is none: why, in words. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface ShellDeps {
  /** Of the judged tree, as any job of it. @throws the signal's reason */
  readonly evaluate: (target: EvaluationTarget, signal: AbortSignal) => Promise<Evaluation>;
  /** @throws the signal's reason, and what a build throws */
  readonly build: (drv: DrvPath, signal: AbortSignal) => Promise<BuildEnding>;
  readonly system: string;
  /** What a flake may see of the commit it belongs to. */
  readonly commit: { readonly rev: string; readonly lastModified: number };
  /** What no shell brings. */
  readonly programs: SystemPrograms;
  readonly storeDir: string;
  /** Keeps it from garbage collection for as long as its check may run. @throws RootingError */
  readonly keep: (path: StorePath) => Promise<void>;
  /** Of those that are in the store, with all that they refer to. @throws StoreQueryError */
  readonly closureOf: (paths: readonly StorePath[]) => Promise<ReadonlyMap<StorePath, unknown>>;
}

const baseEnv = (searchPath: string) => ({ PATH: searchPath, CI: 'true' });

/** Of the system alone. */
export const plainEnvironment = ({ searchPath, storePaths }: SystemPrograms): Environment => ({
  kind: 'ready',
  runner: ['sh', '-c'],
  env: baseEnv(searchPath),
  storePaths,
});

// The shell that has written the environment reads it. What the hook ends with is not asked for, as in nix-shell.
const runInShell = '. "$1" || exit 126\nif [ -n "${shellHook:-}" ]; then eval "$shellHook"; fi\neval "$2"';

const targetOf = (wanted: ShellWanted, { system, commit }: ShellDeps): EvaluationTarget =>
  wanted.kind === 'file'
    ? { kind: 'file', file: 'shell.nix', attrPath: wanted.attrPath, isShell: true }
    : { kind: 'flake', output: 'devShells', shell: wanted.name, systems: [system], ...commit };

const namesOf = (wanted: ShellWanted): string => {
  if (wanted.kind === 'flake') return `the development shell ${wanted.name} of the flake`;
  return wanted.attrPath.length === 0 ? 'shell.nix' : `${wanted.attrPath.join('.')} of shell.nix`;
};

const failed = (reason: string): Environment => ({ kind: 'failed', reason });

/** Derivations are in the store when they are evaluated; what names them was parsed. */
const readShell = async (drv: DrvPath) => {
  const { builder, outputs } = parseDerivation(await readFile(drv, 'latin1'), drv);
  const [output] = outputs;
  return { builder: textOf(builder), file: textOf(output?.path ?? '') };
};

/**
 * What is captured refers to all that its shell needs, and names what reads it. Nothing else is asked for: by a text, such
 * as a builder's, a derivation could name whatever is in the store. Kept first: what is found then stays.
 */
const closureOfShell = async (
  { storeDir, keep, closureOf }: ShellDeps,
  { builder, file }: { readonly builder: string; readonly file: string },
): Promise<readonly StorePath[] | null> => {
  const captured = storePathAround(file, storeDir);
  if (captured === null) return null;
  await keep(captured);
  const closure = await closureOf([captured]);
  const reader = storePathAround(builder, storeDir);
  const isWhole = closure.has(captured) && (reader === null || closure.has(reader));
  return isWhole ? [...closure.keys()] : null;
};

/** @throws the signal's reason; what evaluating and building throw; DerivationError where the derivation cannot be read */
export const shellEnvironment = async (
  deps: ShellDeps,
  wanted: ShellWanted,
  signal: AbortSignal,
): Promise<Environment> => {
  const evaluation = await deps.evaluate(targetOf(wanted, deps), signal);
  if (evaluation.kind === 'failed') {
    const { message, position } = evaluation.failure;
    const place = position === null ? '' : ` at ${position.file}:${position.line}:${position.column}`;
    return failed(`${namesOf(wanted)} cannot be evaluated: ${message}${place}`);
  }
  const [record] = evaluation.jobset.records;
  if (record?.kind !== 'derivation') {
    const why = record?.kind === 'failed' ? record.failure.message : 'its own meta refuses it';
    return failed(`${namesOf(wanted)} cannot be evaluated: ${why}`);
  }
  const { outcome, message, culprit } = await deps.build(record.drvPath, signal);
  if (outcome !== 'succeeded') {
    const because = culprit === null ? '' : ` because of ${culprit.slice(culprit.lastIndexOf('/') + 1)}`;
    return failed(`${namesOf(wanted)} cannot be built${because}: ${message ?? outcome}`);
  }
  const { builder, file } = await readShell(record.drvPath);
  const closure = await closureOfShell(deps, { builder, file });
  if (closure === null) {
    return failed(`the environment of ${namesOf(wanted)} is not in the store, or not what runs it`);
  }
  const { searchPath, storePaths } = deps.programs;
  return {
    kind: 'ready',
    runner: [builder, '-c', runInShell, 'check', file],
    env: baseEnv(searchPath),
    storePaths: [...new Set([...storePaths, ...closure])],
  };
};
