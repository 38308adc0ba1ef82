// A few connections to one daemon, shared by many short questions.
import type { DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';

export interface DaemonPoolOptions {
  readonly connect: (signal?: AbortSignal) => Promise<DaemonConnection>;
  /** Connections at once. @default 4 */
  readonly size?: number;
  /** An idle one is closed after this long; a daemon keeps a process for each. @default 30000 */
  readonly idleMs?: number;
}

export interface DaemonPool {
  readonly size: number;
  /**
   * Runs `work` on a connection that nobody else uses meanwhile; first come, first served. What it throws is passed on.
   * @throws what `connect` throws; the signal's reason while it waits; NixDaemonError NIX_DAEMON_CLOSED after `close`
   */
  use<Result>(work: (connection: DaemonConnection) => Promise<Result>, signal?: AbortSignal): Promise<Result>;
  /** Ends all connections, used ones too. */
  close(): Promise<void>;
}

const poolClosed = (): NixDaemonError =>
  new NixDaemonError('NIX_DAEMON_CLOSED', 'this pool of connections to the Nix daemon is closed');

interface Idle {
  readonly connection: DaemonConnection;
  readonly expiry: NodeJS.Timeout;
}

class Pool implements DaemonPool {
  readonly size: number;
  readonly #connect: DaemonPoolOptions['connect'];
  readonly #idleMs: number;
  readonly #idle: Idle[] = [];
  readonly #open = new Set<DaemonConnection>();
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  #isClosed = false;

  constructor({ connect, size = 4, idleMs = 30_000 }: DaemonPoolOptions) {
    this.#connect = connect;
    this.size = size;
    this.#idleMs = idleMs;
  }

  async use<Result>(
    work: (connection: DaemonConnection) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    await this.#takePlace(signal);
    try {
      const connection = this.#takeIdle() ?? (await this.#openAnother(signal));
      try {
        return await work(connection);
      } finally {
        this.#putBack(connection);
      }
    } finally {
      // Whoever waited longest has this place; nobody can come in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken--;
      else next();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { expiry } of this.#idle.splice(0)) clearTimeout(expiry);
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.all([...this.#open].map((connection) => connection.close()));
  }

  async #takePlace(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw poolClosed();
    if (this.#taken < this.size) this.#taken++;
    else await this.#waitForPlace(signal);
    if (this.#isClosed) throw poolClosed();
  }

  async #waitForPlace(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      const place = this.#waiting.indexOf(resolve);
      if (place >= 0) this.#waiting.splice(place, 1);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(resolve);
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #takeIdle(): DaemonConnection | null {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.expiry);
      if (idle.connection.isOpen) return idle.connection;
      this.#drop(idle.connection);
    }
    return null;
  }

  async #openAnother(signal: AbortSignal | undefined): Promise<DaemonConnection> {
    const connection = await this.#connect(signal);
    this.#open.add(connection);
    return connection;
  }

  #putBack(connection: DaemonConnection): void {
    if (this.#isClosed || !connection.isOpen || connection.isBusy) {
      this.#drop(connection);
      return;
    }
    const expiry = setTimeout(() => {
      const place = this.#idle.findIndex((idle) => idle.connection === connection);
      if (place >= 0) this.#idle.splice(place, 1);
      this.#drop(connection);
    }, this.#idleMs);
    this.#idle.push({ connection, expiry });
  }

  #drop(connection: DaemonConnection): void {
    this.#open.delete(connection);
    // Never rejects: what closing it comes to is of no interest to whoever was done with it.
    connection.close().catch(() => {});
  }
}

export const createDaemonPool = (options: DaemonPoolOptions): DaemonPool => new Pool(options);
