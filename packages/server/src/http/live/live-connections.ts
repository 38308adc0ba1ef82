// All live connections: how many there may be, what they share, and their end.
import type { IncomingMessage } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import type { LiveFeed } from '../../pipeline/live/live-feed.ts';
import { HttpError } from '../errors.ts';
import type { LiveReading } from '../reading/live-reader.ts';
import type { Upgrade } from '../upgrade.ts';
import { LiveConnection } from './live-connection.ts';

export interface LiveLimits {
  readonly maxConnections: number;
  /** Of one address; who came over the unix socket has none. */
  readonly maxPerAddress: number;
  /** Of one connection. */
  readonly maxSubscriptions: number;
  /** How often each connection is asked for a sign of life. */
  readonly probeIntervalMs: number;
}

export interface LiveConnectionsDeps {
  readonly feed: LiveFeed;
  /** Without a slash at its end. */
  readonly storeDir: string;
  /** Other ones are for tests. */
  readonly limits?: Partial<LiveLimits>;
}

/** Counted from the start of the server, but for the first two. */
export interface LiveCounts {
  readonly connections: number;
  readonly subscriptions: number;
  readonly sent: number;
  readonly skipped: number;
}

export interface LiveConnections {
  readonly logs: LiveFeed['logs'];
  /**
   * Makes the request's connection a live one.
   * @param address of the client; null for who came over the unix socket
   * @param reading what they may hear
   * @throws HttpError LIVE_CONNECTIONS_EXCEEDED, SERVER_NOT_READY; the connection is as it was then
   */
  open(upgrade: Upgrade, address: string | null, reading: LiveReading): void;
  counts(): LiveCounts;
  /** Tells all clients that the server ends; resolves when all are gone, within a second. Idempotent. */
  close(): Promise<void>;
}

const defaultLimits: LiveLimits = {
  maxConnections: 1000,
  maxPerAddress: 100,
  maxSubscriptions: 1000,
  probeIntervalMs: 30_000,
};
/** Kept for who came over the unix socket: an operator sees what goes on also when everybody else looks. */
const operatorReserve = 100;
const maxMessageBytes = 64 * 1024;
/** What comes within so long is sent together. */
const flushIntervalMs = 25;
/** Then the server's other work has its turn, for so many times as long. */
const longestFlushMs = 3;
const restPerFlush = 9;
const closeTimeoutMs = 1000;

/**
 * Calls `flush` of each connection that has something to send, in turn. A hundred readers of one loud build take a
 * small share of the server's time, however fast they read: what does not fit is left out.
 */
const createFlushClock = () => {
  const waiting = new Set<LiveConnection>();
  let timer: NodeJS.Timeout | null = null;
  let notBeforeMs = Number.NEGATIVE_INFINITY;
  const schedule = (): void => {
    timer ??= setTimeout(flush, Math.max(0, notBeforeMs - performance.now()));
  };
  const flush = (): void => {
    timer = null;
    const startedAtMs = performance.now();
    let tookMs = 0;
    for (const connection of waiting) {
      waiting.delete(connection);
      connection.flush();
      tookMs = performance.now() - startedAtMs;
      if (tookMs > longestFlushMs) break;
    }
    notBeforeMs = performance.now() + Math.max(flushIntervalMs, tookMs * restPerFlush);
    if (waiting.size > 0) schedule();
  };
  return (connection: LiveConnection): void => {
    waiting.add(connection);
    schedule();
  };
};

class Connections implements LiveConnections {
  readonly #deps: LiveConnectionsDeps;
  readonly #limits: LiveLimits;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
  });
  readonly #open = new Map<LiveConnection, string | null>();
  readonly #perAddress = new Map<string, number>();
  readonly #onWaiting = createFlushClock();
  readonly #probing: NodeJS.Timeout;
  #gone = { sent: 0, skipped: 0 };
  #closed: Promise<void> | null = null;
  #onEmpty: () => void = () => {};

  constructor(deps: LiveConnectionsDeps) {
    this.#deps = deps;
    this.#limits = { ...defaultLimits, ...deps.limits };
    this.#webSockets.on('wsClientError', (_error, socket) => socket.destroy());
    this.#probing = setInterval(() => {
      for (const connection of this.#open.keys()) connection.probe();
    }, this.#limits.probeIntervalMs).unref();
  }

  get logs(): LiveFeed['logs'] {
    return this.#deps.feed.logs;
  }

  open({ request, socket, head, take }: Upgrade, address: string | null, reading: LiveReading): void {
    this.#check(request, address);
    take();
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#add(webSocket, socket, { address, reading });
    });
  }

  counts(): LiveCounts {
    const open = [...this.#open.keys()];
    const sum = (of: (connection: LiveConnection) => number): number =>
      open.reduce((total, connection) => total + of(connection), 0);
    return {
      connections: open.length,
      subscriptions: sum((connection) => connection.subscriptions),
      sent: this.#gone.sent + sum(({ totals }) => totals.sent),
      skipped: this.#gone.skipped + sum(({ totals }) => totals.skipped),
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#probing);
    if (this.#open.size === 0) return;
    const cutOff = setTimeout(() => {
      for (const connection of this.#open.keys()) connection.terminate();
    }, closeTimeoutMs);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      for (const connection of [...this.#open.keys()]) connection.goAway();
    });
    clearTimeout(cutOff);
  }

  #add(
    webSocket: WebSocket,
    socket: Upgrade['socket'],
    { address, reading }: { readonly address: string | null; readonly reading: LiveReading },
  ): void {
    const { feed, storeDir } = this.#deps;
    const { maxSubscriptions } = this.#limits;
    const connection = new LiveConnection({
      webSocket,
      socket,
      feed,
      reading,
      storeDir,
      maxSubscriptions,
      onWaiting: this.#onWaiting,
    });
    this.#open.set(connection, address);
    if (address !== null) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    webSocket.once('close', () => this.#remove(connection));
  }

  #remove(connection: LiveConnection): void {
    const address = this.#open.get(connection) ?? null;
    this.#open.delete(connection);
    const { sent, skipped } = connection.totals;
    this.#gone = { sent: this.#gone.sent + sent, skipped: this.#gone.skipped + skipped };
    if (address !== null) {
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    }
    if (this.#open.size === 0) this.#onEmpty();
  }

  #check({ headers }: IncomingMessage, address: string | null): void {
    // The only faults that a handshake can still have: they are answered as all others are.
    const key = headers['sec-websocket-key'] ?? '';
    if (!/^[+/0-9A-Za-z]{22}==$/.test(key) || headers['sec-websocket-version'] !== '13') {
      throw new HttpError('REQUEST_INVALID', 'this is no handshake of a WebSocket of version 13');
    }
    if (this.#closed !== null) throw new HttpError('SERVER_NOT_READY', 'the server ends: try again later');
    const { maxConnections, maxPerAddress } = this.#limits;
    const most = address === null ? maxConnections + operatorReserve : maxConnections;
    const ofAddress = address === null ? 0 : (this.#perAddress.get(address) ?? 0);
    if (this.#open.size < most && ofAddress < maxPerAddress) return;
    throw new HttpError(
      'LIVE_CONNECTIONS_EXCEEDED',
      'there are too many live connections: close some, or try again later',
    );
  }
}

export const createLiveConnections = (deps: LiveConnectionsDeps): LiveConnections => new Connections(deps);
