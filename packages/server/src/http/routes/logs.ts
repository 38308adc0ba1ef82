// The log of a build: text, whole or a part of it, never anything that a browser would run.
import type { Readable } from 'node:stream';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { LogQuery } from '@eka-ci/protocol/log';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseByteRange } from '../byte-range.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import { isKnownToClient } from '../etag.ts';
import type { HttpDeps } from '../http-options.ts';
import { type OpenLog, openLog } from '../log-store.ts';
import { type ApiApp, badRequest, notFound, rangeNotSatisfiable } from '../route.ts';

interface Wanted {
  readonly drv: string;
  readonly attempt: number | undefined;
}

const text = { 'text/plain; charset=utf-8': { schema: z.string() } };

/** A range is of the log the client knows, or the client gets it all (RFC 9110, 13.1.5). */
const rangeOf = ({ headers }: FastifyRequest, log: OpenLog) => {
  const condition = headers['if-range'];
  const counts = condition === undefined || condition === log.etag;
  return parseByteRange(counts ? headers.range : undefined, log.sizeBytes);
};

/** The bytes that were there when the log was opened: it may grow meanwhile. Closes the file when it is read. */
const streamOf = ({ handle }: OpenLog, start: number, end: number): Readable =>
  handle.createReadStream({ start, end });

/** Null for an answer without a body; the file is closed then. */
const prepare = async (
  request: FastifyRequest,
  reply: FastifyReply,
  log: OpenLog,
): Promise<Readable | null> => {
  const close = async (): Promise<null> => {
    await log.handle.close();
    return null;
  };
  reply.headers({ etag: log.etag, 'cache-control': 'no-cache', 'accept-ranges': 'bytes' });
  if (isKnownToClient(request, log.etag)) {
    reply.code(304);
    return await close();
  }
  const range = rangeOf(request, log);
  if (range.kind === 'unsatisfiable') {
    await close();
    reply.header('content-range', `bytes */${log.sizeBytes}`);
    throw new HttpError('RANGE_NOT_SATISFIABLE', `the log has ${log.sizeBytes} bytes: ask for some of these`);
  }
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: log.sizeBytes - 1 };
  if (range.kind === 'part') {
    reply.code(206).header('content-range', `bytes ${start}-${end}/${log.sizeBytes}`);
  }
  reply.headers({ 'content-type': 'text/plain; charset=utf-8', 'content-length': String(end - start + 1) });
  if (request.method === 'HEAD' || end < start) return await close();
  return streamOf(log, start, end);
};

export const addLogRoutes = (app: ApiApp, deps: HttpDeps): void => {
  const url = '/v1/logs/:drv';
  const asked = { params: DrvParams, querystring: LogQuery };
  const send = async (request: FastifyRequest, reply: FastifyReply, wanted: Wanted): Promise<void> => {
    const log = await openLog(deps, parseDrvParam(wanted.drv, deps.storeDir), wanted.attempt);
    await reply.send(await prepare(request, reply, log));
  };
  app.get(
    url,
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'getLog',
        summary: 'The log of a build',
        description:
          'Text as the build printed it, escape sequences included. One byte range may be asked for.',
        tags: ['logs'],
        ...asked,
        response: {
          200: { description: 'The whole log', content: text },
          206: { description: 'A part of it', content: text },
          ...badRequest,
          ...notFound,
          ...rangeNotSatisfiable,
        },
      },
    },
    async (request, reply) => {
      await send(request, reply, { drv: request.params.drv, attempt: request.query.attempt });
      return reply;
    },
  );
  // Not the one Fastify would add: that one reads the log to its end to learn its length.
  app.head(url, { schema: { hide: true, ...asked } }, async (request, reply) => {
    await send(request, reply, { drv: request.params.drv, attempt: request.query.attempt });
    return reply;
  });
};
