// Whether one machine is in or out: found out by asking it from time to time, and by what becomes of its builds.
import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { Turns } from '../../lib/turns.ts';
import type { Outage } from '../builder-pool.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import type { PoolClock } from './pool-clock.ts';

export interface HealthTimes {
  readonly backOff: BackOff;
  /** A machine that has nothing to do is asked this often. */
  readonly checkEveryMs: number;
}

export type HealthEvent =
  | { readonly kind: 'in'; readonly isFirst: boolean }
  | { readonly kind: 'out'; readonly reason: string; readonly pauseMs: number; readonly isNew: boolean };

export interface MachineHealthDeps {
  readonly check: RemoteBuilder['check'];
  /** True while it builds nothing for us: else its builds tell. */
  readonly isIdle: () => boolean;
  readonly clock: PoolClock;
  readonly times: HealthTimes;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  /** Shared by all machines. */
  readonly turns: Turns;
  readonly onEvent: (event: HealthEvent) => void;
  /** A check threw: a bug. */
  readonly onFault: (error: unknown) => void;
}

export interface MachineHealth {
  outage(): Outage | null;
  /** How often it went out. */
  outages(): number;
  lost(reason: string): void;
  answered(): void;
  stop(): void;
}

interface Out {
  readonly reason: string;
  readonly dueAt: number;
}

class Health implements MachineHealth {
  readonly #deps: MachineHealthDeps;
  readonly #ending = new AbortController();
  #out: Out | null;
  /** Its first answer is not the end of an outage. */
  #wasAsked = false;
  #inSince = 0;
  #outages = 0;
  /** In a row: of checks, and of builds. That it answers a check does not say that its disk has room for a build. */
  #failedChecks = 0;
  #lostBuilds = 0;
  /** What was asked before it went out tells nothing about whether it is back. */
  #epoch = 0;
  #cancelTimer = (): void => {};

  constructor(deps: MachineHealthDeps) {
    this.#deps = deps;
    this.#out = { reason: 'it was not asked yet', dueAt: deps.clock.now() };
    this.#askAfter(0);
  }

  outage(): Outage | null {
    if (this.#out === null) return null;
    const { clock } = this.#deps;
    const { reason, dueAt } = this.#out;
    return { reason, retryAtMs: Math.round(clock.wall() + Math.max(0, dueAt - clock.now())) };
  }

  outages(): number {
    return this.#outages;
  }

  lost(reason: string): void {
    // Builds that were lost together are one failure, and one that went on after it tells nothing new.
    if (this.#out !== null || this.#ending.signal.aborted) return;
    const { clock, times } = this.#deps;
    if (clock.now() - this.#inSince > times.backOff.longestMs) this.#lostBuilds = 0;
    this.#lostBuilds++;
    this.#goOut(reason);
  }

  answered(): void {
    this.#failedChecks = 0;
    this.#lostBuilds = 0;
  }

  stop(): void {
    this.#cancelTimer();
    this.#ending.abort(new Error('this machine is asked no more'));
  }

  #goOut(reason: string): void {
    const { clock, times, random, onEvent } = this.#deps;
    const isNew = this.#out === null || !this.#wasAsked;
    if (isNew) this.#outages++;
    this.#wasAsked = true;
    const pauseMs = pauseAfter(times.backOff, this.#failedChecks + this.#lostBuilds, random());
    this.#out = { reason, dueAt: clock.now() + pauseMs };
    this.#epoch++;
    this.#askAfter(pauseMs);
    onEvent({ kind: 'out', reason, pauseMs, isNew });
  }

  #comeIn(): void {
    this.#failedChecks = 0;
    if (this.#out === null) return;
    const isFirst = !this.#wasAsked;
    this.#wasAsked = true;
    this.#out = null;
    this.#inSince = this.#deps.clock.now();
    this.#deps.onEvent({ kind: 'in', isFirst });
  }

  #askAfter(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#deps.clock.after(ms, () => void this.#ask());
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { check, isIdle, turns, times, onFault } = this.#deps;
    const { signal } = this.#ending;
    const epoch = this.#epoch;
    try {
      if (this.#out !== null || isIdle()) {
        const reason = await turns.take(() => check(signal), signal);
        if (signal.aborted || epoch !== this.#epoch) return;
        if (reason !== null) {
          this.#failedChecks++;
          return this.#goOut(reason);
        }
        this.#comeIn();
      }
    } catch (error) {
      if (signal.aborted) return;
      onFault(error);
    }
    if (epoch === this.#epoch) this.#askAfter(times.checkEveryMs);
  }
}

/** Out until it has answered for the first time, and asked at once. */
export const watchMachine = (deps: MachineHealthDeps): MachineHealth => new Health(deps);
