// Builds on this machine, or through its daemon, with `nix-store --realise`: one process a derivation.
import type { BuildResult } from '@eka-ci/core/build-state';
import { classifyFailure } from '@eka-ci/nix/build-failure';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { StartError } from '@eka-ci/process';
import type { Builder, BuildObserver, BuildRequest } from '../builder.ts';
import { doneBy, interruptedBecause, judgeFailure, refuseBrokenDerivation } from '../judge-build.ts';
import { findOffer } from '../nix-offer.ts';
import { type Realisation, realise } from './realise.ts';

export interface NixStoreBuilderOptions {
  /** @default `local` */
  readonly name?: string;
  /** How long after its own time bounds Nix may take to keep them, before we do. @default 5000 */
  readonly graceMs?: number;
}

const judge = (nix: NixInstallation, request: BuildRequest, end: Realisation): Promise<BuildResult> => {
  const { code, failedBuild, messages, endedBecause } = end;
  // Done is done, also where it was cancelled a moment before.
  if (code === 0) return Promise.resolve(doneBy(request, end));
  if (endedBecause !== null) {
    return Promise.resolve(interruptedBecause(endedBecause, request, end.durationMs));
  }
  const requested = request.drvPath;
  return judgeFailure({
    nix,
    request,
    seen: end,
    classify: (fetcherOutput) => classifyFailure({ requested, code, failedBuild, messages, fetcherOutput }),
  });
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
  const refused = await refuseBrokenDerivation(request);
  if (refused !== null) return refused;
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
