// One attempt at one derivation: the builder's call with its log on disk. Never rejects, whatever the builder does.
import { join } from 'node:path';
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import { baseNameOf, derivationNameOf, hashPartOf } from '@eka-ci/nix/store-path';
import type { Builder, BuildObserver, BuildRequest } from '../../builder/builder.ts';
import { createLogFile } from '../../lib/log-file.ts';
import type { SecretMask } from '../../lib/secret-mask.ts';
import type { LogFeed } from '../live/live-logs.ts';
import type { BuildEvent } from './build-outcome.ts';
import type { LogCompression } from './log-compression.ts';

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
    /** Null or absent: there is no secret that a build could print. */
    readonly mask?: SecretMask | null;
    /** Null or absent: logs stay as they are written. */
    readonly compression?: Pick<LogCompression, 'writing'> | null;
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

/** What Nix says of a failure may quote the build. */
const maskResult = (result: BuildResult, mask: SecretMask | null): BuildResult =>
  mask === null || !('message' in result) ? result : { ...result, message: mask.text(result.message) };

const textOf = (line: Uint8Array | string): string =>
  typeof line === 'string'
    ? line
    : Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8');

export const runAttempt = async (deps: AttemptDeps, attempt: Attempt): Promise<EndedAttempt> => {
  const { builder, limits, logs, onEvent } = deps;
  const { drv, attempt: number, logFile, signal } = attempt;
  const { mask = null } = logs;
  const endWriting = logs.compression?.writing(logFile);
  const log = createLogFile({ path: join(logs.folder, logFile), maxBytes: logs.maxBytes });
  const followed = logs.feed?.open({ drv, attempt: number }, log);
  let over = false;
  const observer: BuildObserver = {
    log(said) {
      if (over) return;
      const line = mask === null ? said : mask.line(said);
      log.write(line);
      followed?.line(textOf(line));
    },
    phase(phase) {
      if (!over) onEvent({ kind: 'phase', drv, attempt: number, phase: mask?.text(phase) ?? phase });
    },
    pressure: () => log.pressure(),
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
  endWriting?.();
  return { result: maskResult(result, mask), lastLines: log.lastLines(keptLines), logFault: fault };
};
