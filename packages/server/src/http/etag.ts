// Entity tags: the same answer is not sent twice to who has it already (RFC 9110, 8.8.3 and 13.1.2).
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

const digestLength = 22;

const etagOf = (text: string): string =>
  `"${createHash('sha256').update(text).digest('base64url').slice(0, digestLength)}"`;

const opaqueTags = (header: string): string[] =>
  header.split(',').map((tag) => tag.trim().replace(/^W\//, ''));

/** True where the client's `If-None-Match` names this tag, so that a 304 is enough. */
export const isKnownToClient = (request: FastifyRequest, etag: string): boolean => {
  const header = request.headers['if-none-match'];
  if (header === undefined) return false;
  return header.trim() === '*' || opaqueTags(header).includes(etag.replace(/^W\//, ''));
};

/** Tags every complete answer that does not forbid keeping it, and answers 304 where the client has it. */
export const tagAnswer = (request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown => {
  if (typeof payload !== 'string' || reply.statusCode !== 200 || reply.hasHeader('cache-control'))
    return payload;
  if (request.method !== 'GET' && request.method !== 'HEAD') return payload;
  const etag = etagOf(payload);
  reply.header('etag', etag).header('cache-control', 'no-cache');
  if (!isKnownToClient(request, etag)) return payload;
  reply.code(304);
  // For HEAD Fastify takes the text away itself.
  return request.method === 'HEAD' ? payload : null;
};
