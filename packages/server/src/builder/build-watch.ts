// What one build of Nix's says while it runs: passed on to the observer, held against the bounds of its request, and kept as
// far as it tells afterwards why it failed. The same for every way in which Nix is asked.
import { performance } from 'node:perf_hooks';
import type { DrvPath } from '@eka-ci/core/ids';
import { plainBuildError } from '@eka-ci/nix/build-error-text';
import type { NixLogEvent, NixMessage } from '@eka-ci/nix/internal-json';
import type { BuildObserver, BuildRequest } from './builder.ts';

export type OverrunBound = 'timeout' | 'max-duration' | 'log-limit';
export type EndReason = OverrunBound | 'cancelled';

export interface WatchedBuild {
  readonly startedDrvs: ReadonlySet<DrvPath>;
  /** The build that was under way when one failed, else the one that was started last. */
  readonly failedBuild: DrvPath | null;
  readonly substituted: boolean;
  readonly messages: readonly NixMessage[];
  readonly lastLines: readonly string[];
  /** From the last start of a build, else from the beginning. */
  readonly durationMs: number;
}

export interface BuildWatchOptions {
  readonly request: BuildRequest;
  readonly observer: BuildObserver;
  /** How long after its own bound Nix may take to keep it. */
  readonly graceMs: number;
}

const keptMessages = 50;
const keptLines = 50;
const addRootHint = /^(?:warning: )?you did not specify '--add-root'/;

/** As Nix counts: a bound of less than a second is one of a second, for 0 is none. */
export const wholeSeconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

export class BuildWatch {
  readonly #request: BuildRequest;
  readonly #observer: BuildObserver;
  readonly #graceMs: number;
  readonly #messages: NixMessage[] = [];
  readonly #lines: string[] = [];
  readonly #started = new Set<DrvPath>();
  #lastStarted: DrvPath | null = null;
  #underWay: DrvPath | null = null;
  #firstFailed: DrvPath | null = null;
  #substituted = false;
  #logBytes = 0;
  #startedAt = performance.now();
  #heardAt = this.#startedAt;
  #answeredAt: number | null = null;

  constructor({ request, observer, graceMs }: BuildWatchOptions) {
    this.#request = request;
    this.#observer = observer;
    this.#graceMs = graceMs;
  }

  /** Where builds are told one at a time, the one whose builder runs now. */
  get underWay(): DrvPath | null {
    return this.#underWay;
  }

  /** Which bound was overrun by more than the grace. */
  overrun(): OverrunBound | null {
    if (this.#answeredAt !== null) return null;
    const now = performance.now();
    const { maxLogBytes, maxDurationMs, silenceTimeoutMs } = this.#request;
    // Nix counts what the builder printed, before it is taken apart into lines.
    if (this.#logBytes > maxLogBytes * 1.1 + 65_536) return 'log-limit';
    if (now - this.#startedAt > maxDurationMs + this.#graceMs) return 'max-duration';
    const building = this.#lastStarted !== null;
    return building && now - this.#heardAt > silenceTimeoutMs + this.#graceMs ? 'timeout' : null;
  }

  seen(): WatchedBuild {
    return {
      startedDrvs: this.#started,
      failedBuild: this.#firstFailed ?? this.#lastStarted,
      substituted: this.#substituted,
      messages: this.#messages,
      lastLines: this.#lines,
      durationMs: Math.round((this.#answeredAt ?? performance.now()) - this.#startedAt),
    };
  }

  /** The build is over, whatever is still done with what it made: its time ends here, and its bounds. */
  answered(): void {
    this.#answeredAt = performance.now();
  }

  take(event: NixLogEvent): void {
    switch (event.kind) {
      case 'build-started':
        this.#onStarted(event.drvPath);
        break;
      case 'log-line':
        this.#log(event.text);
        break;
      case 'phase':
        this.#heardAt = performance.now();
        this.#observer.phase(event.phase);
        break;
      case 'substitution-started':
        this.#substituted = true;
        break;
      case 'message':
        this.#onMessage(event);
        break;
      case 'build-stopped':
        if (this.#underWay === event.drvPath) this.#underWay = null;
        break;
      case 'progress':
        // 2.34 starts another build after the first failure, also when it was not told to keep going.
        if (event.failed > 0) this.#firstFailed ??= this.#underWay;
        break;
    }
  }

  /** Nix's last word: it belongs into the log, unless it stands there. */
  conclude(error: string): void {
    const text = error.replace(/^error: /, '').trim();
    if (this.#messages.some((message) => message.text.includes(text))) return;
    for (const line of `error: ${text}`.split('\n')) this.#log(line);
  }

  #onStarted(drvPath: DrvPath): void {
    this.#startedAt = performance.now();
    this.#heardAt = this.#startedAt;
    this.#lastStarted = drvPath;
    this.#underWay = drvPath;
    this.#started.add(drvPath);
    if (drvPath === this.#request.drvPath) this.#observer.started?.();
  }

  #log(text: string): void {
    this.#heardAt = performance.now();
    this.#logBytes += Buffer.byteLength(text) + 1;
    this.#lines.push(text.slice(0, 500));
    if (this.#lines.length > keptLines) this.#lines.shift();
    this.#observer.log(text);
  }

  /** Errors and warnings belong into the log too: they say why it ends where it ends. */
  #onMessage(message: NixMessage): void {
    if (message.level > 1 || addRootHint.test(message.text)) return;
    // A builder may print as many as it likes; Nix itself makes a handful.
    const said = plainBuildError(message.text);
    this.#messages.push({ ...message, text: said.slice(0, 65_536) });
    if (this.#messages.length > keptMessages) {
      const forgeable = this.#messages.findIndex(({ genuine }) => !genuine);
      this.#messages.splice(Math.max(0, forgeable), 1);
    }
    const text = message.genuine && message.level === 0 ? `error: ${said}` : said;
    for (const line of text.split('\n')) this.#log(line);
  }
}

export interface BuildGuard {
  /** Looks at the bounds now, beside from time to time. */
  check(): void;
  /** Why it was ended; null where it was not. */
  reason(): EndReason | null;
  stop(): void;
}

/** Calls `end` once, when the signal aborts or a bound is overrun. */
export const guardBuild = (watch: BuildWatch, signal: AbortSignal, end: () => void): BuildGuard => {
  let reason: EndReason | null = null;
  const endBecause = (cause: EndReason): void => {
    if (reason !== null) return;
    reason = cause;
    end();
  };
  const onAbort = (): void => endBecause('cancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const check = (): void => {
    const overrun = watch.overrun();
    if (overrun !== null) endBecause(overrun);
  };
  const timer = setInterval(check, 250);
  return {
    check,
    reason: () => reason,
    stop() {
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
};
