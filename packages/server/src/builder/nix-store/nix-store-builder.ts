// Builds on this machine, or through its daemon, with `nix-store --realise`: one process a derivation.
import { readFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { BuildResult, FailureCause } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import { classifyFailure, type RealiseFailure } from '@eka-ci/nix/build-failure';
import { type Derivation, isFixedOutput, parseDerivation } from '@eka-ci/nix/derivation';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { StartError } from '@eka-ci/process';
import type { Builder, BuildObserver, BuildRequest } from '../builder.ts';
import { findOffer } from './builder-offer.ts';
import { type OverrunBound, type Realisation, realise } from './realise.ts';

export interface NixStoreBuilderOptions {
  /** @default `local` */
  readonly name?: string;
  /** How long after its own time bounds Nix may take to keep them, before we do. @default 5000 */
  readonly graceMs?: number;
}

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

const readDerivation = async (path: DrvPath): Promise<Derivation | string> => {
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

/** Exit codes and words leave these open: a full disk shows as any of them. */
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

const interrupted = (cause: OverrunBound, request: BuildRequest, durationMs: number): BuildResult => {
  return { kind: 'interrupted', cause, message: boundsExplained[cause](request), durationMs };
};

const resultOfFailure = (failure: RealiseFailure, request: BuildRequest, end: Realisation): BuildResult => {
  const { durationMs } = end;
  switch (failure.kind) {
    case 'failed': {
      const { cause, failedDrv, message } = failure;
      return { kind: 'failed', cause, failedDrv, message, durationMs };
    }
    case 'unsatisfiable':
      return { kind: 'unsatisfiable', message: failure.message, durationMs };
    case 'log-limit':
      return interrupted('log-limit', request, durationMs);
    case 'timed-out': {
      // Nix counts whole seconds from a little before we hear of the start.
      const tookAll = durationMs >= request.maxDurationMs - 500;
      return interrupted(!failure.ofSilence && tookAll ? 'max-duration' : 'timeout', request, durationMs);
    }
  }
};

const judgeFailure = async (
  nix: NixInstallation,
  request: BuildRequest,
  end: Realisation,
): Promise<BuildResult> => {
  const requested = request.drvPath;
  const { code, failedBuild, messages } = end;
  const fetcherOutput = (await isFetcher(failedBuild ?? requested)) ? end.lastLines : [];
  const failure = classifyFailure({ requested, code, failedBuild, messages, fetcherOutput });
  const result = resultOfFailure(failure, request, end);
  if (result.kind !== 'failed' || !mayBeFullDisk.has(result.cause) || !(await isDiskFull(nix))) return result;
  return { ...result, cause: 'disk-full', message: `${result.message} (the disk is full)` };
};

const judge = async (nix: NixInstallation, request: BuildRequest, end: Realisation): Promise<BuildResult> => {
  const { durationMs } = end;
  // Done is done, also where it was cancelled a moment before.
  if (end.code === 0) {
    if (end.startedDrvs.has(request.drvPath)) return { kind: 'built', durationMs };
    return { kind: end.substituted ? 'substituted' : 'already-valid', durationMs };
  }
  const cause = end.endedBecause;
  if (cause === null) return judgeFailure(nix, request, end);
  if (cause === 'cancelled') return { kind: 'interrupted', cause, message: 'it was cancelled', durationMs };
  return interrupted(cause, request, durationMs);
};

interface Deps {
  readonly nix: NixInstallation;
  readonly graceMs: number;
}

const buildOne = async (
  { nix, graceMs }: Deps,
  call: { request: BuildRequest; observer: BuildObserver; signal: AbortSignal },
): Promise<BuildResult> => {
  const { request } = call;
  const failedDrv = request.drvPath;
  // Nix 2.8 takes all memory, or all time, for a derivation that was cut short.
  const derivation = await readDerivation(request.drvPath);
  if (typeof derivation === 'string') {
    return { kind: 'failed', cause: 'invalid-derivation', failedDrv, message: derivation, durationMs: 0 };
  }
  try {
    return await judge(nix, request, await realise({ nix, graceMs, ...call }));
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return { kind: 'failed', cause: 'process-death', failedDrv, message: error.message, durationMs: 0 };
  }
};

/** Asks Nix for its systems and features once; a changed configuration takes a new builder. */
export const createNixStoreBuilder = async (
  nix: NixInstallation,
  options: NixStoreBuilderOptions = {},
): Promise<Builder> => {
  const deps = { nix, graceMs: options.graceMs ?? 5000 };
  const { systems, features } = await findOffer(nix);
  return {
    name: options.name ?? 'local',
    systems,
    features,
    build: (request, observer, signal) => buildOne(deps, { request, observer, signal }),
  };
};
