// Runs one `nix-store --realise` and watches it: passes its log on, and ends it when it is cancelled, silent, too
// long or too talkative. Nix is given the same bounds; ours hold where it, or a daemon, does not keep them.
import type { NixInstallation } from '@eka-ci/nix/installation';
import { NixLogParser } from '@eka-ci/nix/internal-json';
import { readLines, startChild } from '@eka-ci/process';
import {
  BuildWatch,
  type BuildWatchOptions,
  type EndReason,
  guardBuild,
  type WatchedBuild,
  wholeSeconds,
} from '../build-watch.ts';
import type { BuildRequest } from '../builder.ts';

export interface Realisation extends WatchedBuild {
  readonly code: number | null;
  /** Why we ended it; null where it ended by itself. */
  readonly endedBecause: EndReason | null;
}

export interface RealiseOptions extends BuildWatchOptions {
  readonly nix: NixInstallation;
  readonly signal: AbortSignal;
}

/** Nix ends its builder, and what that started, on SIGTERM; killed before it did so it would leave them behind. */
const killGraceMs = 20_000;
const maxLineLength = 4 * 1024 * 1024;

const seconds = (ms: number): string => String(wholeSeconds(ms));

const argumentsFor = ({ drvPath, outputs, ...bounds }: BuildRequest): string[] => [
  '--realise',
  outputs.length === 0 ? drvPath : `${drvPath}!${outputs.join(',')}`,
  ...['--log-format', 'internal-json'],
  // One at a time: then the build that is under way when one fails is the one that failed.
  ...['--option', 'max-jobs', '1'],
  ...['--option', 'keep-going', 'false'],
  ...['--option', 'builders', ''],
  ...['--option', 'max-silent-time', seconds(bounds.silenceTimeoutMs)],
  ...['--option', 'timeout', seconds(bounds.maxDurationMs)],
  ...['--option', 'max-build-log-size', String(bounds.maxLogBytes)],
  // Else Nix quotes the builder's output in its own messages.
  ...['--option', 'log-lines', '0'],
];

/**
 * @throws StartError when `nix-store` cannot be started
 */
export const realise = async (options: RealiseOptions): Promise<Realisation> => {
  const { nix, request, signal } = options;
  const watch = new BuildWatch(options);
  if (signal.aborted) return { ...watch.seen(), code: null, endedBecause: 'cancelled' };
  const parser = new NixLogParser(nix.storeDir);
  const args = argumentsFor(request);
  const child = await startChild({
    command: nix.programs.store,
    args,
    env: nix.env,
    killGraceMs,
    // A server that was killed builds the same again when it is back, beside whatever it left building.
    onOwnerDeath: 'SIGTERM',
  });
  const guarded = guardBuild(watch, signal, () => child.end());
  child.stdout.resume();
  try {
    for await (const line of readLines(child.stderr, maxLineLength)) {
      const event = parser.parse(line);
      if (event !== null) watch.take(event);
      guarded.check();
      const pressure = options.observer.pressure?.() ?? null;
      if (pressure !== null) await pressure;
    }
  } finally {
    guarded.stop();
    // Only where the observer threw: nobody listens any more.
    if (child.stderr.readableEnded === false) child.end();
  }
  const { code } = await child.exited;
  return { ...watch.seen(), code, endedBecause: guarded.reason() };
};
