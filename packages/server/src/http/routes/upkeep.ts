// What operators do with the server itself: let it run dry, take a copy of its database.
import { DrainState } from '@eka-ci/protocol/operations';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { nameOfCaller } from '../../auth/caller.ts';
import { copyDatabase, type DatabaseCopy } from '../database-copy.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, conflict, forbidden, noRoom, notReady } from '../route.ts';
import type { HttpUpkeep } from '../upkeep-facts.ts';

const tags = ['operations'];

const drainState = ({ drain }: HttpUpkeep): DrainState => ({
  draining: drain.isDraining(),
  dry: drain.isDraining() && drain.isDry(),
});

const requireServing = ({ isReady }: HttpDeps): void => {
  if (!isReady()) throw new HttpError('SERVER_NOT_READY', 'the server starts or ends: try again in a moment');
};

const drainUrl = '/v1/drain';

const addDrainState = (app: ApiApp, { upkeep }: HttpDeps): void => {
  app.get(
    drainUrl,
    {
      schema: {
        operationId: 'getDrain',
        summary: 'Whether the server runs dry',
        tags,
        response: answers('As of now', DrainState),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return drainState(upkeep);
    },
  );
};

const addDrain = (app: ApiApp, deps: HttpDeps): void => {
  const { upkeep } = deps;
  app.post(
    drainUrl,
    {
      schema: {
        operationId: 'startDrain',
        summary: 'Let the server run dry',
        description:
          'Nothing begins any more; builds that run end; the change that is judged goes back to the queue. Changes are still taken and shown, so the server stays ready. A restart ends it.',
        tags,
        response: { ...answers('It runs dry', DrainState), ...forbidden, ...notReady },
      },
    },
    async (request) => {
      const who = nameOfCaller(await deps.access.requireAdmin(request));
      requireServing(deps);
      deps.actions.audit({
        who,
        action: 'drain',
        subject: 'the server',
        effective: !upkeep.drain.isDraining(),
      });
      upkeep.drain.start();
      return drainState(upkeep);
    },
  );
  app.delete(
    drainUrl,
    {
      schema: {
        operationId: 'endDrain',
        summary: 'Let work begin again',
        tags,
        response: { ...answers('It works', DrainState), ...forbidden, ...notReady },
      },
    },
    async (request) => {
      const who = nameOfCaller(await deps.access.requireAdmin(request));
      requireServing(deps);
      deps.actions.audit({
        who,
        action: 'undrain',
        subject: 'the server',
        effective: upkeep.drain.isDraining(),
      });
      upkeep.drain.undo();
      return drainState(upkeep);
    },
  );
};

/** Keeps the connection from being taken for a dead one while the copy is written. */
const signOfLifeMs = 5000;

/** Makes the copy; whoever asked hears meanwhile that the server still works on it. */
const copyWithSigns = async ({ upkeep }: HttpDeps, { raw }: FastifyReply): Promise<DatabaseCopy> => {
  const signs = setInterval(() => raw.writeProcessing(), signOfLifeMs);
  try {
    return await copyDatabase(upkeep.backup);
  } finally {
    clearInterval(signs);
  }
};

/** One at a time: each takes as much room as the database. */
const createSendCopy = (deps: HttpDeps) => {
  let copying = false;
  return async (reply: FastifyReply): Promise<void> => {
    if (copying) throw new HttpError('BACKUP_RUNNING', 'another copy is being made: wait for it to end');
    copying = true;
    try {
      const { handle, sizeBytes } = await copyWithSigns(deps, reply);
      reply.headers({
        'content-type': 'application/vnd.sqlite3',
        'content-length': String(sizeBytes),
        'cache-control': 'no-store',
      });
      // Settles when all is sent, or the client has gone.
      await reply.send(handle.createReadStream());
    } finally {
      copying = false;
    }
  };
};

const addBackup = (app: ApiApp, deps: HttpDeps): void => {
  const sendCopy = createSendCopy(deps);
  app.post(
    '/v1/backup',
    {
      schema: {
        operationId: 'backUp',
        summary: 'A copy of the database, as of one moment',
        description: 'The server goes on meanwhile. One copy is made at a time.',
        tags,
        response: {
          200: {
            description: 'A SQLite database',
            content: { 'application/vnd.sqlite3': { schema: z.string() } },
          },
          ...forbidden,
          ...conflict,
          ...notReady,
          ...noRoom,
        },
      },
    },
    async (request, reply) => {
      const who = nameOfCaller(await deps.access.requireAdmin(request));
      deps.actions.audit({ who, action: 'backup', subject: 'the database', effective: true });
      await sendCopy(reply);
      return reply;
    },
  );
};

export const addUpkeepRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addDrainState(app, deps);
  addDrain(app, deps);
  addBackup(app, deps);
};
