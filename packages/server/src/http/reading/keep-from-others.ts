// What one caller is shown is not kept for another: by no cache on the way, whatever a route says of it.
import type { FastifyReply } from 'fastify';

/** Of an answer to somebody who may see more than everybody (RFC 9111, 5.2.2.7). */
export const keepFromOthers = (reply: FastifyReply): void => {
  const control = String(reply.getHeader('cache-control') ?? '');
  const said = control
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '' && one !== 'public');
  if (said.includes('no-store') || said.includes('private')) return;
  reply.header('cache-control', ['private', ...said].join(', '));
};
