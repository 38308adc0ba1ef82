// What a build through a daemon came to, wherever that daemon is.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { RealiseFailure } from '@eka-ci/nix/build-failure';
import { classifyDaemonFailure } from '@eka-ci/nix/daemon/classify-build-result';
import type { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { BuildRequest } from './builder.ts';
import type { DaemonBuild } from './daemon-build.ts';
import { doneBy, interruptedBecause, judgeFailure } from './judge-build.ts';

export interface DaemonJudge {
  /** @see FailedBuild */
  readonly nix: NixInstallation | null;
  /** Whom it means that the daemon was lost. */
  readonly lossOf: (error: NixDaemonError, request: BuildRequest) => RealiseFailure;
}

type BrokenBuild = Extract<DaemonBuild, { kind: 'broken' }>;

const judgeBroken = (
  { nix, lossOf }: DaemonJudge,
  request: BuildRequest,
  build: BrokenBuild,
): Promise<BuildResult> => {
  const { error, failedBuild, messages, durationMs, startedDrvs } = build;
  const requested = request.drvPath;
  if (error.code === 'NIX_DAEMON_LIMIT' && startedDrvs.size > 0) {
    return Promise.resolve(interruptedBecause('log-limit', request, durationMs));
  }
  const classify = (fetcherOutput: readonly string[]): RealiseFailure =>
    error.code === 'NIX_DAEMON_REFUSED'
      ? classifyDaemonFailure({ outcome: error, requested, failedBuild, messages, fetcherOutput })
      : lossOf(error, request);
  return judgeFailure({ nix, request, seen: build, classify });
};

export const judgeDaemonBuild = (
  judge: DaemonJudge,
  request: BuildRequest,
  build: DaemonBuild,
): Promise<BuildResult> => {
  switch (build.kind) {
    case 'ended':
      return Promise.resolve(interruptedBecause(build.because, request, build.durationMs));
    case 'broken':
      return judgeBroken(judge, request, build);
    case 'answered': {
      const { result: outcome, failedBuild, messages } = build;
      if (outcome.kind === 'success') return Promise.resolve(doneBy(request, build));
      const requested = request.drvPath;
      const classify = (fetcherOutput: readonly string[]): RealiseFailure =>
        classifyDaemonFailure({ outcome, requested, failedBuild, messages, fetcherOutput });
      return judgeFailure({ nix: judge.nix, request, seen: build, classify });
    }
  }
};
