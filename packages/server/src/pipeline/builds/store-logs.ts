// Logs of what was built elsewhere, or before us: the store is asked once, and what it has is kept as a log of ours.
import { rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { DrvPath } from '@eka-ci/core/ids';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { readLines, startChild } from '@eka-ci/process';
import { errorCodeOf } from '../../lib/error-code.ts';
import { createLogFile, type LogFile } from '../../lib/log-file.ts';
import { type AttemptDeps, logFileOf } from './run-attempt.ts';

/** The attempt under which it is kept; ours begin with 1. */
export const logOfStore = 0;

export interface StoreLogs {
  /**
   * True where the store has a log, which then is in the file of that attempt. Asked once at a time for each, and not again
   * for a minute where there was none.
   * @throws StartError
   */
  fetch(drv: DrvPath): Promise<boolean>;
}

export interface StoreLogsDeps {
  readonly nix: Pick<NixInstallation, 'programs' | 'env'>;
  readonly logs: Pick<AttemptDeps['logs'], 'folder' | 'maxBytes' | 'mask' | 'compression'>;
  /** Ends what runs. */
  readonly signal: AbortSignal;
  /** A substituter may take its time. @default 30 s */
  readonly timeoutMs?: number;
}

/** Who asks for more than that at once waits for the others. */
const maxAtOnce = 4;
const forgetNoneMs = 60_000;
const maxNone = 1000;
const maxLineLength = 4 * 1024 * 1024;
/** What is longer is ended: beyond the limit of a log the middle would be left out anyhow. */
const longestOverLimit = 10;

/** Lets so many in at once, the others in their order. */
const createTurnstile = (most: number) => {
  const waiting: (() => void)[] = [];
  let inside = 0;
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (inside >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else inside += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    }
  };
};

const removeIfThere = (path: string): Promise<void> =>
  unlink(path).catch((error: unknown) => {
    if (errorCodeOf(error) !== 'ENOENT') throw error;
  });

interface Reading {
  readonly deps: StoreLogsDeps;
  readonly drv: DrvPath;
  readonly log: LogFile;
}

/** True where Nix gave a log, all of which is in `log` now. */
const readLog = async ({ deps, drv, log }: Reading): Promise<boolean> => {
  const { nix, logs, signal, timeoutMs = 30_000 } = deps;
  // Without a pager: its output is no terminal. A derivation's path begins with a slash, so it is no option.
  const args = ['--read-log', drv];
  const child = await startChild({ command: nix.programs.store, args, env: nix.env, signal });
  child.stderr.resume();
  const timer = setTimeout(() => child.end(), timeoutMs);
  let length = 0;
  try {
    for await (const line of readLines(child.stdout, maxLineLength)) {
      length += line.length + 1;
      log.write(logs.mask?.line(line) ?? line);
      const pressure = log.pressure();
      if (pressure !== null) await pressure;
      if (length > longestOverLimit * logs.maxBytes) break;
    }
  } finally {
    clearTimeout(timer);
    child.end();
  }
  const { code } = await child.exited;
  return length > 0 && (code === 0 || length > longestOverLimit * logs.maxBytes);
};

const fetchLog = async (deps: StoreLogsDeps, drv: DrvPath): Promise<boolean> => {
  const { folder, maxBytes, compression } = deps.logs;
  const file = logFileOf(drv, logOfStore);
  // Nobody reads half of it; what a process that was killed leaves goes with its other halves.
  const part = join(folder, `${file}.part`);
  const log = createLogFile({ path: part, maxBytes });
  let isThere = false;
  try {
    isThere = await readLog({ deps, drv, log });
  } finally {
    const { fault } = await log.close();
    isThere &&= fault === null;
    await (isThere ? rename(part, join(folder, file)) : removeIfThere(part));
  }
  if (isThere) compression?.writing(file)();
  return isThere;
};

export const createStoreLogs = (deps: StoreLogsDeps): StoreLogs => {
  const enter = createTurnstile(maxAtOnce);
  const underWay = new Map<DrvPath, Promise<boolean>>();
  /** When those without a log were asked for, the oldest first. */
  const none = new Map<DrvPath, number>();
  const ask = async (drv: DrvPath): Promise<boolean> => {
    const found = await enter(() => fetchLog(deps, drv));
    if (found) return true;
    none.set(drv, performance.now());
    const oldest = none.keys().next();
    if (none.size > maxNone && oldest.done !== true) none.delete(oldest.value);
    return false;
  };
  return {
    fetch(drv) {
      const askedAt = none.get(drv);
      if (askedAt !== undefined && performance.now() - askedAt < forgetNoneMs) return Promise.resolve(false);
      none.delete(drv);
      const asked = underWay.get(drv) ?? ask(drv).finally(() => underWay.delete(drv));
      underWay.set(drv, asked);
      return asked;
    },
  };
};
