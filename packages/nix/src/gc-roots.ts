// Keeps derivations and outputs from garbage collection: one text file in the store refers to many of them and is
// itself rooted (`nix-store --realise --add-root` of a `.drv` would build it).
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import { quoteNixString } from './evaluator/attr-path.ts';
import type { NixInstallation } from './installation.ts';

export class RootingError extends Error {
  readonly code = 'NIX_ROOTS_NOT_KEPT';
  constructor(detail: string) {
    super(
      `store paths could not be kept from garbage collection (${detail}). Check that the directory for roots can be ` +
        'written and that the store is reachable; if a collection ran meanwhile, evaluate again.',
    );
    this.name = 'RootingError';
  }
}

export interface RootKeeper {
  /** Roots it soon, with whatever else comes meanwhile. */
  add(path: DrvPath | StorePath): void;
  /** Resolves when all are rooted. @throws RootingError */
  finish(): Promise<void>;
}

const run = async (
  nix: NixInstallation,
  command: string,
  rest: { args: string[]; stdin?: string },
): Promise<string> => {
  const done = await runChild({ command, ...rest, env: nix.env, timeoutMs: 120_000 });
  if (done.code !== 0) throw new RootingError(done.stderr.trim().slice(-500) || `status ${done.code}`);
  return done.stdout.trim();
};

/**
 * Roots those paths, which must be valid, by a new link.
 * @param link absolute; its folder is there, it is not
 */
export type RootPaths = (link: string, paths: readonly (DrvPath | StorePath)[]) => Promise<void>;

/** The file that refers to them, the same however they are rooted. */
export const rootsText = (paths: readonly (DrvPath | StorePath)[]) => ({
  name: 'jobset-roots',
  text: paths.join('\n'),
  references: paths,
});

/** By two processes. */
export const createProcessRooting =
  (nix: NixInstallation): RootPaths =>
  async (link, paths) => {
    const { name, references } = rootsText(paths);
    const listed = references.map((path) => `(builtins.storePath ${quoteNixString(path)})`).join('\n');
    const stdin = `builtins.toFile ${quoteNixString(name)} (builtins.concatStringsSep "\\n" [\n${listed}\n])`;
    const evaluated = await run(nix, nix.programs.instantiate, {
      args: ['--eval', '--strict', '--json', '--read-write-mode', '-'],
      stdin,
    });
    const file: unknown = JSON.parse(evaluated);
    await run(nix, nix.programs.store, {
      args: ['--realise', String(file), '--add-root', link, '--indirect'],
    });
  };

/**
 * How long derivations are gathered before they are rooted. Where a rooting is two processes: at 250 ms they took 40 % of
 * a core. Until then a derivation is held by the process that wrote it, as long as that lives; a collection that comes
 * in between makes rooting fail, and with it the evaluation.
 */
const defaultGatherMs = 2000;

/**
 * Roots in the background, one batch in flight at a time.
 * @param dir gets a link for each batch, and is made where it is not there
 */
export const createRootKeeper = (
  rootPaths: RootPaths,
  dir: string,
  gatherMs = defaultGatherMs,
): RootKeeper => {
  let waiting = new Set<DrvPath | StorePath>();
  let timer: NodeJS.Timeout | undefined;
  let flight: Promise<void> = Promise.resolve();
  let fault: RootingError | null = null;

  const rootWaiting = async (): Promise<void> => {
    const paths = [...waiting];
    waiting = new Set();
    if (paths.length === 0 || fault !== null) return;
    try {
      const folder = resolve(dir);
      await mkdir(folder, { recursive: true });
      await rootPaths(join(folder, `jobset-${randomUUID()}`), paths);
    } catch (error) {
      fault =
        error instanceof RootingError
          ? error
          : new RootingError(error instanceof Error ? error.message : String(error));
    }
  };
  const fly = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flight = flight.then(rootWaiting);
    return flight;
  };

  return {
    add: (path) => {
      waiting.add(path);
      timer ??= setTimeout(() => void fly(), gatherMs);
    },
    finish: async () => {
      await fly();
      if (fault !== null) throw fault;
    },
  };
};
