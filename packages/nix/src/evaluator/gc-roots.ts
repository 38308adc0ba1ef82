// Keeps derivations from garbage collection: one text file in the store refers to many of them and is itself rooted
// (`nix-store --realise --add-root` of a `.drv` would build it).
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import type { NixInstallation } from '../installation.ts';
import { quoteNixString } from './attr-path.ts';

export class RootingError extends Error {
  readonly code = 'NIX_ROOTS_NOT_KEPT';
  constructor(detail: string) {
    super(
      `derivations could not be kept from garbage collection (${detail}). Check that the directory for roots can be ` +
        'written and that the store is reachable; if a collection ran meanwhile, evaluate again.',
    );
    this.name = 'RootingError';
  }
}

export interface RootKeeper {
  /** Roots it soon, with whatever else comes meanwhile. */
  add(drv: DrvPath): void;
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

/** Roots those derivations by one new link in `dir`. */
const rootDerivations = async (
  nix: NixInstallation,
  dir: string,
  drvs: readonly DrvPath[],
): Promise<void> => {
  await mkdir(dir, { recursive: true });
  const paths = drvs.map((drv) => `(builtins.storePath ${quoteNixString(drv)})`).join('\n');
  const stdin = `builtins.toFile "jobset-roots" (builtins.concatStringsSep "\\n" [\n${paths}\n])`;
  const evaluated = await run(nix, nix.programs.instantiate, {
    args: ['--eval', '--strict', '--json', '--read-write-mode', '-'],
    stdin,
  });
  const file: unknown = JSON.parse(evaluated);
  const link = join(dir, `jobset-${randomUUID()}`);
  await run(nix, nix.programs.store, { args: ['--realise', String(file), '--add-root', link, '--indirect'] });
};

/**
 * How long derivations are gathered before they are rooted. Each rooting is two processes: at 250 ms they took 40 % of
 * a core. Until then a derivation is held by the process that wrote it, as long as that lives; a collection that comes
 * in between makes rooting fail, and with it the evaluation.
 */
const gatherMs = 2000;

/** Roots in the background, one batch in flight at a time. */
export const createRootKeeper = (nix: NixInstallation, dir: string): RootKeeper => {
  let waiting = new Set<DrvPath>();
  let timer: NodeJS.Timeout | undefined;
  let flight: Promise<void> = Promise.resolve();
  let fault: RootingError | null = null;

  const rootWaiting = async (): Promise<void> => {
    const drvs = [...waiting];
    waiting = new Set();
    if (drvs.length === 0 || fault !== null) return;
    try {
      await rootDerivations(nix, dir, drvs);
    } catch (error) {
      fault = error instanceof RootingError ? error : new RootingError(String(error));
    }
  };
  const fly = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flight = flight.then(rootWaiting);
    return flight;
  };

  return {
    add: (drv) => {
      waiting.add(drv);
      timer ??= setTimeout(() => void fly(), gatherMs);
    },
    finish: async () => {
      await fly();
      if (fault !== null) throw fault;
    },
  };
};
