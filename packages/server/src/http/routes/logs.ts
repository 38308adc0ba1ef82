// The log of a build: as text, whole or a part of it, as a page, or the lines that hold a text. Nothing of it is run.
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { FoundLogLines, LogQuery, LogSearchQuery } from '@eka-ci/protocol/log';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { logAnswers } from '../log/log-answers.ts';
import { type LogPlace, searchLog } from '../log/log-search.ts';
import { closeLog, type Exchange, sendLog } from '../log/send-log.ts';
import { openLog } from '../log-store.ts';
import { type ApiApp, answers, badRequest, gone, notFound } from '../route.ts';

interface Wanted {
  readonly drv: string;
  readonly attempt: number | undefined;
  readonly format: 'text' | 'html' | undefined;
}

const createSending =
  (deps: HttpDeps) =>
  async ({ request, reply }: Exchange, wanted: Wanted): Promise<void> => {
    const drv = parseDrvParam(wanted.drv, deps.storeDir);
    const log = await openLog(deps, drv, wanted.attempt);
    const attempt = wanted.attempt === undefined ? '' : `attempt=${wanted.attempt}&`;
    const textPath = `/v1/logs/${encodeURIComponent(wanted.drv)}?${attempt}format=text`;
    await sendLog({ request, reply }, log, { title: derivationNameOf(drv), textPath, format: wanted.format });
  };

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
        await closeLog(log);
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
        response: { ...logAnswers, ...gone },
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
