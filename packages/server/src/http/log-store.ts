// Finds and opens the log of one attempt; whatever name is stored, nothing outside the log folder is opened.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildAttempt } from '../database/database.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { parseSafePath, resolveWithin } from '../lib/safe-path.ts';
import { openStoredLog, type StoredLog } from '../lib/stored-log.ts';
import { logFileOf } from '../pipeline/builds/run-attempt.ts';
import { logOfStore } from '../pipeline/builds/store-logs.ts';
import { HttpError } from './errors.ts';
import type { HttpDeps } from './http-options.ts';

/** The caller reads it or closes it. */
export interface OpenLog extends Pick<StoredLog, 'sizeBytes' | 'stream' | 'close'> {
  /** Changes when the text does, and not when it is compressed. */
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

/** Null where there is no such file in the folder. */
const openWithin = async (folder: string, name: string): Promise<FileHandle | null> => {
  const parsed = parseSafePath(name);
  if (parsed.kind === 'refused') return null;
  const resolved = await resolveWithin(folder, parsed.path);
  if (resolved.kind !== 'file') return null;
  try {
    // Not through a link that was put there since.
    return await open(join(folder, resolved.path), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT' || errorCodeOf(error) === 'ELOOP') return null;
    throw error;
  }
};

/** @param file relative to the log folder, whoever stored it. @returns null where there is none */
export const openFile = async (folder: string, file: string, attempt: number): Promise<OpenLog | null> => {
  const log = await openStoredLog((suffix) => openWithin(folder, file + suffix));
  if (log === null) return null;
  const { sizeBytes, modifiedMs } = log;
  const etag = `"${[attempt, sizeBytes, modifiedMs].map((part) => part.toString(36)).join('-')}"`;
  return {
    sizeBytes,
    etag,
    stream: (start, end) => log.stream(start, end),
    close: () => log.close(),
  };
};

/** Nobody built it here: whoever did may have left a log, which is asked for once and then kept like one of ours. */
const openFetched = async (
  { storeLogs, logsDir }: Pick<HttpDeps, 'storeLogs' | 'logsDir'>,
  drv: DrvPath,
): Promise<OpenLog> => {
  const file = logFileOf(drv, logOfStore);
  const log = await openFile(logsDir, file, logOfStore);
  if (log !== null) return log;
  const fetched = (await storeLogs.fetch(drv)) ? await openFile(logsDir, file, logOfStore) : null;
  if (fetched !== null) return fetched;
  throw new HttpError(
    'LOG_NOT_FOUND',
    'there is no log: this was fetched or was there already, nobody built it here, and the store has no log of it',
  );
};

/** True where the attempt, or that there was none, leaves it to others to have built it. */
const wasFetched = (attempts: readonly BuildAttempt[], wanted: number | undefined): boolean => {
  const last = attempts.findLast(({ attempt }) => wanted === undefined || attempt === wanted);
  if (last === undefined) return attempts.length === 0 && wanted === undefined;
  return last.state === 'succeeded' && (last.cause === 'substituted' || last.cause === 'already-valid');
};

type LogDeps = Pick<HttpDeps, 'database' | 'logsDir' | 'upkeep' | 'clock' | 'live' | 'storeLogs'>;

const openOfAttempt = async (deps: LogDeps, drv: DrvPath, { file, attempt }: ChosenLog): Promise<OpenLog> => {
  await deps.live.logs.written(drv);
  const log = await openFile(deps.logsDir, file, attempt.attempt);
  if (log === null) throw missingLog(deps, attempt, missing());
  return log;
};

/**
 * Every line of it that was told live by now is in it: who follows a log needs no luck to miss none.
 * @throws HttpError ATTEMPT_NOT_FOUND, LOG_NOT_FOUND, LOG_EXPIRED
 */
export const openLog = async (deps: LogDeps, drv: DrvPath, wanted: number | undefined): Promise<OpenLog> => {
  const attempts = await deps.database.builds.attemptsOf(drv);
  if (!wasFetched(attempts, wanted)) return openOfAttempt(deps, drv, chooseLog(drv, attempts, wanted));
  if (attempts.length === 0) {
    // Only what an evaluation met: the store of the machine may hold what is nobody's business.
    const known = await deps.database.derivations.find(drv);
    if (known === null) throw missing();
    return openFetched(deps, drv);
  }
  // What Nix said while it fetched, where it said anything.
  const own = await openOfAttempt(deps, drv, chooseLog(drv, attempts, wanted)).catch((error: unknown) => {
    if (error instanceof HttpError) return null;
    throw error;
  });
  if (own !== null && own.sizeBytes > 0) return own;
  await own?.close();
  return openFetched(deps, drv);
};
