// What may end an operation from our side: its signal, its time, and the time in which nothing happens.
import { NixDaemonError } from './daemon-error.ts';
import type { DaemonEvent } from './daemon-log.ts';

export interface CallOptions {
  /** When it aborts, the connection is closed and the call rejects with its reason. */
  readonly signal?: AbortSignal;
  /** From the question to the end of the answer. @default without bound */
  readonly timeoutMs?: number;
  /** In which neither side gets anything from the other. @default without bound */
  readonly idleTimeoutMs?: number;
  /** Bytes of the daemon's messages, and what they are wrapped in. @default without bound */
  readonly maxLogBytes?: number;
  /** Told what the daemon does while it does it. Nothing more is read before it returns; what it throws ends the call. */
  readonly onEvent?: (event: DaemonEvent) => void;
  /** Told whenever something came or went. */
  readonly onProgress?: () => void;
}

export interface CallWatch {
  /** Rejects when the call must end. */
  readonly stopped: Promise<never>;
  readonly hasStopped: () => boolean;
  /** The options, with progress heeded. */
  readonly limits: CallOptions;
  end(): void;
}

/** A timer of more would fire at once. */
const longestTimerMs = 2_147_483_647;

const timeoutError = (ms: number, of: string): NixDaemonError =>
  new NixDaemonError('NIX_DAEMON_TIMEOUT', `the Nix daemon did not answer: ${ms} ms ${of}`);

export const watchCall = (options: CallOptions): CallWatch => {
  const { signal, timeoutMs, idleTimeoutMs } = options;
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stopped.catch(() => {});
  let over = false;
  let ended = false;
  const stop = (reason: unknown): void => {
    over = true;
    reject(reason);
  };
  const onAbort = (): void => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const arm = (ms: number | undefined, of: string): NodeJS.Timeout | undefined =>
    ms === undefined ? undefined : setTimeout(() => stop(timeoutError(ms, of)), Math.min(ms, longestTimerMs));
  const total = arm(timeoutMs, 'have passed');
  const idle = arm(idleTimeoutMs, 'without a byte');
  return {
    stopped,
    hasStopped: () => over,
    limits: {
      ...options,
      // What had arrived before it was stopped is of no interest any more.
      onEvent(event) {
        if (!over && !ended) options.onEvent?.(event);
      },
      onProgress() {
        idle?.refresh();
        options.onProgress?.();
      },
    },
    end() {
      ended = true;
      clearTimeout(total);
      clearTimeout(idle);
      signal?.removeEventListener('abort', onAbort);
    },
  };
};
