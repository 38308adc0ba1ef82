// One attempt at one derivation: the builder's call with its log on disk. Never rejects, whatever the builder does.
import { join } from 'node:path';
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import { baseNameOf, derivationNameOf, hashPartOf } from '@eka-ci/nix/store-path';
import type { Builder, BuildRequest } from '../builder/builder.ts';
import { createLogFile } from '../lib/log-file.ts';
import type { BuildEvent } from './build-outcome.ts';
import type { LogFeed } from './live-logs.ts';

export interface AttemptDeps {
  readonly builder: Builder;
  readonly limits: Omit<BuildRequest, 'drvPath' | 'outputs'>;
  readonly logs: {
    /** Absolute. */
    readonly folder: string;
    /** Of one log on disk; beyond it head and tail are kept. */
    readonly maxBytes: number;
    /** Told what builds say while they say it. */
    readonly feed?: LogFeed;
  };
  readonly onEvent: (event: BuildEvent) => void;
}

export interface Attempt {
  readonly drv: DrvPath;
  readonly attempt: number;
  /** Relative to the log folder. */
  readonly logFile: string;
  readonly signal: AbortSignal;
}

export interface EndedAttempt {
  readonly result: BuildResult;
  readonly lastLines: readonly string[];
  readonly logFault: string | null;
}

const keptLines = 20;

/** `ab/cdef…-hello-1.0.2.log` for the second attempt at `abcdef…-hello-1.0.drv`: at most some hundreds in a folder. */
export const logFileOf = (drv: DrvPath, attempt: number): string =>
  join(
    hashPartOf(drv).slice(0, 2),
    `${baseNameOf(drv).slice(2, 32)}-${derivationNameOf(drv)}.${attempt}.log`,
  );

const resultOfThrow = (drv: DrvPath, thrown: unknown): BuildResult => {
  const message = `the builder broke: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  return { kind: 'failed', cause: 'process-death', failedDrv: drv, message, durationMs: 0 };
};

export const runAttempt = async (deps: AttemptDeps, attempt: Attempt): Promise<EndedAttempt> => {
  const { builder, limits, logs, onEvent } = deps;
  const { drv, attempt: number, logFile, signal } = attempt;
  const log = createLogFile({ path: join(logs.folder, logFile), maxBytes: logs.maxBytes });
  const followed = logs.feed?.open({ drv, attempt: number }, log);
  let over = false;
  const observer = {
    log(line: Uint8Array | string): void {
      if (over) return;
      log.write(line);
      const text = typeof line === 'string' ? line : Buffer.from(line).toString('utf8');
      followed?.line(text);
      onEvent({ kind: 'log-line', drv, attempt: number, line: text });
    },
    phase(phase: string): void {
      if (!over) onEvent({ kind: 'phase', drv, attempt: number, phase });
    },
  };
  let result: BuildResult;
  try {
    result = await builder.build({ drvPath: drv, outputs: [], ...limits }, observer, signal);
  } catch (thrown) {
    result = resultOfThrow(drv, thrown);
  }
  over = true;
  const { fault } = await log.close();
  followed?.close();
  return { result, lastLines: log.lastLines(keptLines), logFault: fault };
};
