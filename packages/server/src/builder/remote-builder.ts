// Port: a builder on another machine, with what a pool must be able to ask of it beside builds.
import type { PooledBuilder } from './builder-pool.ts';

/** Of archives, since the server was started. */
export interface CopiedBytes {
  readonly to: number;
  readonly from: number;
}

export interface RemoteBuilder extends PooledBuilder {
  /**
   * Greets it on a connection of its own, and asks what a build would meet first. Takes no longer than half a minute.
   * @returns null where it would take a build now, else why not, for people and without a full stop
   * @throws the signal's reason when that aborts, and for nothing else but bugs
   */
  check(signal: AbortSignal): Promise<string | null>;
  copied(): CopiedBytes;
  /** That are open now. */
  connections(): number;
  /** Ends every connection, and what still runs on them. Idempotent. */
  close(): Promise<void>;
}
