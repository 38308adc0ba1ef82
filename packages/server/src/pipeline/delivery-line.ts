// Where deliveries wait for their row: those that come while one transaction is being written share the next one, and so
// its fsync. Nothing is acknowledged before it is on disk; what comes when too many wait is refused, not kept in memory.
import type { Deliveries, Delivery } from '../database/database.ts';

type Received = Awaited<ReturnType<Deliveries['receive']>>;

/** Thrown when as much waits as may: the forge is told to try again later. Nothing was kept. */
export class DeliveriesFullError extends Error {
  readonly code = 'DELIVERIES_FULL';
  constructor(waiting: number) {
    super(
      `${waiting} deliveries wait to be written already: try again in a moment; if that lasts, look at the disk's speed`,
    );
    this.name = 'DeliveriesFullError';
  }
}

/** Thrown when the server ends. Nothing was kept. */
export class DeliveriesClosedError extends Error {
  readonly code = 'DELIVERIES_CLOSED';
  constructor() {
    super('the server ends and takes no more deliveries: try again when it is back');
    this.name = 'DeliveriesClosedError';
  }
}

export interface DeliveryLine extends Deliveries {
  /**
   * As the port's: what it resolved is on disk, what it rejected left nothing behind. Written in the order of the calls.
   * @throws DeliveriesFullError, DeliveriesClosedError; DatabaseError, like every call that shared the transaction
   */
  receive(deliveries: readonly Delivery[]): Promise<Received>;
  /** Takes nothing more; resolves when what waits is written, or could not be. Idempotent. */
  close(): Promise<void>;
}

export interface DeliveryLineLimits {
  /** Deliveries that wait for their transaction. @default 10000 */
  readonly maxWaiting?: number;
  /** The same, in UTF-16 units of their payloads. @default 64 Mi */
  readonly maxWaitingLength?: number;
  /** Of one transaction, after which others may use the database. @default 4 Mi UTF-16 units */
  readonly maxLengthAtOnce?: number;
}

interface Call {
  readonly deliveries: readonly Delivery[];
  readonly length: number;
  readonly answer: PromiseWithResolvers<Received>;
}

const lengthOf = (deliveries: readonly Delivery[]): number =>
  deliveries.reduce((sum, { key, payload }) => sum + key.length + payload.length, 0);

class Line implements DeliveryLine {
  readonly #behind: Deliveries;
  readonly #limits: Required<DeliveryLineLimits>;
  readonly #waiting: Call[] = [];
  #count = 0;
  #length = 0;
  #writing: Promise<void> | null = null;
  #closed = false;

  constructor(behind: Deliveries, limits: DeliveryLineLimits) {
    this.#behind = behind;
    const mi = 1024 * 1024;
    this.#limits = { maxWaiting: 10_000, maxWaitingLength: 64 * mi, maxLengthAtOnce: 4 * mi, ...limits };
  }

  async receive(deliveries: readonly Delivery[]): Promise<Received> {
    if (this.#closed) throw new DeliveriesClosedError();
    if (deliveries.length === 0) return [];
    const length = lengthOf(deliveries);
    if (!this.#hasRoom(deliveries.length, length)) throw new DeliveriesFullError(this.#count);
    const answer = Promise.withResolvers<Received>();
    this.#waiting.push({ deliveries, length, answer });
    this.#count += deliveries.length;
    this.#length += length;
    this.#writing ??= this.#writeAll();
    return answer.promise;
  }

  unfinished(limit: number, after?: string): Promise<readonly Delivery[]> {
    return this.#behind.unfinished(limit, after);
  }

  finish(keys: string | readonly string[], doneAtMs: number): Promise<void> {
    return this.#behind.finish(keys, doneAtMs);
  }

  forget(doneBeforeMs: number): Promise<number> {
    return this.#behind.forget(doneBeforeMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  /** A first one always has: one listing of a large repository may be more than the limit. */
  #hasRoom(count: number, length: number): boolean {
    const { maxWaiting, maxWaitingLength } = this.#limits;
    if (this.#waiting.length === 0) return true;
    return this.#count + count <= maxWaiting && this.#length + length <= maxWaitingLength;
  }

  async #writeAll(): Promise<void> {
    // Whoever calls in this same turn of the event loop is in the first group already.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#write(this.#takeGroup());
    this.#writing = null;
  }

  #takeGroup(): Call[] {
    let length = 0;
    const tooMany = this.#waiting.findIndex((call, at) => {
      length += call.length;
      return at > 0 && length > this.#limits.maxLengthAtOnce;
    });
    const group = this.#waiting.splice(0, tooMany === -1 ? this.#waiting.length : tooMany);
    for (const call of group) {
      this.#count -= call.deliveries.length;
      this.#length -= call.length;
    }
    return group;
  }

  async #write(group: readonly Call[]): Promise<void> {
    try {
      const received = await this.#behind.receive(group.flatMap(({ deliveries }) => deliveries));
      let at = 0;
      for (const { deliveries, answer } of group) {
        answer.resolve(received.slice(at, at + deliveries.length));
        at += deliveries.length;
      }
    } catch (error) {
      for (const { answer } of group) answer.reject(error);
    }
  }
}

/** In front of the database's: everything else passes through. */
export const createDeliveryLine = (behind: Deliveries, limits: DeliveryLineLimits = {}): DeliveryLine =>
  new Line(behind, limits);
