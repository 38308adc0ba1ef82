// The port's outbox: what gates shall say on forges, and how much of that was sent. Part of database.ts.
import type { CommitSha } from '@eka-ci/core/ids';

/** Of one name there is one gate on a commit. */
export interface GateKey {
  /** Of a hosted forge: `github.com`. */
  readonly host: string;
  /** As the forge names it: `owner/repo`. */
  readonly repository: string;
  readonly headSha: CommitSha;
  readonly name: string;
}

export interface WantedGate extends GateKey {
  /** The forge's number of its repository, by which it comes under the name of now. @default as it is named */
  readonly repositoryId?: number;
  /** What it shall say, as JSON text; parsed by whoever knows its schema. Equal texts are the same state. */
  readonly wantedJson: string;
  /** Where it is shown, as JSON text, in the same way. */
  readonly placeJson: string;
  /** Nothing more is to come. */
  readonly isConcluded: boolean;
  /** Those with lower numbers are sent first. */
  readonly priority: number;
}

export interface StoredGate extends WantedGate {
  /** Counted from 1: of what is wanted now. */
  readonly version: number;
  /** The newest that the forge has; 0 where it has none. */
  readonly sentVersion: number;
  /** The forge's own id of it; null while it is not known. */
  readonly forgeId: number | null;
  /** Since it was sent last, those that failed. */
  readonly attempts: number;
  /** Milliseconds since 1970: it is not sent before. Null: given up, until something else is wanted. */
  readonly nextAtMs: number | null;
  /** Why the last attempt failed, for people; null after one that did not. */
  readonly fault: string | null;
  /** Milliseconds since 1970: when it was wanted anew, sent, or failed to be sent. */
  readonly updatedAtMs: number;
}

/** A gate in the state that was given out. */
type ClaimedGate = GateKey & Pick<StoredGate, 'version'>;

export interface GateClaim {
  /** A server's own name; the same after its restart. */
  readonly owner: string;
  /** Only of this one. @default all */
  readonly host?: string;
  readonly nowMs: number;
  /** When it is given out again, unless `sent` or `failed` came before. */
  readonly untilMs: number;
  /** From 1 to 1000. */
  readonly limit: number;
}

/** What waits to be sent to one forge. */
export interface GateCounts {
  readonly host: string;
  readonly waiting: number;
  /** Milliseconds since 1970: since when the forge shows less than is wanted; null where nothing waits. */
  readonly waitingSinceMs: number | null;
  readonly givenUp: number;
}

export interface Gates {
  /**
   * In the given order, in one transaction. Only the newest state of a gate is kept: what was not sent yet never will be.
   * One that is wanted already changes nothing. A newer state keeps the place and the delay of the one that it replaces,
   * and none of them where that was given up.
   * @returns how many have something new to be sent
   */
  want(gates: readonly WantedGate[], atMs: number): Promise<number>;
  /**
   * What is to be sent now: by priority, then by how long it waits. Until `sent` or `failed` is told of what was given
   * out, or its time is over, nothing of that gate is given out again, so that no older state overtakes a newer one.
   */
  claimDue(claim: GateClaim): Promise<readonly StoredGate[]>;
  /**
   * The forge has that version. A newer one that was wanted meanwhile stays due, behind what waits already. Idempotent;
   * nothing where the gate is forgotten.
   */
  sent(gate: ClaimedGate, sent: { readonly forgeId: number; readonly atMs: number }): Promise<void>;
  /**
   * The forge does not have that version. With a `nextAtMs` of null it is given up; a newer one that was wanted meanwhile
   * is then due at once. Nothing where that version was sent all the same, or the gate is forgotten.
   */
  failed(
    gate: ClaimedGate,
    failure: { readonly fault: string; readonly nextAtMs: number | null; readonly atMs: number },
  ): Promise<void>;
  /** What the forge refused is due once more: somebody has changed what kept it from taking it. @returns how many */
  retryGivenUp(host: string, atMs: number): Promise<number>;
  /** Releases all that this owner had claimed when it died. @returns how many */
  releaseAll(owner: string): Promise<number>;
  find(key: GateKey): Promise<StoredGate | null>;
  /** Of one commit, by name. */
  ofHead(head: Omit<GateKey, 'name'>): Promise<readonly StoredGate[]>;
  /**
   * Those whose wanted state is not concluded, sent or not, by key.
   * @param page `after`: the last of the page before; `limit`: from 1 to 1000
   */
  unfinishedOf(
    host: string,
    page: { readonly after: GateKey | null; readonly limit: number },
  ): Promise<readonly StoredGate[]>;
  /** By host; those of which nothing waits and nothing was given up are left out. */
  counts(): Promise<readonly GateCounts[]>;
  /**
   * Removes those last touched before of which nothing more is to be sent: concluded and sent, or given up. The forge
   * keeps them, and they are found there by name where they are wanted again. @returns how many
   */
  forget(beforeMs: number): Promise<number>;
}
