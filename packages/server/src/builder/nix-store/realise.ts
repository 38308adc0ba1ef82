// Runs one `nix-store --realise` and watches it: passes its log on, and ends it when it is cancelled, silent, too
// long or too talkative. Nix is given the same bounds; ours hold where it, or a daemon, does not keep them.
import { performance } from 'node:perf_hooks';
import type { DrvPath } from '@eka-ci/core/ids';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { type NixLogEvent, NixLogParser, type NixMessage } from '@eka-ci/nix/internal-json';
import { type Child, readLines, startChild } from '@eka-ci/process';
import type { BuildObserver, BuildRequest } from '../builder.ts';

export type OverrunBound = 'timeout' | 'max-duration' | 'log-limit';
type EndReason = OverrunBound | 'cancelled';

export interface Realisation {
  readonly code: number | null;
  /** Why we ended it; null where it ended by itself. */
  readonly endedBecause: EndReason | null;
  readonly startedDrvs: ReadonlySet<DrvPath>;
  /** The build that was under way when one failed, else the one that was started last. */
  readonly failedBuild: DrvPath | null;
  readonly substituted: boolean;
  readonly messages: readonly NixMessage[];
  readonly lastLines: readonly string[];
  /** From the last start of a build, else from the beginning. */
  readonly durationMs: number;
}

export interface RealiseOptions {
  readonly nix: NixInstallation;
  readonly request: BuildRequest;
  readonly observer: BuildObserver;
  readonly signal: AbortSignal;
  /** How long after its own bound Nix may take to keep it. */
  readonly graceMs: number;
}

/** Nix ends its builder, and what that started, on SIGTERM; killed before it did so it would leave them behind. */
const killGraceMs = 20_000;
const maxLineLength = 4 * 1024 * 1024;
const keptMessages = 50;
const keptLines = 50;
const addRootHint = /^(?:warning: )?you did not specify '--add-root'/;

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

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

class Watch {
  readonly #request: BuildRequest;
  readonly #observer: BuildObserver;
  readonly #graceMs: number;
  readonly #parser: NixLogParser;
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

  constructor({ nix, request, observer, graceMs }: RealiseOptions) {
    this.#request = request;
    this.#observer = observer;
    this.#graceMs = graceMs;
    this.#parser = new NixLogParser(nix.storeDir);
  }

  hear(line: string): void {
    const event = this.#parser.parse(line);
    if (event !== null) this.#take(event);
  }

  /** Which bound was overrun by more than the grace. */
  overrun(): OverrunBound | null {
    const now = performance.now();
    const { maxLogBytes, maxDurationMs, silenceTimeoutMs } = this.#request;
    // Nix counts what the builder printed, before it is taken apart into lines.
    if (this.#logBytes > maxLogBytes * 1.1 + 65_536) return 'log-limit';
    if (now - this.#startedAt > maxDurationMs + this.#graceMs) return 'max-duration';
    const building = this.#lastStarted !== null;
    return building && now - this.#heardAt > silenceTimeoutMs + this.#graceMs ? 'timeout' : null;
  }

  end(code: number | null, endedBecause: EndReason | null): Realisation {
    return {
      code,
      endedBecause,
      startedDrvs: this.#started,
      failedBuild: this.#firstFailed ?? this.#lastStarted,
      substituted: this.#substituted,
      messages: this.#messages,
      lastLines: this.#lines,
      durationMs: Math.round(performance.now() - this.#startedAt),
    };
  }

  #take(event: NixLogEvent): void {
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
        this.#underWay = null;
        break;
      case 'progress':
        // 2.34 starts another build after the first failure, also when it was not told to keep going.
        if (event.failed > 0) this.#firstFailed ??= this.#underWay;
        break;
    }
  }

  #onStarted(drvPath: DrvPath): void {
    this.#startedAt = performance.now();
    this.#heardAt = this.#startedAt;
    this.#lastStarted = drvPath;
    this.#underWay = drvPath;
    this.#started.add(drvPath);
    this.#observer.started?.();
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
    this.#messages.push({ ...message, text: message.text.slice(0, 65_536) });
    if (this.#messages.length > keptMessages) {
      const forgeable = this.#messages.findIndex(({ genuine }) => !genuine);
      this.#messages.splice(Math.max(0, forgeable), 1);
    }
    const text = message.genuine && message.level === 0 ? `error: ${message.text}` : message.text;
    for (const line of text.split('\n')) this.#log(line);
  }
}

/** Ends the child when the signal aborts or a bound is overrun; says why. */
const guard = (child: Child, watch: Watch, signal: AbortSignal) => {
  let reason: EndReason | null = null;
  const endBecause = (cause: EndReason): void => {
    if (reason !== null) return;
    reason = cause;
    child.end();
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
    reason: (): EndReason | null => reason,
    stop(): void {
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
};

/**
 * @throws StartError when `nix-store` cannot be started
 */
export const realise = async (options: RealiseOptions): Promise<Realisation> => {
  const { nix, request, signal } = options;
  const watch = new Watch(options);
  if (signal.aborted) return watch.end(null, 'cancelled');
  const args = argumentsFor(request);
  const child = await startChild({ command: nix.programs.store, args, env: nix.env, killGraceMs });
  const guarded = guard(child, watch, signal);
  child.stdout.resume();
  try {
    for await (const line of readLines(child.stderr, maxLineLength)) {
      watch.hear(line);
      guarded.check();
    }
  } finally {
    guarded.stop();
    // Only where the observer threw: nobody listens any more.
    if (child.stderr.readableEnded === false) child.end();
  }
  const { code } = await child.exited;
  return watch.end(code, guarded.reason());
};
