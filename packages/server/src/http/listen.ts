// Opens the app to the world: a TCP port and a unix socket, one set of routes, and an end within a bounded time.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { errorCodeOf } from '../lib/error-code.ts';
import { answerBrokenRequest } from './broken-request.ts';
import { ListenError } from './listen-error.ts';
import { createServer } from './node-http.ts';
import { trustConnections } from './operator.ts';
import { bindUnixSocket, type UnixSocketOptions } from './unix-socket.ts';
import { isWebSocketUpgrade, routeUpgrades } from './upgrade.ts';

export interface ListenOptions {
  /** Null: no port. Port 0 takes any free one. */
  readonly tcp: { readonly address: string; readonly port: number } | null;
  /** Null: no socket. */
  readonly socket: UnixSocketOptions | null;
  /** How long `close` waits for answers that are under way. */
  readonly closeTimeoutMs: number;
  /** Shorter ones are for tests. */
  readonly limits?: Partial<RequestLimits>;
}

/** Bounds of one request; a client that is slower than these is cut off. */
export interface RequestLimits {
  /** For the request line and all headers. */
  readonly headersTimeoutMs: number;
  /** For the whole request, body included. */
  readonly requestTimeoutMs: number;
  /** Of an idle connection between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** How often the bounds are looked at. */
  readonly checkIntervalMs: number;
}

export interface Listening {
  /** Where the port is open; null without one. */
  readonly tcp: { readonly address: string; readonly port: number } | null;
  /** Null without one. */
  readonly socketPath: string | null;
  /**
   * Takes no more connections, waits for what is under way, cuts it off at the limit, then closes the app. Idempotent.
   */
  close(): Promise<void>;
}

const defaultLimits: RequestLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 72_000,
  idleTimeoutMs: 120_000,
  checkIntervalMs: 5000,
};
const maxHeaderBytes = 16 * 1024;
const idleSweepMs = 20;

/** Connections that outlive the request they began with. */
export interface LongLived {
  /** Ends them all, within a bounded time. */
  close(): Promise<void>;
}

const createHttpServer = (app: FastifyInstance, limits: RequestLimits): Server => {
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      shouldUpgradeCallback: isWebSocketUpgrade,
    },
    (request, response) => app.routing(request, response),
  );
  server.setTimeout(limits.idleTimeoutMs);
  server.on('clientError', answerBrokenRequest);
  routeUpgrades(server, app);
  return server;
};

const portError = (error: unknown, address: string, port: number): ListenError => {
  const where = `${address}:${port}`;
  switch (errorCodeOf(error)) {
    case 'EADDRINUSE':
      return new ListenError(
        'LISTEN_PORT_IN_USE',
        `port ${port} of ${address} is in use: stop what listens there, or set web.port to a free one`,
        { cause: error },
      );
    case 'EACCES':
      return new ListenError(
        'LISTEN_PORT_FORBIDDEN',
        `this user may not open port ${port}: set web.port to 1024 or more`,
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ListenError(
        'LISTEN_ADDRESS_UNAVAILABLE',
        `${address} is no address of this machine: set web.address to one, for example 127.0.0.1`,
        { cause: error },
      );
    default:
      return new ListenError('LISTEN_FAILED', `${where} cannot be opened: ${String(error)}`, {
        cause: error,
      });
  }
};

const bindPort = async (server: Server, address: string, port: number): Promise<AddressInfo> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(portError(error, address, port)));
    server.listen({ host: address, port }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string')
    throw new ListenError('LISTEN_FAILED', 'no port was given');
  return bound;
};

/** Resolves when the last connection is gone, which it is by `timeoutMs`. */
const closeServer = async (server: Server, timeoutMs: number): Promise<void> => {
  if (!server.listening) return;
  const cutOff = setTimeout(() => server.closeAllConnections(), timeoutMs);
  // A connection that falls idle now would stay open for its keep-alive time, though it gets no further answer.
  const sweep = setInterval(() => server.closeIdleConnections(), idleSweepMs);
  try {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  } finally {
    clearTimeout(cutOff);
    clearInterval(sweep);
  }
};

/**
 * Both are open when it resolves; when it rejects, neither is, and the app is still usable.
 * @throws ListenError
 */
export const listen = async (
  app: FastifyInstance,
  options: ListenOptions,
  longLived?: LongLived,
): Promise<Listening> => {
  await app.ready();
  const limits = { ...defaultLimits, ...options.limits };
  const servers: Server[] = [];
  const closeServers = async (timeoutMs: number): Promise<void> => {
    await Promise.all([longLived?.close(), ...servers.map((server) => closeServer(server, timeoutMs))]);
  };
  const add = (): Server => {
    const server = createHttpServer(app, limits);
    servers.push(server);
    return server;
  };
  let tcp: Listening['tcp'] = null;
  try {
    if (options.socket !== null) {
      const server = add();
      trustConnections(server);
      await bindUnixSocket(server, options.socket);
    }
    if (options.tcp !== null) {
      const { address, port } = await bindPort(add(), options.tcp.address, options.tcp.port);
      tcp = { address, port };
    }
  } catch (error) {
    await closeServers(0);
    throw error;
  }
  let closed: Promise<void> | null = null;
  return {
    tcp,
    socketPath: options.socket?.path ?? null,
    close() {
      closed ??= closeServers(options.closeTimeoutMs).then(() => app.close());
      return closed;
    },
  };
};
