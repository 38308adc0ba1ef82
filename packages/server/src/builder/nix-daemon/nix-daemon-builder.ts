// Builds through a Nix daemon, spoken to directly: one build a connection, a status and a live log of each.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { RealiseFailure } from '@eka-ci/nix/build-failure';
import { classifyDaemonFailure } from '@eka-ci/nix/daemon/classify-build-result';
import type { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { Builder, BuildObserver, BuildRequest } from '../builder.ts';
import { doneBy, interruptedBecause, judgeFailure, refuseBrokenDerivation } from '../judge-build.ts';
import type { BuilderOffer } from '../nix-offer.ts';
import { buildThroughDaemon, type DaemonBuild } from './daemon-build.ts';
import { createDaemonLine, type DaemonLine } from './daemon-line.ts';
import { type StandingSettings, settingsFor } from './daemon-settings.ts';
import type { ReachedDaemon } from './reach-daemon.ts';

export interface NixDaemonBuilderOptions {
  readonly nix: NixInstallation;
  readonly daemon: ReachedDaemon;
  readonly offer: Pick<BuilderOffer, 'systems' | 'features'>;
  readonly standing: StandingSettings;
  /** @default `local` */
  readonly name?: string;
  /** How long after its own time bounds Nix may take to keep them, before we do. @default 5000 */
  readonly graceMs?: number;
}

export interface NixDaemonBuilder extends Builder {
  /** Ends what it still does, and every connection. Idempotent. */
  close(): Promise<void>;
}

interface Deps {
  readonly nix: NixInstallation;
  readonly daemon: ReachedDaemon;
  readonly line: DaemonLine;
  readonly standing: StandingSettings;
  readonly graceMs: number;
}

type BrokenBuild = Extract<DaemonBuild, { kind: 'broken' }>;

/** Who was lost: a child of ours has died, another daemon was ended by somebody, or restarted. */
const lossOf = (error: NixDaemonError, { isOwn }: ReachedDaemon, request: BuildRequest): RealiseFailure => {
  const cause = isOwn ? 'process-death' : 'lost-builder';
  return { kind: 'failed', cause, failedDrv: request.drvPath, message: error.message };
};

const judgeBroken = (deps: Deps, request: BuildRequest, build: BrokenBuild): Promise<BuildResult> => {
  const { error, failedBuild, messages, durationMs, startedDrvs } = build;
  const requested = request.drvPath;
  if (error.code === 'NIX_DAEMON_LIMIT' && startedDrvs.size > 0) {
    return Promise.resolve(interruptedBecause('log-limit', request, durationMs));
  }
  const classify = (fetcherOutput: readonly string[]): RealiseFailure =>
    error.code === 'NIX_DAEMON_REFUSED'
      ? classifyDaemonFailure({ outcome: error, requested, failedBuild, messages, fetcherOutput })
      : lossOf(error, deps.daemon, request);
  return judgeFailure({ nix: deps.nix, request, seen: build, classify });
};

const judge = (deps: Deps, request: BuildRequest, build: DaemonBuild): Promise<BuildResult> => {
  switch (build.kind) {
    case 'ended':
      return Promise.resolve(interruptedBecause(build.because, request, build.durationMs));
    case 'broken':
      return judgeBroken(deps, request, build);
    case 'answered': {
      const { result: outcome, failedBuild, messages } = build;
      if (outcome.kind === 'success') return Promise.resolve(doneBy(request, build));
      const requested = request.drvPath;
      const classify = (fetcherOutput: readonly string[]): RealiseFailure =>
        classifyDaemonFailure({ outcome, requested, failedBuild, messages, fetcherOutput });
      return judgeFailure({ nix: deps.nix, request, seen: build, classify });
    }
  }
};

const buildOne = async (
  deps: Deps,
  call: { request: BuildRequest; observer: BuildObserver; signal: AbortSignal },
): Promise<BuildResult> => {
  const { request } = call;
  const refused = await refuseBrokenDerivation(request);
  if (refused !== null) return refused;
  const { daemon, line, standing, graceMs } = deps;
  const settings = settingsFor(request, standing, daemon);
  const isOwnDaemon = daemon.isOwn;
  return judge(deps, request, await buildThroughDaemon({ ...call, line, settings, graceMs, isOwnDaemon }));
};

export const createNixDaemonBuilder = (options: NixDaemonBuilderOptions): NixDaemonBuilder => {
  const { nix, daemon, standing, offer } = options;
  const line = createDaemonLine({ transport: daemon.transport, storeDir: nix.storeDir });
  const deps = { nix, daemon, line, standing, graceMs: options.graceMs ?? 5000 };
  return {
    name: options.name ?? 'local',
    systems: offer.systems,
    features: offer.features,
    build: (request, observer, signal) => buildOne(deps, { request, observer, signal }),
    close: () => line.close(),
  };
};
