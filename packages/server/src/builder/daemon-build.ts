// One build through a daemon, watched: its log passed on while it runs, and ended when it is cancelled, silent, too long or
// too talkative. The daemon is given the same bounds where it takes them; ours hold where it does not keep them.
import type { DrvPath } from '@eka-ci/core/ids';
import { plainBuildError } from '@eka-ci/nix/build-error-text';
import { buildPathsWithResults, type DaemonSettings } from '@eka-ci/nix/daemon/build-operations';
import type { DaemonBuildResult } from '@eka-ci/nix/daemon/build-results';
import type { DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { DaemonEvent } from '@eka-ci/nix/daemon/daemon-log';
import { findHeldLocks, type HeldLock, untilBuilderIsGone } from './build-lock.ts';
import {
  type BuildGuard,
  BuildWatch,
  type BuildWatchOptions,
  type EndReason,
  guardBuild,
  type WatchedBuild,
} from './build-watch.ts';
import type { BuildConnection, DaemonLine } from './daemon-line.ts';

export type DaemonBuild = WatchedBuild &
  (
    | { readonly kind: 'ended'; readonly because: EndReason }
    | { readonly kind: 'answered'; readonly result: DaemonBuildResult }
    /** It refused the request, or was lost on the way. */
    | { readonly kind: 'broken'; readonly error: NixDaemonError }
  );

export interface DaemonBuildOptions extends BuildWatchOptions {
  readonly line: DaemonLine;
  readonly settings: DaemonSettings;
  readonly place: DaemonPlace;
  readonly signal: AbortSignal;
  /** Done on the connection of the build before it is asked for; none of its bounds but the total one holds yet. */
  readonly prepare?: (connection: DaemonConnection, signal: AbortSignal) => Promise<void>;
  /** Done on the connection of a build that succeeded; no bound holds any more. */
  readonly fetch?: (connection: DaemonConnection, signal: AbortSignal) => Promise<void>;
  /** A daemon that says nothing at all for this long while it is asked to build is lost. @default without bound */
  readonly idleTimeoutMs?: number;
}

/** `child`: ours, it ends with the connection and its builder before it; `elsewhere`: on another machine. */
export type DaemonPlace = 'child' | 'this-machine' | 'elsewhere';

const MiB = 1024 * 1024;

/** An empty line is one byte of a log, and 57 of the daemon's. */
const wireBytesOf = (maxLogBytes: number): number => 64 * maxLogBytes + 64 * MiB;

/** How a build is left before its end. */
class Ending {
  readonly #requested: DrvPath;
  readonly #watch: BuildWatch;
  readonly #place: DaemonPlace;
  readonly #abort = new AbortController();
  #locks: Promise<readonly HeldLock[]> | null = null;

  constructor({ request, place }: DaemonBuildOptions, watch: BuildWatch) {
    this.#requested = request.drvPath;
    this.#watch = watch;
    this.#place = place;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Locks are looked at before the daemon is left: afterwards they may be free already. */
  begin(): void {
    if (this.#place === 'child') {
      this.#abort.abort();
      return;
    }
    // A builder may run before we have heard of its start. What another machine locks is not to be seen from here.
    this.#locks =
      this.#place === 'elsewhere'
        ? Promise.resolve([])
        : findHeldLocks(this.#watch.underWay ?? this.#requested);
    const leave = (): void => this.#abort.abort();
    this.#locks.then(leave, leave);
  }

  /** Resolves when the builder is gone, as far as anybody can know. */
  async complete(connection: DaemonConnection): Promise<void> {
    await connection.close();
    if (this.#locks !== null) await untilBuilderIsGone(await this.#locks);
  }
}

interface Attempt extends DaemonBuildOptions {
  readonly watch: BuildWatch;
  readonly ending: Ending;
  readonly guard: BuildGuard;
}

/** Nothing of it was heard, and it was on a connection that was dead, perhaps before it was used for this. */
const mayTryAgain = (
  error: unknown,
  { connection, isUsedAgain }: BuildConnection,
  hasBegun: boolean,
): boolean =>
  error instanceof NixDaemonError &&
  error.code === 'NIX_DAEMON_CLOSED' &&
  isUsedAgain &&
  !connection.isOpen &&
  !hasBegun;

/**
 * Nix quotes the end of the builder's output, each line after `> `, unless it is told not to, which only a trusted client can. What
 * is quoted stands in the log already.
 */
const withoutQuotes = (message: string): string =>
  message
    .replace(/;(?=\n\s*last \d+ log lines?:)/i, '')
    .split('\n')
    .filter(
      (line) => !/^\s*(?:> |last \d+ log lines?:|for full logs, run|nix(?:-store -l| log) )/i.test(line),
    )
    .join('\n');

const noResult = (): NixDaemonError =>
  new NixDaemonError('NIX_DAEMON_PROTOCOL', 'the Nix daemon answered that it is done, and not with what');

const buildOn = async (
  { connection, configure }: BuildConnection,
  { settings, request, ending, watch, prepare, fetch, idleTimeoutMs }: Attempt,
  onEvent: (event: DaemonEvent) => void,
): Promise<DaemonBuildResult> => {
  const { drvPath, outputs, maxLogBytes } = request;
  const { signal } = ending;
  await configure(settings, signal);
  await prepare?.(connection, signal);
  const idle = idleTimeoutMs === undefined ? {} : { idleTimeoutMs };
  const options = { onEvent, signal, maxLogBytes: wireBytesOf(maxLogBytes), ...idle };
  const [result] = await buildPathsWithResults(connection, [{ drvPath, outputs }], options);
  if (result === undefined) throw noResult();
  watch.answered();
  if (result.kind === 'success') await fetch?.(connection, signal);
  return result;
};

/** Null where it is to be tried on another connection. */
const buildOnLine = (attempt: Attempt) =>
  attempt.line.use<DaemonBuildResult | null>(async (on) => {
    const { watch, ending, guard } = attempt;
    let hasBegun = false;
    const onEvent = (event: DaemonEvent): void => {
      hasBegun = true;
      if (event.kind !== 'activity-started' && event.kind !== 'activity-stopped') watch.take(event);
      guard.check();
    };
    try {
      return await buildOn(on, attempt, onEvent);
    } catch (error) {
      if (mayTryAgain(error, on, hasBegun)) return null;
      if (!on.connection.isOpen) await ending.complete(on.connection);
      throw error;
    }
  }, attempt.ending.signal);

const outcomeOf = async (attempt: Attempt): Promise<DaemonBuild> => {
  const { watch, guard } = attempt;
  try {
    let result: DaemonBuildResult | null = null;
    // Each try that comes to nothing uses up a connection that was dead; one that is new is no such.
    while (result === null) result = await buildOnLine(attempt);
    if (result.kind === 'success') return { ...watch.seen(), kind: 'answered', result };
    const message = plainBuildError(withoutQuotes(result.message));
    watch.conclude(message);
    return { ...watch.seen(), kind: 'answered', result: { ...result, message } };
  } catch (error) {
    const because = guard.reason();
    if (because !== null) return { ...watch.seen(), kind: 'ended', because };
    if (!(error instanceof NixDaemonError)) throw error;
    watch.conclude(error.message);
    return { ...watch.seen(), kind: 'broken', error };
  }
};

export const buildThroughDaemon = async (options: DaemonBuildOptions): Promise<DaemonBuild> => {
  const watch = new BuildWatch(options);
  if (options.signal.aborted) return { ...watch.seen(), kind: 'ended', because: 'cancelled' };
  const ending = new Ending(options, watch);
  const guard = guardBuild(watch, options.signal, () => ending.begin());
  try {
    return await outcomeOf({ ...options, watch, ending, guard });
  } finally {
    guard.stop();
  }
};
