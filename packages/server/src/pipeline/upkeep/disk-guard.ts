// Holds work back while a disk that it would fill has too little room, and says which and how little.
import { statfs } from 'node:fs/promises';
import type { StartGate } from '../builds/start-gate.ts';

/** A folder whose file system must have room. */
export interface DiskPlace {
  /** For people and metrics, for example `the Nix store`. */
  readonly name: string;
  readonly path: string;
}

export interface DiskReading extends DiskPlace {
  /** What this user may still write; null where it could not be read. */
  readonly freeBytes: number | null;
}

export interface DiskGuard extends StartGate {
  /** As of the last look; empty before it. */
  readings(): readonly DiskReading[];
  /** Looks no more by itself. */
  stop(): void;
}

export type DiskEvent =
  | { readonly kind: 'short'; readonly reason: string; readonly readings: readonly DiskReading[] }
  | { readonly kind: 'room-again' }
  /** A place cannot be read: it holds nothing back. Told once for each new fault. */
  | { readonly kind: 'unreadable'; readonly place: DiskPlace; readonly fault: string };

export interface DiskGuardDeps {
  readonly places: readonly DiskPlace[];
  readonly minFreeBytes: number;
  readonly onEvent: (event: DiskEvent) => void;
  /** Bytes that this user may still write there. @default the file system's */
  readonly readFreeBytes?: (path: string) => Promise<number>;
  /** How often it looks while somebody waits. @default 3000 */
  readonly recheckMs?: number;
  /** How long a look counts. @default 1000 */
  readonly freshMs?: number;
  /** A file system that answers no sooner counts as unreadable. @default 2000 */
  readonly patienceMs?: number;
}

const gib = 1024 ** 3;
const mib = 1024 ** 2;

const formatBytes = (bytes: number): string => {
  if (bytes >= gib) return `${(Math.floor((bytes / gib) * 10) / 10).toFixed(1).replace(/\.0$/, '')} GiB`;
  return `${Math.floor(bytes / mib)} MiB`;
};

/** One sentence without its full stop; null where all have room. Pure. */
export const shortageOf = (readings: readonly DiskReading[], minFreeBytes: number): string | null => {
  const short = readings.find(({ freeBytes }) => freeBytes !== null && freeBytes < minFreeBytes);
  if (short === undefined || short.freeBytes === null) return null;
  const [free, asked] = [formatBytes(short.freeBytes), formatBytes(minFreeBytes)];
  return `the disk of ${short.name} has ${free} free, and disk.min_free_mib asks for ${asked}`;
};

const freeBytesOf = async (path: string): Promise<number> => {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
};

const tooSlow = new Error('the file system does not answer');

/** Rejects after that time, whatever the work does. */
const inTime = async <Value>(work: Promise<Value>, patienceMs: number): Promise<Value> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooSlow), patienceMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};

class Guard implements DiskGuard {
  readonly #deps: DiskGuardDeps;
  readonly #watchers = new Set<() => void>();
  readonly #faults = new Map<string, string>();
  /** One request a place: a file system that hangs must not get another each second. */
  readonly #asked = new Map<string, Promise<number>>();
  #readings: readonly DiskReading[] = [];
  #reason: string | null = null;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(deps: DiskGuardDeps) {
    this.#deps = deps;
  }

  shutBecause(): string | null {
    return this.#reason;
  }

  readings(): readonly DiskReading[] {
    return this.#readings;
  }

  async look(): Promise<string | null> {
    if (performance.now() - this.#readAt >= (this.#deps.freshMs ?? 1000)) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = null;
      });
      await this.#reading;
    }
    return this.#reason;
  }

  watch(onChange: () => void): () => void {
    // An object of its own for each: the same function may watch twice.
    const watcher = (): void => onChange();
    this.#watchers.add(watcher);
    this.#schedule();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#unschedule();
    };
  }

  stop(): void {
    this.#stopped = true;
    this.#unschedule();
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== null || this.#watchers.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#readAt = Number.NEGATIVE_INFINITY;
      const again = (): void => this.#schedule();
      this.look().then(again, again);
    }, this.#deps.recheckMs ?? 3000);
  }

  #unschedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #read(): Promise<void> {
    const { places, minFreeBytes, onEvent } = this.#deps;
    this.#readings = await Promise.all(places.map((place) => this.#readPlace(place)));
    this.#readAt = performance.now();
    const before = this.#reason;
    this.#reason = shortageOf(this.#readings, minFreeBytes);
    if (before === null && this.#reason !== null) {
      onEvent({ kind: 'short', reason: this.#reason, readings: this.#readings });
    }
    if (before !== null && this.#reason === null) onEvent({ kind: 'room-again' });
    if (before === this.#reason) return;
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #readPlace(place: DiskPlace): Promise<DiskReading> {
    const { path } = place;
    const { readFreeBytes = freeBytesOf, patienceMs = 2000, onEvent } = this.#deps;
    const asked = this.#asked.get(path) ?? readFreeBytes(path).finally(() => this.#asked.delete(path));
    this.#asked.set(path, asked);
    try {
      const freeBytes = await inTime(asked, patienceMs);
      this.#faults.delete(path);
      return { ...place, freeBytes };
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      if (this.#faults.get(path) !== fault) onEvent({ kind: 'unreadable', place, fault });
      this.#faults.set(path, fault);
      return { ...place, freeBytes: null };
    }
  }
}

export const createDiskGuard = (deps: DiskGuardDeps): DiskGuard => new Guard(deps);
