// Sees that the machines file changes, and takes it when whoever writes it is done.
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { ReadFile } from '../../config/config-host.ts';
import { parseMachinesFile } from '../../config/machines-file.ts';
import type { PoolClock } from './pool-clock.ts';

export interface MachinesFileTimes {
  /** What looks whole is taken when it has stayed the same for this long. */
  readonly settleMs: number;
  /** What may be half a file: it has lines that cannot be read or end too early, or it is empty, or not there. */
  readonly doubtMs: number;
  /** Looked at this often, whatever the system tells: of links into other folders it tells nothing. */
  readonly pollMs: number;
}

export interface MachinesFileWatch {
  readonly path: string;
  readonly read: (path: string) => Promise<ReadFile>;
  /** What was read when the watch begins. */
  readonly taken: ReadFile;
  readonly clock: PoolClock;
  readonly times: MachinesFileTimes;
  readonly onTaken: (found: ReadFile) => void;
  /** A look threw: a bug. */
  readonly onFault: (error: unknown) => void;
}

/** Equal where there is nothing new. */
const contentOf = (found: ReadFile): string => (found.kind === 'read' ? `read ${found.text}` : found.kind);

const hasMachines = (found: ReadFile): boolean =>
  found.kind === 'read' && parseMachinesFile(found.text).machines.length > 0;

const looksWhole = (found: ReadFile, before: ReadFile): boolean => {
  if (found.kind !== 'read') return false;
  const { machines, problems } = parseMachinesFile(found.text);
  if (problems.length > 0 || (found.text !== '' && !found.text.endsWith('\n'))) return false;
  return machines.length > 0 || !hasMachines(before);
};

class MachinesWatcher {
  readonly #options: MachinesFileWatch;
  #taken: ReadFile;
  #seen: { readonly found: ReadFile; readonly since: number } | null = null;
  #isLooking = false;
  #lookAgain = false;
  #isStopped = false;
  #watcher: FSWatcher | null = null;
  #cancelTimer = (): void => {};

  constructor(options: MachinesFileWatch) {
    this.#options = options;
    this.#taken = options.taken;
    this.#listen();
    this.#lookAfter(options.times.pollMs);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
    this.#watcher?.close();
  }

  /** Of the folder: editors put another file in its place. */
  #listen(): void {
    try {
      const { path } = this.#options;
      this.#watcher = watch(dirname(path), { persistent: false }, (_, name) => {
        // It may be a folder in which much else happens.
        if (name === null || name === basename(path)) this.#look().catch(this.#options.onFault);
      });
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // There is no such folder, or too much is watched already: it is looked at from time to time anyway.
    }
  }

  #lookAfter(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(ms, () => void this.#look());
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    if (this.#isStopped) return;
    if (this.#isLooking) {
      this.#lookAgain = true;
      return;
    }
    this.#isLooking = true;
    let nextMs = this.#options.times.pollMs;
    try {
      const found = await this.#options.read(this.#options.path);
      if (!this.#isStopped) nextMs = this.#judge(found);
    } catch (error) {
      this.#options.onFault(error);
    }
    this.#isLooking = false;
    if (this.#isStopped) return;
    this.#lookAfter(this.#lookAgain ? 0 : nextMs);
    this.#lookAgain = false;
  }

  /** @returns when to look again */
  #judge(found: ReadFile): number {
    const { clock, times, onTaken } = this.#options;
    const content = contentOf(found);
    if (content === contentOf(this.#taken)) {
      this.#seen = null;
      return times.pollMs;
    }
    if (this.#seen === null || contentOf(this.#seen.found) !== content) {
      this.#seen = { found, since: clock.now() };
    }
    const waitMs = looksWhole(found, this.#taken) ? times.settleMs : times.doubtMs;
    const leftMs = this.#seen.since + waitMs - clock.now();
    if (leftMs > 0) return leftMs;
    this.#seen = null;
    this.#taken = found;
    onTaken(found);
    return times.pollMs;
  }
}

export const watchMachinesFile = (options: MachinesFileWatch): { stop(): void } =>
  new MachinesWatcher(options);
