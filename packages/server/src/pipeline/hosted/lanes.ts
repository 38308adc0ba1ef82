// Work by repository: some repositories at once, one thing of each at a time, and the longer a pause the more often it fails.

import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { Later } from '../../lib/later.ts';

/** What is to be done, once for all that asked for it. */
export interface LaneWork<Work, Asked> {
  readonly lane: string;
  readonly work: Work;
  /** By a name of their own. */
  readonly asked: ReadonlyMap<string, Asked>;
}

export type LaneEnd =
  | { readonly kind: 'done' }
  /** Done again after a pause; `restMs`: not before so long. Nothing else of its lane is done before either. */
  | { readonly kind: 'again'; readonly restMs: number };

export interface LanesDeps<Work, Asked> {
  /** Must not throw: what it cannot do, it says. */
  readonly carryOut: (work: LaneWork<Work, Asked>) => Promise<LaneEnd>;
  readonly later: Later;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly backOff: BackOff;
  readonly lanesAtOnce: number;
}

export interface Lanes<Work, Asked> {
  /** What waits under the same name in the same lane is done once for both, and as the newer one says. */
  add(
    to: { readonly lane: string; readonly name: string; readonly work: Work },
    asked?: readonly [string, Asked],
  ): void;
  /** Next in its lane, also while that pauses. What it throws is thrown on; null: it was not begun, for all ends. */
  next<Result>(lane: string, task: () => Promise<Result>): Promise<Result | null>;
  isAsked(name: string): boolean;
  /** How many have asked for what is not done yet. */
  asked(): number;
  /** What is not done yet, whoever asked for it. */
  waiting(): number;
  /** Begins nothing more; resolves when nothing runs. Idempotent. */
  stop(): Promise<void>;
}

interface Entry<Work, Asked> {
  work: Work;
  readonly asked: Map<string, Asked>;
  failures: number;
  isResting: boolean;
}

interface Lane<Work, Asked> {
  readonly entries: Map<string, Entry<Work, Asked>>;
  readonly tasks: (() => Promise<void>)[];
  failures: number;
  isResting: boolean;
  isRunning: boolean;
}

class WorkLanes<Work, Asked> implements Lanes<Work, Asked> {
  readonly #deps: LanesDeps<Work, Asked>;
  readonly #lanes = new Map<string, Lane<Work, Asked>>();
  readonly #asked = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  readonly #pauses = new Set<() => void>();
  #waiting = 0;
  #isStopped = false;

  constructor(deps: LanesDeps<Work, Asked>) {
    this.#deps = deps;
  }

  add(
    {
      lane: name,
      name: entryName,
      work,
    }: { readonly lane: string; readonly name: string; readonly work: Work },
    asked?: readonly [string, Asked],
  ): void {
    if (this.#isStopped || (asked !== undefined && this.#asked.has(asked[0]))) return;
    const lane = this.#laneOf(name);
    const known = lane.entries.get(entryName);
    const entry = known ?? { work, asked: new Map<string, Asked>(), failures: 0, isResting: false };
    if (known === undefined) {
      lane.entries.set(entryName, entry);
      this.#waiting += 1;
    }
    entry.work = work;
    if (asked !== undefined) {
      entry.asked.set(...asked);
      this.#asked.add(asked[0]);
    }
    this.#pump();
  }

  async next<Result>(name: string, task: () => Promise<Result>): Promise<Result | null> {
    if (this.#isStopped) return null;
    const end = Promise.withResolvers<Result | null>();
    this.#laneOf(name).tasks.push(async () => {
      if (this.#isStopped) end.resolve(null);
      else await task().then(end.resolve, end.reject);
    });
    this.#pump();
    return end.promise;
  }

  isAsked(name: string): boolean {
    return this.#asked.has(name);
  }

  asked(): number {
    return this.#asked.size;
  }

  waiting(): number {
    return this.#waiting;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const end of this.#pauses) end();
    this.#pauses.clear();
    // Whoever waits for its turn is told that there will be none.
    for (const lane of this.#lanes.values()) for (const task of lane.tasks.splice(0)) await task();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #laneOf(name: string): Lane<Work, Asked> {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane = { entries: new Map(), tasks: [], failures: 0, isResting: false, isRunning: false };
    this.#lanes.set(name, lane);
    return lane;
  }

  #pump(): void {
    if (this.#isStopped) return;
    for (const [name, lane] of this.#lanes) {
      if (this.#running.size >= this.#deps.lanesAtOnce) return;
      if (lane.isRunning) continue;
      const step = this.#stepOf(name, lane);
      if (step !== null) this.#run(name, lane, step);
    }
  }

  /** The next that may be done now; null where there is none. */
  #stepOf(name: string, lane: Lane<Work, Asked>): (() => Promise<void>) | null {
    const task = lane.tasks.shift();
    if (task !== undefined) return task;
    if (lane.isResting) return null;
    for (const [entryName, entry] of lane.entries) {
      if (entry.isResting) continue;
      // Out of the lane: who asks from now on asks for more than this will have seen.
      lane.entries.delete(entryName);
      return () => this.#carryOut(lane, entry, { name, entryName });
    }
    return null;
  }

  #run(name: string, lane: Lane<Work, Asked>, step: () => Promise<void>): void {
    lane.isRunning = true;
    // Behind the others: each gets its turn.
    this.#lanes.delete(name);
    this.#lanes.set(name, lane);
    const run = step().finally(() => {
      lane.isRunning = false;
      this.#running.delete(run);
      const isOver = lane.entries.size === 0 && lane.tasks.length === 0 && !lane.isResting;
      if (isOver) this.#lanes.delete(name);
      this.#pump();
    });
    this.#running.add(run);
  }

  async #carryOut(
    lane: Lane<Work, Asked>,
    entry: Entry<Work, Asked>,
    { name, entryName }: { readonly name: string; readonly entryName: string },
  ): Promise<void> {
    const end = await this.#deps.carryOut({ lane: name, work: entry.work, asked: entry.asked });
    if (end.kind === 'done') {
      lane.failures = 0;
      this.#waiting -= 1;
      for (const key of entry.asked.keys()) this.#asked.delete(key);
      return;
    }
    this.#putBack(lane, entry, entryName);
    if (this.#isStopped) return;
    const { backOff, random } = this.#deps;
    entry.failures += 1;
    lane.failures += 1;
    const rest = (failures: number): number => Math.max(end.restMs, pauseAfter(backOff, failures, random()));
    this.#rest(entry, rest(entry.failures));
    this.#rest(lane, rest(lane.failures));
  }

  /** Behind what waits already; one with what asked for the same meanwhile. */
  #putBack(lane: Lane<Work, Asked>, entry: Entry<Work, Asked>, entryName: string): void {
    const newer = lane.entries.get(entryName);
    if (newer !== undefined) {
      this.#waiting -= 1;
      lane.entries.delete(entryName);
      entry.work = newer.work;
      for (const [key, asked] of newer.asked) entry.asked.set(key, asked);
    }
    lane.entries.set(entryName, entry);
  }

  #rest(resting: { isResting: boolean }, ms: number): void {
    if (resting.isResting) return;
    resting.isResting = true;
    const end = this.#deps.later(ms, () => {
      this.#pauses.delete(end);
      resting.isResting = false;
      this.#pump();
    });
    this.#pauses.add(end);
  }
}

export const createLanes = <Work, Asked>(deps: LanesDeps<Work, Asked>): Lanes<Work, Asked> =>
  new WorkLanes(deps);
