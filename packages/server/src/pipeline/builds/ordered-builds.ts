// Builds that operators order: rows until they have come to rest, so that a crash forgets none.
import type { DrvPath } from '@eka-ci/core/ids';
import { derivationNameOf, parseDrvPath } from '@eka-ci/nix/store-path';
import type { BuildEnding, BuildOrder, OrderedBuild } from '@eka-ci/protocol/build-request';
import { z } from 'zod';
import type { Database, Delivery } from '../../database/database.ts';
import { errorCodeOf } from '../../lib/error-code.ts';

export interface Order extends BuildOrder {
  readonly drv: DrvPath;
}

export type OrderEvent =
  | { readonly kind: 'started'; readonly order: Order }
  | { readonly kind: 'finished'; readonly order: Order; readonly ending: BuildEnding }
  /** `error` has no stable code: a bug. */
  | { readonly kind: 'bug'; readonly order: Order; readonly error: unknown }
  /** What an earlier life accepted cannot be read by this one, as where the store has moved: it is given up. */
  | { readonly kind: 'dropped'; readonly payload: string; readonly error: unknown }
  /** The database does not answer: what was under way is tried again soon. */
  | { readonly kind: 'database-fault'; readonly error: unknown };

export interface OrderedBuildsDeps {
  readonly database: Pick<Database, 'deliveries'>;
  readonly storeDir: string;
  /** @throws what building throws; the signal's reason when it aborts */
  readonly build: (order: Order, signal: AbortSignal) => Promise<BuildEnding>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly onEvent: (event: OrderEvent) => void;
  /** How long to wait after a fault of the database. @default 5000 */
  readonly retryMs?: number;
}

export type Ordered =
  | { readonly kind: 'accepted'; readonly build: OrderedBuild }
  | { readonly kind: 'id-taken' | 'too-many' };

export interface OrderedBuilds {
  /** Idempotent by id. @throws DatabaseError; nothing is accepted then */
  order(order: Order): Promise<Ordered>;
  /** Null for an unknown id, and for one that was done long ago. */
  find(id: string): OrderedBuild | null;
  /** One sentence on what a derivation waits for that was ordered; null for any other. */
  why(drv: DrvPath): string | null;
  /** Takes up what an earlier life of the server accepted. @returns how many @throws DatabaseError */
  takeUp(): Promise<number>;
  /** Carries out what waits, oldest first and some at once, and what comes. Nothing runs before it is called. */
  resume(): void;
  /** Nothing more is begun until resume(); what runs goes on. */
  pause(): void;
  /** Where it is paused: ends what runs; it waits for resume(). */
  release(): void;
  /** Ends what runs; what is not done waits for the next life. Resolves when nothing runs. Idempotent. */
  stop(): Promise<void>;
}

/** Deliveries of forges have keys that begin otherwise: theirs are JSON lists. */
const keyPrefix = 'build:';
const mostWaiting = 100;
const mostRemembered = 1000;
/** Each reads the closure of its derivation before it asks for builds. */
const mostAtOnce = 8;

/** True for the rows that are kept here, which intake is not to touch. */
export const isOrder = ({ key }: Pick<Delivery, 'key'>): boolean => key.startsWith(keyPrefix);

const payloadSchema = z.object({
  id: z.string(),
  drv: z.string(),
  force: z.boolean(),
  rebuildAll: z.boolean(),
});

interface Entry {
  readonly order: Order;
  readonly state: OrderedBuild['state'];
  readonly ending: BuildEnding | null;
}

const onWire = ({ order, state, ending }: Entry): OrderedBuild => {
  const { drv, id, force, rebuildAll } = order;
  return { id, drvPath: drv, force, rebuildAll, state, ending };
};

const isSame = (a: Order, b: Order): boolean =>
  a.drv === b.drv && a.force === b.force && a.rebuildAll === b.rebuildAll;

const faultEnding = (error: unknown): BuildEnding => {
  const code = errorCodeOf(error);
  const said = error instanceof Error ? error.message : String(error);
  const message = code === '' ? `INTERNAL: this is a bug in EkaCI: ${said}` : `${code}: ${said}`;
  return { outcome: 'fault', cause: null, culprit: null, message };
};

class StoredOrders implements OrderedBuilds {
  readonly #deps: OrderedBuildsDeps;
  /** In the order in which they came. */
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Map<Promise<void>, AbortController>();
  #phase: 'paused' | 'running' | 'stopping' = 'paused';
  #retry: NodeJS.Timeout | null = null;

  constructor(deps: OrderedBuildsDeps) {
    this.#deps = deps;
  }

