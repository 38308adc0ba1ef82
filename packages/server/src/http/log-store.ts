// Finds and opens the log of one attempt; whatever name is stored, nothing outside the log folder is opened.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildAttempt } from '../database/database.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { parseSafePath, resolveWithin } from '../lib/safe-path.ts';
import { logFileOf } from '../pipeline/run-attempt.ts';
import { HttpError } from './errors.ts';
import type { HttpDeps } from './http-options.ts';

export interface OpenLog {
  /** The caller closes it. */
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  /** Changes when the content does. */
  readonly etag: string;
}

const missing = (cause?: unknown): HttpError =>
  new HttpError('LOG_NOT_FOUND', 'there is no log: nothing was built here, or the log was removed', {
    cause,
  });

/** Relative to the log folder; null where there is none. What is being built has its log before that is recorded. */
export const logFileOfAttempt = (drv: DrvPath, { state, attempt, logFile }: BuildAttempt): string | null =>
  logFile ?? (state === 'building' ? logFileOf(drv, attempt) : null);

interface ChosenLog {
  readonly file: string;
  readonly attempt: BuildAttempt;
}

const chooseLog = (
  drv: DrvPath,
  attempts: readonly BuildAttempt[],
  wanted: number | undefined,
): ChosenLog => {
  const considered = wanted === undefined ? attempts : attempts.filter(({ attempt }) => attempt === wanted);
  if (wanted !== undefined && considered.length === 0) {
    throw new HttpError('ATTEMPT_NOT_FOUND', `there is no attempt ${wanted}: there are ${attempts.length}`);
  }
  const logs = considered.flatMap((attempt) => {
    const file = logFileOfAttempt(drv, attempt);
    return file === null ? [] : [{ file, attempt }];
  });
  const newest = logs.at(-1);
  if (newest === undefined) throw missing();
  return newest;
};

const dayMs = 24 * 60 * 60_000;

/** Why a log that was written is not there: where it is old enough, that is why. */
const missingLog = (
  { upkeep, clock }: Pick<HttpDeps, 'upkeep' | 'clock'>,
  { finishedAtMs }: BuildAttempt,
  error: unknown,
): unknown => {
  const { logDays } = upkeep;
  if (!(error instanceof HttpError) || error.code !== 'LOG_NOT_FOUND' || logDays === null) return error;
  if (finishedAtMs === null || clock() - finishedAtMs <= logDays * dayMs) return error;
  const message = `this log is gone: logs are kept for ${logDays} days (retention.build_log_days). Build it again to see one`;
  return new HttpError('LOG_EXPIRED', message, { cause: error });
};

const openWithin = async (folder: string, name: string): Promise<FileHandle> => {
  const parsed = parseSafePath(name);
  if (parsed.kind === 'refused') throw missing();
  const resolved = await resolveWithin(folder, parsed.path);
  if (resolved.kind !== 'file') throw missing();
  try {
    // Not through a link that was put there since.
    return await open(join(folder, resolved.path), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT' || errorCodeOf(error) === 'ELOOP') throw missing(error);
    throw error;
  }
};

/**
 * Every line of it that was told live by now is in it: who follows a log needs no luck to miss none.
 * @throws HttpError ATTEMPT_NOT_FOUND, LOG_NOT_FOUND, LOG_EXPIRED
 */
export const openLog = async (
  deps: Pick<HttpDeps, 'database' | 'logsDir' | 'upkeep' | 'clock' | 'live'>,
  drv: DrvPath,
  wanted: number | undefined,
): Promise<OpenLog> => {
  const attempts = await deps.database.builds.attemptsOf(drv);
  const { file, attempt } = chooseLog(drv, attempts, wanted);
  await deps.live.logs.written(drv);
  const handle = await openWithin(deps.logsDir, file).catch((error: unknown) => {
    throw missingLog(deps, attempt, error);
  });
  try {
    const { size, mtimeMs, ino } = await handle.stat();
    return {
      handle,
      sizeBytes: size,
      etag: `"${ino.toString(36)}-${size.toString(36)}-${Math.trunc(mtimeMs).toString(36)}"`,
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
};
