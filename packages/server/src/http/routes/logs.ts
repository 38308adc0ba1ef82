// The log of a build: as text, whole or a part of it, as a page, or the lines that hold a text. Nothing of it is run.
import { Readable } from 'node:stream';
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { FoundLogLines, LogQuery, LogSearchQuery } from '@eka-ci/protocol/log';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { acceptsHtml } from '../accepts-html.ts';
import { parseByteRange } from '../byte-range.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import { isKnownToClient } from '../etag.ts';
import type { HttpDeps } from '../http-options.ts';
import { renderLog } from '../log/log-html.ts';
import { type LogPlace, searchLog } from '../log/log-search.ts';
import { type OpenLog, openLog } from '../log-store.ts';
import { logStylePath } from '../pages.ts';
import { type ApiApp, answers, badRequest, gone, notFound, rangeNotSatisfiable } from '../route.ts';
import { pageHeaders } from '../security-headers.ts';

interface Wanted {
  readonly drv: string;
  readonly attempt: number | undefined;
  readonly format: 'text' | 'html' | undefined;
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** A range is of the log the client knows, or the client gets it all (RFC 9110, 13.1.5). */
const rangeOf = ({ headers }: FastifyRequest, log: OpenLog) => {
  const condition = headers['if-range'];
  const counts = condition === undefined || condition === log.etag;
  return parseByteRange(counts ? headers.range : undefined, log.sizeBytes);
};

const close = async (log: OpenLog): Promise<null> => {
  await log.close();
  return null;
};

/** Null for an answer without a body; the file is closed then. */
const prepareText = async ({ request, reply }: Exchange, log: OpenLog): Promise<Readable | null> => {
  reply.headers({ etag: log.etag, 'accept-ranges': 'bytes' });
  if (isKnownToClient(request, log.etag)) {
    reply.code(304);
    return await close(log);
  }
  const range = rangeOf(request, log);
  if (range.kind === 'unsatisfiable') {
    await close(log);
    reply.header('content-range', `bytes */${log.sizeBytes}`);
    throw new HttpError('RANGE_NOT_SATISFIABLE', `the log has ${log.sizeBytes} bytes: ask for some of these`);
  }
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: log.sizeBytes - 1 };
  if (range.kind === 'part') {
    reply.code(206).header('content-range', `bytes ${start}-${end}/${log.sizeBytes}`);
  }
  reply.headers({ 'content-type': 'text/plain; charset=utf-8', 'content-length': String(end - start + 1) });
  if (request.method === 'HEAD' || end < start) return await close(log);
  return log.stream(start, end);
};

/** As `prepareText`. Of unknown length, so without ranges. */
const prepareHtml = async (
  { request, reply }: Exchange,
  log: OpenLog,
  page: { readonly name: string; readonly textPath: string },
): Promise<Readable | null> => {
  const etag = log.etag.replace(/"$/, '-html"');
  reply.headers({ etag, ...pageHeaders });
  if (isKnownToClient(request, etag)) {
    reply.code(304);
    return await close(log);
  }
  reply.header('content-type', 'text/html; charset=utf-8');
  if (request.method === 'HEAD') return await close(log);
  const shown = { title: `${page.name}: log`, textPath: page.textPath, stylePath: logStylePath };
  if (log.sizeBytes === 0) {
    await close(log);
    return Readable.from(renderLog([], shown));
  }
  const bytes = log.stream(0, log.sizeBytes - 1);
  const html = Readable.from(renderLog(bytes, shown));
  // Also where the client goes before anything was read: what has not begun closes nothing behind it.
  return html.once('close', () => bytes.destroy());
};

const createSending =
  (deps: HttpDeps) =>
  async ({ request, reply }: Exchange, wanted: Wanted): Promise<void> => {
    const drv = parseDrvParam(wanted.drv, deps.storeDir);
    const log = await openLog(deps, drv, wanted.attempt);
    const asHtml = (wanted.format ?? (acceptsHtml(request.headers.accept) ? 'html' : 'text')) === 'html';
    reply.headers({ 'cache-control': 'no-cache', vary: 'Accept' });
    const attempt = wanted.attempt === undefined ? '' : `attempt=${wanted.attempt}&`;
    const textPath = `/v1/logs/${encodeURIComponent(wanted.drv)}?${attempt}format=text`;
    const body = asHtml
      ? prepareHtml({ request, reply }, log, { name: derivationNameOf(drv), textPath })
      : prepareText({ request, reply }, log);
    await reply.send(await body);
  };

const text = { 'text/plain; charset=utf-8': { schema: z.string() } };
const html = { 'text/html; charset=utf-8': { schema: z.string() } };

const placeForm = /^(0|[1-9][0-9]{0,14})-([1-9][0-9]{0,14})$/;

const placeOf = (cursor: string | undefined): LogPlace => {
  if (cursor === undefined) return { offset: 0, line: 1 };
  const [, offset, line] = placeForm.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (offset === undefined || line === undefined) {
    throw new HttpError('CURSOR_INVALID', 'this cursor is not one of ours: start again without one');
  }
  return { offset: Number(offset), line: Number(line) };
};

const cursorOf = (place: LogPlace | null): string | null =>
  place === null ? null : Buffer.from(`${place.offset}-${place.line}`).toString('base64url');

/** Some tenths of a second of work. */
const maxSearchedBytes = 16 * 1024 * 1024;

const addSearch = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/logs/:drv/search',
    {
      schema: {
        operationId: 'searchLog',
        summary: 'The lines of a log that hold a text',
        description: 'Of each line the first MiB is searched, escape sequences left out.',
        tags: ['logs'],
        params: DrvParams,
        querystring: LogSearchQuery,
        response: {
          ...answers('One page, in the order of the log', FoundLogLines),
          ...badRequest,
          ...notFound,
        },
      },
    },
    async ({ params, query }) => {
      const from = placeOf(query.cursor);
      const log = await openLog(deps, parseDrvParam(params.drv, deps.storeDir), query.attempt);
      if (from.offset >= log.sizeBytes) {
        await close(log);
        return { lines: [], nextCursor: null };
      }
      const asked = { q: query.q, limit: query.limit, from, maxBytes: maxSearchedBytes };
      const { lines, next } = await searchLog(log.stream(from.offset, log.sizeBytes - 1), asked);
      return { lines: [...lines], nextCursor: cursorOf(next) };
    },
  );
};

export const addLogRoutes = (app: ApiApp, deps: HttpDeps): void => {
  const url = '/v1/logs/:drv';
  const asked = { params: DrvParams, querystring: LogQuery };
  const send = createSending(deps);
  app.get(
    url,
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'getLog',
        summary: 'The log of a build',
        description:
          'Text as the build printed it, escape sequences included, of which one byte range may be asked for; or a page of it.',
        tags: ['logs'],
        ...asked,
        response: {
          200: { description: 'The whole log', content: { ...text, ...html } },
          206: { description: 'A part of it', content: text },
          ...badRequest,
          ...notFound,
          ...gone,
          ...rangeNotSatisfiable,
        },
      },
    },
    async (request, reply) => {
      await send(
        { request, reply },
        { ...request.params, attempt: undefined, format: undefined, ...request.query },
      );
      return reply;
    },
  );
  // Not the one Fastify would add: that one reads the log to its end to learn its length.
  app.head(url, { schema: { hide: true, ...asked } }, async (request, reply) => {
    await send(
      { request, reply },
      { ...request.params, attempt: undefined, format: undefined, ...request.query },
    );
    return reply;
  });
  addSearch(app, deps);
};
