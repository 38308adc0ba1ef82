// Port: all builders a server may use, and which of them answer. What is built where is for the scheduler to decide.
import type { Builder } from './builder.ts';

/** How many builds may run on one builder at once. Each at least 0; not both 0. */
export interface BuilderSlots {
  readonly build: number;
  /** Fixed-output derivations: they wait for the network, not for a processor. */
  readonly fixedOutput: number;
}

export interface PooledBuilder extends Builder {
  readonly slots: BuilderSlots;
  /** How fast it is against others; 1 for the local one. More than 0. */
  readonly speed: number;
  /** It builds only what asks for all of these; they are among its `features`. */
  readonly mandatoryFeatures: readonly string[];
  /** True for the store of this server: inputs and outputs need not be copied. */
  readonly isLocal: boolean;
}

/** Why a builder gets nothing now. */
export interface Outage {
  /** For people, without a full stop: `it does not answer: …`. */
  readonly reason: string;
  /** When it is asked again, milliseconds since 1970. */
  readonly retryAtMs: number;
}

export interface BuilderPool {
  /** Every builder that is configured, also one that is out; the local one first. Names are unique. */
  builders(): readonly PooledBuilder[];
  /** Null: it may be used. For one that is configured no more as well: nothing new is started there. */
  outageOf(name: string): Outage | null;
  /**
   * A build came back because its builder was lost, or has no room: it is out for a time that grows with each failure
   * in a row. Does nothing for the local one.
   */
  lost(name: string, reason: string): void;
  /** It has answered: the next failure counts as the first. */
  answered(name: string): void;
  /** Called whenever a builder came, went, changed, or is in or out again, until the function given back is called. */
  watch(onChange: () => void): () => void;
  /** Ends what it watches and every connection. Idempotent. */
  close(): Promise<void>;
}