  async order(order: Order): Promise<Ordered> {
    const known = this.#accepted(order);
    if (known !== null) return known;
    if (this.#waiting().length >= mostWaiting) return { kind: 'too-many' };
    const { drv, id, force, rebuildAll } = order;
    const payload = JSON.stringify({ id, drv, force, rebuildAll });
    const delivery = { key: keyPrefix + id, payload, receivedAtMs: this.#deps.clock() };
    const [kept] = await this.#deps.database.deliveries.receive([delivery]);
    // The same order may have come twice at once: then it is there by now, and may even be done.
    const twin = this.#accepted(order);
    if (twin !== null) return twin;
    const entry: Entry = { order, state: kept === 'done' ? 'done' : 'waiting', ending: null };
    this.#entries.set(id, entry);
    this.#forgetOldest();
    this.#pump();
    return { kind: 'accepted', build: onWire(this.#entries.get(id) ?? entry) };
  }

  find(id: string): OrderedBuild | null {
    const entry = this.#entries.get(id);
    return entry === undefined ? null : onWire(entry);
  }

  why(drv: DrvPath): string | null {
    if (!this.#waiting().some(({ order }) => order.drv === drv)) return null;
    return `${derivationNameOf(drv)} waits until what was ordered before it is done.`;
  }

  async takeUp(): Promise<number> {
    const rows = await this.#readOrders();
    let resumed = 0;
    for (const row of rows) {
      const order = await this.#readOrDrop(row);
      if (order === null || this.#entries.has(order.id)) continue;
      this.#entries.set(order.id, { order, state: 'waiting', ending: null });
      resumed += 1;
    }
    return resumed;
  }

  resume(): void {
    if (this.#phase === 'stopping') return;
    this.#phase = 'running';
    this.#pump();
  }

  pause(): void {
    if (this.#phase === 'running') this.#phase = 'paused';
  }

  release(): void {
    if (this.#phase !== 'running') this.#endAll();
  }

  async stop(): Promise<void> {
    this.#phase = 'stopping';
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#endAll();
    await Promise.all(this.#running.keys());
  }

  #endAll(): void {
    for (const abort of this.#running.values()) abort.abort(new Error('the build was put off'));
  }

  #pump(): void {
    while (this.#phase === 'running' && this.#running.size < mostAtOnce) {
      const next = this.#waiting()[0];
      if (next === undefined) return;
      const abort = new AbortController();
      const run = this.#run(next.order, abort.signal)
        .catch((error: unknown) => this.#tryLater(error))
        .finally(() => {
          this.#running.delete(run);
          if (this.#retry === null) this.#pump();
        });
      this.#running.set(run, abort);
    }
  }

  #tryLater(error: unknown): void {
    this.#deps.onEvent({ kind: 'database-fault', error });
    if (this.#phase === 'stopping') return;
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#pump();
    }, this.#deps.retryMs ?? 5000);
  }

  /** However many deliveries of forges wait among them. */
  async #readOrders(): Promise<Delivery[]> {
    const orders: Delivery[] = [];
    let last: Delivery | undefined;
    do {
      const page = await this.#deps.database.deliveries.unfinished(1000, last?.key);
      orders.push(...page.filter(isOrder));
      last = page.at(-1);
    } while (last !== undefined);
    return orders;
  }

  /** One that cannot be read must not keep the server from its start, now and at each one after. */
  async #readOrDrop({ key, payload }: Delivery): Promise<Order | null> {
    const { database, storeDir, clock, onEvent } = this.#deps;
    try {
      const { drv, ...rest } = payloadSchema.parse(JSON.parse(payload));
      return { ...rest, drv: parseDrvPath(drv, storeDir) };
    } catch (error) {
      onEvent({ kind: 'dropped', payload, error });
      await database.deliveries.finish(key, clock());
      return null;
    }
  }

  #accepted(order: Order): Ordered | null {
    const known = this.#entries.get(order.id);
    if (known === undefined) return null;
    return isSame(known.order, order) ? { kind: 'accepted', build: onWire(known) } : { kind: 'id-taken' };
  }

  #waiting(): Entry[] {
    return [...this.#entries.values()].filter(({ state }) => state === 'waiting');
  }

  async #run(order: Order, signal: AbortSignal): Promise<void> {
    const { database, onEvent, clock } = this.#deps;
    this.#entries.set(order.id, { order, state: 'building', ending: null });
    try {
      onEvent({ kind: 'started', order });
      const ending = await this.#endingOf(order, signal);
      if (ending === null) return;
      await database.deliveries.finish(keyPrefix + order.id, clock());
      this.#entries.set(order.id, { order, state: 'done', ending });
      this.#forgetOldest();
      onEvent({ kind: 'finished', order, ending });
    } finally {
      const entry = this.#entries.get(order.id);
      if (entry?.state === 'building') this.#entries.set(order.id, { ...entry, state: 'waiting' });
    }
  }

  /** Null where it was not carried to its end. The database's errors are thrown on: it is tried again after them. */
  async #endingOf(order: Order, signal: AbortSignal): Promise<BuildEnding | null> {
    try {
      return await this.#deps.build(order, signal);
    } catch (error) {
      if (signal.aborted) return null;
      const code = errorCodeOf(error);
      if (code.startsWith('DATABASE_')) throw error;
      if (code === '') this.#deps.onEvent({ kind: 'bug', order, error });
      return faultEnding(error);
    }
  }

  #forgetOldest(): void {
    const done = [...this.#entries.values()].filter(({ state }) => state === 'done');
    for (const { order } of done.slice(0, Math.max(0, done.length - mostRemembered))) {
      this.#entries.delete(order.id);
    }
  }
}

export const createOrderedBuilds = (deps: OrderedBuildsDeps): OrderedBuilds => new StoredOrders(deps);
