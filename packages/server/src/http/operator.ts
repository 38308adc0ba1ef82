// Who came over the unix socket: the one who can open it is an admin. Marked by the server that took the connection,
// since a closed TCP connection has no remote address either.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';

const trusted = new WeakSet<Socket>();

/** Every connection this server takes is an operator's. */
export const trustConnections = (server: Server): void => {
  server.on('connection', (socket) => trusted.add(socket));
};

export const isOperator = (request: FastifyRequest): boolean => trusted.has(request.raw.socket);
