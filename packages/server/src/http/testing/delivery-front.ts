// What a forge's webhook will meet, in small: proof of origin over the raw body, a row, then 202. For measuring the row.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type FastifyInstance, fastify } from 'fastify';
import type { DeliveryLine } from '../../pipeline/delivery-line.ts';

export interface FrontOptions {
  /** Null answers at once: the framework alone, with nothing proven and nothing kept. */
  readonly keep: { readonly line: Pick<DeliveryLine, 'receive'>; readonly secret: string } | null;
}

export const signatureOf = (body: Buffer, secret: string): Buffer =>
  createHmac('sha256', secret).update(body).digest();

const isSigned = (body: Buffer, signature: unknown, secret: string): boolean => {
  const given = Buffer.from(String(signature), 'hex');
  const right = signatureOf(body, secret);
  return given.length === right.length && timingSafeEqual(given, right);
};

/** `POST /deliveries` with the headers `x-delivery` (its id) and `x-signature` (hex). */
export const createDeliveryFront = ({ keep }: FrontOptions): FastifyInstance => {
  const app = fastify();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.post<{ Body: Buffer }>('/deliveries', async ({ body, headers }, reply) => {
    if (keep === null) return reply.code(202).send();
    if (!isSigned(body, headers['x-signature'], keep.secret)) return reply.code(401).send();
    const key = String(headers['x-delivery']);
    await keep.line.receive([{ key, payload: body.toString('utf8'), receivedAtMs: Date.now() }]);
    return reply.code(202).send();
  });
  return app;
};
