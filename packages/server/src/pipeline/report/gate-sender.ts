// Sends what forges are to show, from the rows in which that is kept: the newest state of each gate, again and again
// until it is there, paced by what the forge says.
import { pauseAfter } from '@eka-ci/core/back-off';
import type { Database, StoredGate } from '../../database/database.ts';
import type { HostedForge, HostedForgeFault } from '../../forge/hosted-forge.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import { readGate } from './kept-gate.ts';

export interface GateSenderDeps {
  readonly database: Pick<Database, 'gates'>;
  readonly forges: readonly HostedForge[];
  /** This server's own name; the same after its restart. */
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly random: () => number;
  readonly onEvent: (event: GateSenderEvent) => void;
  /** How often it looks by itself, for what is due again. @default 5000 */
  readonly idleMs?: number;
}

export type GateSenderEvent =
  | { readonly kind: 'sent'; readonly gate: StoredGate }
  | {
      readonly kind: 'put-off';
      readonly gate: StoredGate;
      readonly error: unknown;
      readonly retryAtMs: number;
    }
  /** The forge does not take it; it is tried again when something else is wanted there. */
  | { readonly kind: 'given-up'; readonly gate: StoredGate; readonly error: unknown }
  | { readonly kind: 'database-fault'; readonly error: unknown };

export interface GateSender {
  /** There may be something to send. */
  wake(): void;
  /** Ends what is being sent; resolves when nothing runs. Idempotent. */
  stop(): Promise<void>;
}

const sentAtOnce = 8;
/** Longer than a forge may take with all its limits. */
const claimedForMs = 10 * 60_000;
const backOff = { firstMs: 2000, longestMs: 10 * 60_000 };

const isFault = (error: unknown): error is HostedForgeFault =>
  error instanceof Error && 'mayPass' in error && 'retryAtMs' in error;

class Sender implements GateSender {
  readonly #deps: GateSenderDeps;
  readonly #ending = new AbortController();
  #woken = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;

  constructor(deps: GateSenderDeps) {
    this.#deps = deps;
    this.#ended = this.#run();
  }

  wake(): void {
    this.#woken.resolve();
  }

  stop(): Promise<void> {
    this.#ending.abort(new Error('the server ends'));
    this.wake();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        const nowMs = this.#deps.clock();
        const { owner, database } = this.#deps;
        const claim = { owner, nowMs, untilMs: nowMs + claimedForMs, limit: sentAtOnce };
        const due = await database.gates.claimDue(claim);
        if (due.length === 0) await this.#rest();
        else await Promise.all(due.map((gate) => this.#send(gate)));
      } catch (error) {
        this.#deps.onEvent({ kind: 'database-fault', error });
        await this.#rest();
      }
    }
  }

  async #rest(): Promise<void> {
    const timer = setTimeout(() => this.wake(), this.#deps.idleMs ?? 5000);
    await this.#woken.promise;
    clearTimeout(timer);
    this.#woken = Promise.withResolvers();
  }

  async #send(gate: StoredGate): Promise<void> {
    const { database, forges, clock, onEvent } = this.#deps;
    const forge = forges.find(({ host }) => host === gate.host);
    try {
      const placed = readGate(gate);
      // Of a forge that is configured no more, or by another version.
      if (forge === undefined) throw new Error(`${gate.host} is not configured any more`);
      if (placed === null) throw new Error('it was kept by another version of EkaCI');
      const known = { id: gate.forgeId, signal: this.#ending.signal };
      const forgeId = await forge.putGate(placed.place, placed.gate, known);
      await database.gates.sent(gate, { forgeId, atMs: clock() });
      onEvent({ kind: 'sent', gate });
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      if (errorCodeOf(error).startsWith('DATABASE_')) throw error;
      await this.#putOff(gate, error);
    }
  }

  async #putOff(gate: StoredGate, error: unknown): Promise<void> {
    const { database, clock, random, onEvent } = this.#deps;
    const message = error instanceof Error ? error.message : String(error);
    const code = errorCodeOf(error);
    const fault = code === '' ? message : `${code}: ${message}`;
    if (!isFault(error) || !error.mayPass) {
      await database.gates.failed(gate, { fault, nextAtMs: null, atMs: clock() });
      return onEvent({ kind: 'given-up', gate, error });
    }
    const waitMs = pauseAfter(backOff, gate.attempts + 1, random());
    const retryAtMs = Math.max(clock() + waitMs, error.retryAtMs ?? 0);
    await database.gates.failed(gate, { fault, nextAtMs: retryAtMs, atMs: clock() });
    onEvent({ kind: 'put-off', gate, error, retryAtMs });
  }
}

export const startGateSender = (deps: GateSenderDeps): GateSender => new Sender(deps);
