// What a daemon is told before one build: what holds for all of them, and the bounds of this one.
import type { DaemonSettings } from '@eka-ci/nix/daemon/build-operations';
import type { DaemonTrust } from '@eka-ci/nix/daemon/handshake';
import { wholeSeconds } from './build-watch.ts';
import type { BuildRequest } from './builder.ts';

/** What is the same for all builds. */
export type StandingSettings = Pick<
  DaemonSettings,
  'keepFailed' | 'fallback' | 'cores' | 'substitute' | 'overrides'
>;

export const settingsFor = (
  { silenceTimeoutMs, maxDurationMs, maxLogBytes }: BuildRequest,
  standing: StandingSettings,
  trust: DaemonTrust,
): DaemonSettings => ({
  ...standing,
  keepGoing: false,
  // One at a time: then the build that is under way when one fails is the one that failed.
  maxJobs: 1,
  maxSilentSeconds: wholeSeconds(silenceTimeoutMs),
  timeoutSeconds: wholeSeconds(maxDurationMs),
  overrides: {
    ...standing.overrides,
    ...(trust === 'trusted' && { 'max-build-log-size': String(maxLogBytes) }),
  },
});
