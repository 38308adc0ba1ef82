// What every driver needs before and around its work: the tree's file, a sandbox, the flake in the store, an end in time.
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { EvaluationFailure } from '@eka-ci/core/evaluation';
import { RootingError, type RootKeeper } from '../gc-roots.ts';
import type { NixInstallation } from '../installation.ts';
import type { EvaluationEnd, EvaluationEvent, EvaluationRequest } from './evaluator.ts';
import { flakeUrl, storeFlakeSource } from './flake-source.ts';
import type { Confinement, Sandbox } from './sandbox.ts';

export interface PreparedFlake {
  readonly url: string;
  /** Where Nix says that its files are. */
  readonly storePath: string;
}

export interface Prepared {
  readonly request: EvaluationRequest;
  readonly confinement: Confinement;
  /** Null unless the target is a flake. */
  readonly flake: PreparedFlake | null;
}

export const endFailed = (failure: EvaluationFailure): EvaluationEnd => ({ kind: 'failed', failure });

const missingFile = async ({ tree, target }: EvaluationRequest): Promise<EvaluationFailure | null> => {
  const file = target.kind === 'file' ? target.file : 'flake.nix';
  try {
    await stat(join(tree, file));
    return null;
  } catch {
    return { kind: 'other', message: `there is no file ${file} in the repository`, position: null };
  }
};

const refusal = (reason: string): EvaluationFailure => ({
  kind: 'other',
  message:
    `this evaluation may only run in a sandbox, and there is none here: ${reason}. ` +
    'Install bubblewrap and allow unprivileged user namespaces.',
  position: null,
});

/** The end of an evaluation that came to `end`: without roots there is no jobset. */
export const endRooted = async (
  roots: RootKeeper,
  end: Extract<EvaluationEnd, { kind: 'complete' }>,
): Promise<EvaluationEnd> => {
  try {
    await roots.finish();
    return end;
  } catch (error) {
    if (!(error instanceof RootingError)) throw error;
    return endFailed({ kind: 'other', message: error.message, position: null });
  }
};

interface PreparationDeps {
  readonly nix: NixInstallation;
  readonly sandbox: Sandbox;
  /** The driver's processes root what they evaluate themselves. */
  readonly rootsInside?: boolean;
  /** The driver's own part. */
  readonly run: (prepared: Prepared, signal: AbortSignal) => AsyncGenerator<EvaluationEvent, EvaluationEnd>;
}

const prepareFlake = async (
  nix: NixInstallation,
  { request, root, signal }: { request: EvaluationRequest; root: string; signal: AbortSignal },
): Promise<PreparedFlake | null> => {
  if (request.target.kind !== 'flake') return null;
  const { storePath, narHash } = await storeFlakeSource(nix, request.tree, signal);
  return { storePath, url: flakeUrl(root, request.target, narHash) };
};

/** Prepares, runs the driver, and takes down again what was made. */
export async function* evaluatePrepared(
  { nix, sandbox, run, rootsInside = false }: PreparationDeps,
  request: EvaluationRequest,
  signal: AbortSignal,
): AsyncGenerator<EvaluationEvent, EvaluationEnd> {
  signal.throwIfAborted();
  const missing = await missingFile(request);
  if (missing !== null) return endFailed(missing);
  if (rootsInside) await mkdir(request.rootsDir, { recursive: true });
  const confining = await sandbox.prepare({ ...request, writable: rootsInside ? [request.rootsDir] : [] });
  if (confining.kind === 'refused') return endFailed(refusal(confining.reason));
  const { confinement } = confining;
  try {
    if (confining.kind === 'unconfined') {
      yield { type: 'warning', message: `evaluating without a sandbox: ${confining.warning}` };
    }
    const flake = await prepareFlake(nix, { request, root: confinement.tree, signal });
    return yield* run({ request, confinement, flake }, signal);
  } finally {
    await confinement.dispose();
  }
}

/** Ends an evaluation when it takes too long, when the caller wants it to, or when its driver does. */
export interface Stop {
  readonly signal: AbortSignal;
  readonly abort: () => void;
  readonly timedOut: () => boolean;
  readonly dispose: () => void;
}

export const createStop = (timeoutMs: number, caller: AbortSignal): Stop => {
  const controller = new AbortController();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort();
  }, timeoutMs);
  const abort = (): void => controller.abort();
  caller.addEventListener('abort', abort, { once: true });
  if (caller.aborted) abort();
  return {
    signal: controller.signal,
    abort,
    timedOut: () => timedOut,
    dispose: () => {
      clearTimeout(timer);
      caller.removeEventListener('abort', abort);
    },
  };
};

/** @param reached how far it got, for people */
export const timeoutFailure = ({ limits }: EvaluationRequest, reached: string): EvaluationFailure => ({
  kind: 'timeout',
  message: `the evaluation was stopped after ${limits.timeoutMs / 1000} s (evaluation.timeout_seconds): ${reached}`,
  position: null,
});
