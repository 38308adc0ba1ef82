// Runs what operators want done after builds: from what judgements hand on to rows, and from rows to runs, some at once.
//
// A run is on disk as running before anything of it runs, so that one that a crash cut short is known, and is not
// repeated: what it had done by then nobody knows. What waits is taken up again. No judgement waits for any of it.
import { createHash } from 'node:crypto';
import { killMarked } from '@eka-ci/process';
import type { Database, StoredHookRun } from '../../database/database.ts';
import { readPublication } from '../publish/publication.ts';
import { HookWork, type HookWorkDeps } from './carry-out-hook.ts';
import type { ConfiguredHook } from './hook-event.ts';
import { markName } from './run-hook.ts';
import { wantHooks } from './want-hooks.ts';

export interface HookDeskDeps extends HookWorkDeps {
  readonly database: HookWorkDeps['database'] & Pick<Database, 'publications'>;
  readonly hooks: readonly ConfiguredHook[];
  /** How many run at once. @default 4 */
  readonly slots?: number;
  /** How long those that run may go on when the desk is stopped. @default 5000 */
  readonly stopGraceMs?: number;
}

export interface HookDesk {
  /** Settles what an earlier life left, and begins. @throws DatabaseError */
  start(): Promise<void>;
  /** There may be something to do. */
  wake(): void;
  /** Resolves when nothing of it runs. Idempotent. */
  stop(): Promise<void>;
}

const faultWaitMs = 5000;
/** Each is one of a judgement, or a part of one. */
const publicationsAtOnce = 5;
const rowsAtOnce = 256;
/** A clock that was set back must not keep for a day what was to wait for an hour. */
const longestWaitMs = 2 * 60 * 60_000;

class Desk implements HookDesk {
  readonly #deps: HookDeskDeps;
  readonly #hooks: ReadonlyMap<string, ConfiguredHook>;
  readonly #work: HookWork;
  readonly #slots: number;
  /** Runs that are under way, by their ids. */
  readonly #running = new Map<number, Promise<void>>();
  readonly #ending = new AbortController();
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;
  /** Looks, and then once more where it was woken meanwhile. */
  #looking: Promise<void> | null = null;
  #isWoken = false;
  #stopped: Promise<void> | null = null;

  constructor(deps: HookDeskDeps) {
    this.#deps = deps;
    this.#hooks = new Map(deps.hooks.map((hook) => [hook.id, hook]));
    this.#work = new HookWork(deps, this.#hooks, this.#ending.signal);
    this.#slots = deps.slots ?? 4;
  }

  async start(): Promise<void> {
    const { database, clock, serverMark, onEvent } = this.#deps;
    const killed = await killMarked({ name: markName, value: `${serverMark}.`, match: 'prefix' });
    const interrupted = await database.hookRuns.interruptRunning(clock());
    if (killed + interrupted.length > 0) onEvent({ kind: 'taken-up', interrupted, killed });
    for (const run of interrupted) {
      const ending = { state: 'interrupted', exitStatus: null, message: run.message, atMs: clock() } as const;
      onEvent({ kind: 'ended', run, ending, result: null, hook: null, secrets: [] });
    }
    this.wake();
  }

  wake(): void {
    if (this.#stopping) return;
    this.#isWoken = true;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
      if (this.#isWoken) this.wake();
    });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#looking;
    const grace = setTimeout(() => this.#ending.abort(), this.#deps.stopGraceMs ?? 5000);
    await Promise.all(this.#running.values());
    clearTimeout(grace);
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      while (this.#isWoken && !this.#stopping) {
        this.#isWoken = false;
        await this.#takePublications();
        await this.#startDue();
      }
      await this.#waitForNext();
    } catch (error) {
      this.#isWoken = false;
      this.#deps.onEvent({ kind: 'fault', error });
      this.#wakeIn(faultWaitMs);
    }
  }

  #wakeIn(ms: number): void {
    if (!this.#stopping) this.#timer = setTimeout(() => this.wake(), ms).unref();
  }

  async #waitForNext(): Promise<void> {
    // Else the end of one wakes it.
    if (this.#running.size >= this.#slots) return;
    const nextMs = await this.#deps.database.hookRuns.nextDueMs();
    const waitMs = nextMs === null ? 0 : nextMs - this.#deps.clock();
    // What is due and was not started is being prepared.
    if (waitMs > 0) this.#wakeIn(Math.min(longestWaitMs, waitMs));
  }

  async #takePublications(): Promise<void> {
    const { publications, hookRuns } = this.#deps.database;
    for (;;) {
      const waiting = await publications.waiting('hooks', publicationsAtOnce);
      for (const stored of waiting) {
        const { id, changeId } = stored;
        if (this.#stopping) return;
        const publication = readPublication(stored);
        if (publication === null) this.#deps.onEvent({ kind: 'unreadable', changeId });
        const runs = publication === null ? [] : wantHooks(publication, changeId, this.#hooks);
        let wanted = 0;
        for (let at = 0; at < runs.length; at += rowsAtOnce) {
          wanted += await hookRuns.want(runs.slice(at, at + rowsAtOnce), this.#deps.clock());
        }
        await publications.taken('hooks', id);
        if (wanted > 0) this.#deps.onEvent({ kind: 'wanted', changeId, runs: wanted });
      }
      if (waiting.length < publicationsAtOnce) return;
    }
  }

  /** Also what waits longer than anything ever does: the clock was set back. */
  async #due(): Promise<readonly StoredHookRun[]> {
    const { database, clock } = this.#deps;
    const limit = this.#slots + this.#running.size;
    const due = await database.hookRuns.due(clock(), limit);
    const nextMs = due.length > 0 ? null : await database.hookRuns.nextDueMs();
    if (nextMs === null || nextMs - clock() <= longestWaitMs) return due;
    return database.hookRuns.due(nextMs, limit);
  }

  async #startDue(): Promise<void> {
    if (this.#running.size >= this.#slots) return;
    for (const run of await this.#due()) {
      if (this.#running.size >= this.#slots || this.#stopping) return;
      if (this.#running.has(run.id)) continue;
      const work = this.#work.carryOut(run).finally(() => {
        this.#running.delete(run.id);
        this.wake();
      });
      this.#running.set(run.id, work);
    }
  }
}

export const createHookDesk = (deps: HookDeskDeps): HookDesk => new Desk(deps);

/** By its database file's name and identity: it is the same after a restart, and no other server's. */
export const serverMarkOf = ({ path, dev, ino }: { path: string; dev: number; ino: number }): string =>
  createHash('sha256').update(`${path} ${dev} ${ino}`).digest('hex').slice(0, 16);
