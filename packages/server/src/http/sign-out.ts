// Ends the session that a browser shows, wherever a copy of it may be.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { clearCookie, isSecure, readCookie } from './cookies.ts';
import type { HttpDeps } from './http-options.ts';
import { requireKnownOrigin } from './origins.ts';

/** Idempotent. @throws HttpError ORIGIN_REFUSED, DatabaseError */
export const endSession = async (
  { auth, options }: Pick<HttpDeps, 'auth' | 'options'>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> => {
  const cookie = { name: 'session', secure: isSecure(request, options.behindTls) } as const;
  const session = readCookie(request, cookie);
  if (session === null) return;
  requireKnownOrigin(request, options.origins);
  await auth.sessions.end(session);
  clearCookie(reply, cookie);
};
