// A cache in memory that keeps the contract, and does as it is told: down, full, read-only, forgetful, or held in the middle.
import type { StorePath } from '@eka-ci/core/ids';
import { type Cache, CacheError, type PushFault } from './cache.ts';

export interface FakeCacheOptions {
  readonly id?: string;
  /** Of one path, what goes with it. @default nothing */
  readonly referencesOf?: (path: StorePath) => readonly StorePath[];
}

export interface FakeCache extends Cache {
  /** How often each path was sent: more than once is a fault of whoever sends, where it was there before. */
  readonly sent: ReadonlyMap<StorePath, number>;
  /** The paths of each push that came through to it, the newest last. */
  readonly pushes: readonly (readonly StorePath[])[];
  /** What every call comes to from now on; null: it works. */
  fail(fault: PushFault | null): void;
  /** A push with that path comes to this. */
  refuse(path: StorePath, fault: PushFault): void;
  /** It takes what it is sent, says so, and has nothing of it. */
  forgetful(isForgetful: boolean): void;
  /** Its disk is lost. */
  lose(paths: readonly StorePath[]): void;
  /** Pushes that begin from now on stand still before they have sent anything, until `release`. */
  hold(): { readonly release: () => void };
  /** Pushes that run now. */
  running(): number;
  /** The most that ever ran at a time. */
  mostRunning(): number;
}

const withReferences = (
  paths: readonly StorePath[],
  referencesOf: NonNullable<FakeCacheOptions['referencesOf']>,
): Set<StorePath> => {
  const closure = new Set<StorePath>();
  const open = [...paths];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (closure.has(path)) continue;
    closure.add(path);
    open.push(...referencesOf(path));
  }
  return closure;
};

/** Rejects when the signal aborts first. */
const unlessAborted = async (waiting: Promise<void>, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([waiting, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/** Of every path. */
const narBytes = 1000;

export const createFakeCache = ({
  id = 'main',
  referencesOf = () => [],
}: FakeCacheOptions = {}): FakeCache => {
  const held = new Set<StorePath>();
  const sent = new Map<StorePath, number>();
  const pushes: (readonly StorePath[])[] = [];
  const refused = new Map<StorePath, PushFault>();
  let fault: PushFault | null = null;
  let isForgetful = false;
  let gate: Promise<void> = Promise.resolve();
  let running = 0;
  let mostRunning = 0;

  const push: Cache['push'] = async ({ paths, onProgress }, signal) => {
    await unlessAborted(gate, signal);
    if (fault !== null) return fault;
    for (const path of paths) {
      const refusal = refused.get(path);
      if (refusal !== undefined) return refusal;
    }
    pushes.push(paths);
    const lacking = [...withReferences(paths, referencesOf)].filter((path) => !held.has(path));
    for (const path of lacking) {
      sent.set(path, (sent.get(path) ?? 0) + 1);
      if (!isForgetful) held.add(path);
    }
    onProgress?.({ sentPaths: lacking.length, sentBytes: lacking.length * narBytes });
    if (paths.some((path) => !held.has(path))) {
      return { kind: 'passing', why: 'it said that it took what it does not have', retryAfterMs: null };
    }
    return { kind: 'pushed', sentPaths: lacking.length, sentBytes: lacking.length * narBytes };
  };

  return {
    id,
    sent,
    pushes,
    fail: (next) => {
      fault = next;
    },
    refuse: (path, refusal) => {
      refused.set(path, refusal);
    },
    forgetful: (next) => {
      isForgetful = next;
    },
    lose: (paths) => {
      for (const path of paths) held.delete(path);
    },
    hold() {
      const open = Promise.withResolvers<void>();
      gate = open.promise;
      return {
        release: () => {
          gate = Promise.resolve();
          open.resolve();
        },
      };
    },
    running: () => running,
    mostRunning: () => mostRunning,
    async present(paths, signal) {
      signal.throwIfAborted();
      // What takes nothing may say all the same what it has.
      const isDown = fault?.kind === 'passing' || (fault?.kind === 'refused' && fault.code !== 'read-only');
      if (fault !== null && isDown) throw new CacheError(fault);
      return new Set(paths.filter((path) => held.has(path)));
    },
    async push(request, signal) {
      running += 1;
      mostRunning = Math.max(mostRunning, running);
      try {
        return await push(request, signal);
      } finally {
        running -= 1;
      }
    },
    async check(signal) {
      signal.throwIfAborted();
      return fault === null
        ? { kind: 'well', about: 'in memory' }
        : { kind: 'faulty', why: fault.why, isPassing: fault.kind === 'passing' };
    },
  };
};
