// What a build of Nix's came to, in the port's words: from why Nix says that it failed, and from what Nix does not look at.
import { readFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { BuildResult, FailureCause } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RealiseFailure } from '@eka-ci/nix/build-failure';
import { type Derivation, isFixedOutput, parseDerivation } from '@eka-ci/nix/derivation';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { EndReason, OverrunBound, WatchedBuild } from './build-watch.ts';
import type { BuildRequest } from './builder.ts';

/** With less than this Nix blames the disk as well (`required` in its build code). */
const freeBytesThatBlameTheDisk = 8 * 1024 * 1024;

const isDiskFull = async (nix: NixInstallation): Promise<boolean> => {
  for (const folder of [nix.storeDir, nix.stateDir, nix.env['TMPDIR'] ?? tmpdir()]) {
    const free = await statfs(folder).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => Number.POSITIVE_INFINITY, // Not there or not ours to see: says nothing about the disk.
    );
    if (free < freeBytesThatBlameTheDisk) return true;
  }
  return false;
};

/** The derivation, or why it cannot be had. */
export const readDerivation = async (path: DrvPath): Promise<Derivation | string> => {
  try {
    return parseDerivation(await readFile(path, 'latin1'), path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${path} cannot be read as a derivation (${reason}): evaluate again, or repair the store with "nix-store --verify --check-contents --repair"`;
  }
};

const isFetcher = async (path: DrvPath): Promise<boolean> => {
  const derivation = await readDerivation(path);
  return typeof derivation !== 'string' && isFixedOutput(derivation);
};

/** Statuses and words leave these open: a full disk shows as any of them. */
const mayBeFullDisk: ReadonlySet<FailureCause> = new Set([
  'builder-exit',
  'output-rejected',
  'process-death',
]);

const boundsExplained: Record<OverrunBound, (request: BuildRequest) => string> = {
  timeout: ({ silenceTimeoutMs }) => `it printed nothing for ${silenceTimeoutMs / 1000} s`,
  'max-duration': ({ maxDurationMs }) => `it took longer than ${maxDurationMs / 1000} s`,
  'log-limit': ({ maxLogBytes }) => `it printed more than ${maxLogBytes} bytes`,
};

/** Of a build that we ended. */
export const interruptedBecause = (
  cause: EndReason,
  request: BuildRequest,
  durationMs: number,
): BuildResult => {
  const message = cause === 'cancelled' ? 'it was cancelled' : boundsExplained[cause](request);
  return { kind: 'interrupted', cause, message, durationMs };
};

/** Of a request that Nix did, by whatever was least. */
export const doneBy = ({ drvPath }: BuildRequest, seen: WatchedBuild): BuildResult => {
  const { durationMs } = seen;
  if (seen.startedDrvs.has(drvPath)) return { kind: 'built', durationMs };
  return { kind: seen.substituted ? 'substituted' : 'already-valid', durationMs };
};

const resultOfFailure = (failure: RealiseFailure, request: BuildRequest, durationMs: number): BuildResult => {
  switch (failure.kind) {
    case 'failed': {
      const { cause, failedDrv, message } = failure;
      return { kind: 'failed', cause, failedDrv, message, durationMs };
    }
    case 'unsatisfiable':
      return { kind: 'unsatisfiable', message: failure.message, durationMs };
    case 'log-limit':
      return interruptedBecause('log-limit', request, durationMs);
    case 'timed-out': {
      // Nix counts whole seconds from a little before we hear of the start.
      const tookAll = durationMs >= request.maxDurationMs - 500;
      const cause = !failure.ofSilence && tookAll ? 'max-duration' : 'timeout';
      return interruptedBecause(cause, request, durationMs);
    }
  }
};

export interface FailedBuild {
  /** Whose disk it was; null for another machine's, of which only what its Nix says is known. */
  readonly nix: NixInstallation | null;
  readonly request: BuildRequest;
  readonly seen: WatchedBuild;
  /** @param fetcherOutput the last lines, where it was a fetcher that failed; else none */
  readonly classify: (fetcherOutput: readonly string[]) => RealiseFailure;
}

/** Of a request that Nix ended by itself, and not well. */
export const judgeFailure = async ({ nix, request, seen, classify }: FailedBuild): Promise<BuildResult> => {
  const isFetching = await isFetcher(seen.failedBuild ?? request.drvPath);
  const result = resultOfFailure(classify(isFetching ? seen.lastLines : []), request, seen.durationMs);
  if (result.kind !== 'failed' || nix === null || !mayBeFullDisk.has(result.cause)) return result;
  if (!(await isDiskFull(nix))) return result;
  return { ...result, cause: 'disk-full', message: `${result.message} (the disk is full)` };
};

/**
 * Whatever Nix is then asked: a derivation that was cut short takes all memory of 2.8, or all time.
 * @returns why it cannot be built, or null
 */
export const refuseBrokenDerivation = async ({ drvPath }: BuildRequest): Promise<BuildResult | null> => {
  const derivation = await readDerivation(drvPath);
  if (typeof derivation !== 'string') return null;
  const cause = 'invalid-derivation';
  return { kind: 'failed', cause, failedDrv: drvPath, message: derivation, durationMs: 0 };
};
