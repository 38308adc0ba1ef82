// Requests that want another protocol on their connection: they meet the same hooks, routes and errors as all others.
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ServerResponse } from './node-http.ts';

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent behind its request. */
  readonly head: Buffer;
  /** Nothing more is answered as HTTP; the connection is the caller's from here on. */
  readonly take: () => void;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** What a request wants its connection to become; null for one that wants nothing. */
export const upgradeOf = ({ raw }: FastifyRequest): Upgrade | null => upgrades.get(raw) ?? null;

/** Any other protocol is passed over, as a server may (RFC 9110, 7.8): curl offers h2c with plain requests. */
export const isWebSocketUpgrade = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';

/** Gives upgrades to the app as requests; whatever answers one instead of taking it ends the connection. */
export const routeUpgrades = (server: Server, app: FastifyInstance): void => {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const end = (): void => void socket.destroy();
    // Nobody else listens while the hooks are at work, and an error that nobody hears ends the server.
    socket.on('error', end);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.once('finish', () => socket.end(end));
    try {
      response.assignSocket(request.socket);
    } catch {
      // An answer to an earlier request is on its way here: a client that asks so has lost the connection.
      return end();
    }
    upgrades.set(request, {
      request,
      socket,
      head,
      take() {
        response.detachSocket(request.socket);
        socket.off('error', end);
      },
    });
    app.routing(request, response);
  });
};
