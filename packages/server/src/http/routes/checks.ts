// The checks of changes: what came of each, and what they printed.
import { CheckLogQuery, CheckOfChange, CheckParams } from '@eka-ci/protocol/check';
import type { StoredCheckRun } from '../../database/database.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { logAnswers } from '../log/log-answers.ts';
import { type Exchange, sendLog } from '../log/send-log.ts';
import { openFile } from '../log-store.ts';
import { type ApiApp, answers, badRequest, notFound } from '../route.ts';

const toWire = (run: StoredCheckRun): CheckOfChange => ({
  id: run.id,
  changeId: run.changeId,
  name: run.name,
  state: run.state,
  status: run.status,
  reason: run.reason,
  durationMs: run.durationMs,
  kept: run.kept,
  queuedAtMs: run.queuedAtMs,
  endedAtMs: run.endedAtMs,
  logPath: run.logFile === null ? null : `/v1/checks/${run.id}/log`,
});

/** Of changes that whoever asks may see. @throws HttpError CHECK_NOT_FOUND */
const findRun = async ({ database }: HttpDeps, id: string): Promise<StoredCheckRun> => {
  const run = await database.checkRuns.find(id);
  if (run !== null) return run;
  throw new HttpError('CHECK_NOT_FOUND', 'there is no run of a check with this id, or it was long ago');
};

const createSending =
  (deps: HttpDeps) =>
  async (exchange: Exchange, id: string, format: 'text' | 'html' | undefined): Promise<void> => {
    const { logFile, name } = await findRun(deps, id);
    const log = logFile === null ? null : await openFile(deps.logsDir, logFile, 1);
    if (log === null) {
      throw new HttpError('LOG_NOT_FOUND', 'there is no log: the check was not run, or the log was removed');
    }
    await sendLog(exchange, log, { title: name, textPath: `/v1/checks/${id}/log?format=text`, format });
  };

const addLog = (app: ApiApp, deps: HttpDeps): void => {
  const url = '/v1/checks/:id/log';
  const asked = { params: CheckParams, querystring: CheckLogQuery };
  const send = createSending(deps);
  app.get(
    url,
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'getCheckLog',
        summary: 'What a check printed',
        description: 'Text as it was printed, of which one byte range may be asked for; or a page of it.',
        tags: ['checks'],
        ...asked,
        response: logAnswers,
      },
    },
    async (request, reply) => {
      await send({ request, reply }, request.params.id, request.query.format);
      return reply;
    },
  );
  // Not the one Fastify would add: that one reads the log to its end to learn its length.
  app.head(url, { schema: { hide: true, ...asked } }, async (request, reply) => {
    await send({ request, reply }, request.params.id, request.query.format);
    return reply;
  });
};

export const addCheckRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/checks/:id',
    {
      schema: {
        operationId: 'getCheck',
        summary: 'One run of a check, and what came of it',
        tags: ['checks'],
        params: CheckParams,
        response: { ...answers('The run', CheckOfChange), ...badRequest, ...notFound },
      },
    },
    async ({ params }) => toWire(await findRun(deps, params.id)),
  );
  addLog(app, deps);
};
