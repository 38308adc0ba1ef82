// What hooks did after the builds of a derivation, and what they printed.
import { baseNameOf, derivationNameOf } from '@eka-ci/nix/store-path';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { HookLogParams, type HookRun, HookRunPage } from '@eka-ci/protocol/hook';
import { LogQuery } from '@eka-ci/protocol/log';
import { PageQuery } from '@eka-ci/protocol/page';
import type { StoredHookRun } from '../../database/database.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { logAnswers } from '../log/log-answers.ts';
import { type Exchange, sendLog } from '../log/send-log.ts';
import { openFile } from '../log-store.ts';
import { pageOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest, gone, notFound } from '../route.ts';

const pathOf = ({ drv, hook }: Pick<StoredHookRun, 'drv' | 'hook'>): string =>
  `/v1/logs/${encodeURIComponent(baseNameOf(drv))}/hooks/${encodeURIComponent(hook)}`;

const toWire = (run: StoredHookRun): HookRun => ({
  hook: run.hook,
  attempt: run.attempt,
  build: run.buildState,
  state: run.state,
  exitStatus: run.exitStatus,
  message: run.message,
  repository: run.repository,
  branch: run.branch,
  job: run.job,
  commit: run.commitSha,
  wantedAtMs: run.wantedAtMs,
  startedAtMs: run.startedAtMs,
  finishedAtMs: run.finishedAtMs,
  logPath: run.logFile === null ? null : `${pathOf(run)}?attempt=${run.attempt}`,
});

const dayMs = 24 * 60 * 60_000;

/** Why a log that was written is not there: where it is old enough, that is why. */
const missingLog = ({ upkeep: { logDays }, clock }: HttpDeps, { finishedAtMs }: StoredHookRun): HttpError =>
  logDays !== null && finishedAtMs !== null && clock() - finishedAtMs > logDays * dayMs
    ? new HttpError(
        'LOG_EXPIRED',
        `this log is gone: logs are kept for ${logDays} days (retention.build_log_days)`,
      )
    : new HttpError('LOG_NOT_FOUND', 'there is no log of this run of the hook: it was removed');

interface Wanted {
  readonly drv: string;
  readonly hook: string;
  readonly attempt?: number | undefined;
  readonly format?: 'text' | 'html' | undefined;
}

/** The newest run that has a log. @throws HttpError DRV_INVALID, LOG_NOT_FOUND */
const findRun = async (deps: HttpDeps, { drv, hook, attempt }: Wanted): Promise<StoredHookRun> => {
  const runs = await deps.database.hookRuns.of(parseDrvParam(drv, deps.storeDir));
  const ofHook = runs.filter((run) => run.hook === hook && run.logFile !== null);
  const found = ofHook.find((run) => attempt === undefined || run.attempt === attempt);
  if (found !== undefined) return found;
  const which = attempt === undefined ? 'a build' : `attempt ${attempt}`;
  throw new HttpError('LOG_NOT_FOUND', `no hook of this name has run here after ${which} of this derivation`);
};

const createSending =
  (deps: HttpDeps) =>
  async (exchange: Exchange, wanted: Wanted): Promise<void> => {
    const run = await findRun(deps, wanted);
    const log = run.logFile === null ? null : await openFile(deps.logsDir, run.logFile, run.attempt);
    if (log === null) throw missingLog(deps, run);
    const title = `${run.hook} after ${derivationNameOf(run.drv)}`;
    const textPath = `${pathOf(run)}?attempt=${run.attempt}&format=text`;
    await sendLog(exchange, log, { title, textPath, format: wanted.format });
  };

const addLog = (app: ApiApp, deps: HttpDeps): void => {
  const url = '/v1/logs/:drv/hooks/:hook';
  const asked = { params: HookLogParams, querystring: LogQuery };
  const send = createSending(deps);
  app.get(
    url,
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'getHookLog',
        summary: 'What a hook printed after a build',
        description:
          'Text as it was printed, secrets left out, of which one byte range may be asked for; or a page of it.',
        tags: ['logs'],
        ...asked,
        response: { ...logAnswers, ...gone },
      },
    },
    async (request, reply) => {
      await send({ request, reply }, { ...request.params, ...request.query });
      return reply;
    },
  );
  // Not the one Fastify would add: that one reads the log to its end to learn its length.
  app.head(url, { schema: { hide: true, ...asked } }, async (request, reply) => {
    await send({ request, reply }, { ...request.params, ...request.query });
    return reply;
  });
};

export const addHookRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/drvs/:drv/hooks',
    {
      schema: {
        operationId: 'listHookRuns',
        summary: 'Which hooks ran after its builds, newest first',
        tags: ['derivations'],
        params: DrvParams,
        querystring: PageQuery,
        response: { ...answers('One page', HookRunPage), ...badRequest, ...notFound },
      },
    },
    async ({ params, query }) => {
      const node = await deps.database.derivations.find(parseDrvParam(params.drv, deps.storeDir));
      if (node === null) {
        throw new HttpError('DRV_NOT_FOUND', 'no evaluation met this derivation so far: check its name');
      }
      const { items, total, nextCursor } = pageOf(await deps.database.hookRuns.of(node.path), query);
      return { total, runs: items.map(toWire), nextCursor };
    },
  );
  addLog(app, deps);
};
