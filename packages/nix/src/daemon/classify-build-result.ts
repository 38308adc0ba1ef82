// Why a build through a daemon failed: by its status, and by Nix's words where that leaves it open.
import { classifyFailure, type RealiseEnd, type RealiseFailure } from '../build-failure.ts';
import { withoutAnsi } from '../internal-json.ts';
import type { BuildFailure, DaemonBuildResult } from './build-results.ts';
import type { NixDaemonError } from './daemon-error.ts';

export interface DaemonBuildEnd extends Omit<RealiseEnd, 'code'> {
  /** A failure, or the daemon's refusal of the whole request. */
  readonly outcome: Extract<DaemonBuildResult, { kind: 'failure' }> | NixDaemonError;
}

/** With what `nix-store` on a local store would have ended: 1 where the words alone tell. */
const exitCodeOf = (status: BuildFailure): number => {
  switch (status) {
    case 'timed-out':
      return 101;
    case 'not-deterministic':
      return 104;
    case 'permanent-failure':
    case 'cached-failure':
    case 'dependency-failed':
      return 100;
    // A fetcher that failed, or a full disk; which of them only the words and the fetcher's own say.
    case 'transient-failure':
      return 100;
    case 'input-rejected':
    case 'output-rejected':
    case 'misc-failure':
    case 'log-limit-exceeded':
    case 'no-substituters':
      return 1;
  }
};

/** Of a request for one derivation. */
export const classifyDaemonFailure = ({ outcome, ...end }: DaemonBuildEnd): RealiseFailure => {
  const isResult = !(outcome instanceof Error);
  const text = withoutAnsi(outcome.message);
  // Sent beside the log, in the answer: no builder can have put it there.
  const own = { kind: 'message', level: 0, text, genuine: true } as const;
  const code = isResult ? exitCodeOf(outcome.status) : 1;
  const failure = classifyFailure({ ...end, code, messages: [...end.messages, own] });
  if (isResult && outcome.status === 'log-limit-exceeded' && failure.kind !== 'log-limit') {
    return { kind: 'log-limit', failedDrv: failure.failedDrv, message: failure.message };
  }
  return failure;
};
