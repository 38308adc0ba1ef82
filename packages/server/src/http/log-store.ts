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

const chooseLogFile = (
  drv: DrvPath,
  attempts: readonly BuildAttempt[],
  wanted: number | undefined,
): string => {
  const considered = wanted === undefined ? attempts : attempts.filter(({ attempt }) => attempt === wanted);
  if (wanted !== undefined && considered.length === 0) {
    throw new HttpError('ATTEMPT_NOT_FOUND', `there is no attempt ${wanted}: there are ${attempts.length}`);
  }
  const files = considered.map((attempt) => logFileOfAttempt(drv, attempt));
  const newest = files.findLast((file) => file !== null);
  if (newest === undefined || newest === null) throw missing();
  return newest;
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

/** @throws HttpError ATTEMPT_NOT_FOUND, LOG_NOT_FOUND */
export const openLog = async (
  { database, logsDir }: Pick<HttpDeps, 'database' | 'logsDir'>,
  drv: DrvPath,
  wanted: number | undefined,
): Promise<OpenLog> => {
  const attempts = await database.builds.attemptsOf(drv);
  const handle = await openWithin(logsDir, chooseLogFile(drv, attempts, wanted));
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
