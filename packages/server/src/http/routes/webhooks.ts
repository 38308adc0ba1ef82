// Where forges tell what happens: proof, then a row on disk, then the answer. What follows from it comes later.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ForgeEvent } from '../../forge/forge-event.ts';
import type { DeliveryReading, HostedForge, RawDelivery } from '../../forge/hosted-forge.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import type { Logger } from '../../lib/logger.ts';
import { hostedKey, writePayload } from '../../pipeline/hosted/hosted-delivery.ts';
import { HttpError, type HttpErrorCode } from '../errors.ts';
import type { ApiApp } from '../route.ts';
import { type BodyRoom, createBodyRoom, type RawBody, takeRawBodies } from '../webhook-body.ts';
import type { WebhookDeps } from '../webhook-deps.ts';
import type { WebhookOutcome } from '../webhook-metrics.ts';

const Answer = z.object({ outcome: z.string() });
const maxBytesAtOnce = 256 * 1024 * 1024;

const codeOfStatus: Readonly<Record<Extract<DeliveryReading, { kind: 'refused' }>['status'], HttpErrorCode>> =
  {
    400: 'REQUEST_INVALID',
    401: 'WEBHOOK_UNPROVEN',
    413: 'BODY_TOO_LARGE',
    415: 'MEDIA_TYPE_UNSUPPORTED',
  };

interface Read {
  readonly forge: HostedForge;
  readonly reading: DeliveryReading;
}

/** Forges of one kind share a path: it is from the one that can prove it. */
const readBy = (forges: readonly HostedForge[], delivery: RawDelivery): Read => {
  let refused: Read | null = null;
  for (const forge of forges) {
    const reading = forge.read(delivery);
    if (reading.kind !== 'refused' || reading.status !== 401) return { forge, reading };
    refused ??= { forge, reading };
  }
  if (refused === null) throw new Error('a webhook has an address, and no forge has it');
  return refused;
};

/** Null where it is of no one repository. */
const repositoryOf = (event: ForgeEvent): string | null =>
  'repository' in event ? event.repository.name : null;

const isNotNow = (error: unknown): boolean => /^(?:DATABASE|DELIVERIES)_/.test(errorCodeOf(error));

/** Each reason at most once a minute: anybody can send what proves nothing. */
const createSparingWarning = (logger: Logger, clock: () => number) => {
  const saidAtMs = new Map<string, number>();
  return (host: string, { reason, message }: { readonly reason: string; readonly message: string }): void => {
    const key = `${host} ${reason}`;
    const nowMs = clock();
    if (Math.abs(nowMs - (saidAtMs.get(key) ?? -Infinity)) < 60_000) return;
    saidAtMs.set(key, nowMs);
    logger.warn('a webhook was refused; more of the kind are not told of for a minute', {
      forge: host,
      reason,
      why: message,
    });
  };
};

class Webhooks {
  readonly #deps: WebhookDeps;
  readonly #warn: ReturnType<typeof createSparingWarning>;

  constructor(deps: WebhookDeps) {
    this.#deps = deps;
    this.#warn = createSparingWarning(deps.logger, deps.clock);
  }

  /** @throws HttpError for what is not taken */
  async receive(forges: readonly HostedForge[], delivery: RawDelivery): Promise<WebhookOutcome> {
    const startedAtMs = performance.now();
    const { forge, reading } = readBy(forges, delivery);
    const answered = (outcome: WebhookOutcome): WebhookOutcome => {
      const event = reading.kind === 'refused' ? 'none' : reading.name;
      const durationMs = performance.now() - startedAtMs;
      this.#deps.metrics.answered(forge.host, { event, outcome, durationMs });
      return outcome;
    };
    switch (reading.kind) {
      case 'refused':
        answered('refused');
        throw this.#refuse(forge, reading);
      case 'ignored':
        this.#deps.logger.debug(`a webhook was ignored: it ${reading.why}`, {
          forge: forge.host,
          event: reading.name,
        });
        return answered('ignored');
      case 'event':
        try {
          return answered(await this.#take(forge, reading));
        } catch (error) {
          if (!isNotNow(error)) throw error;
          answered('busy');
          throw new HttpError('SERVER_NOT_READY', 'this cannot be kept now: send it again in a moment', {
            cause: error,
          });
        }
    }
  }

  #refuse(forge: HostedForge, reading: Extract<DeliveryReading, { kind: 'refused' }>): HttpError {
    const { status, reason, message } = reading;
    if (status === 401) this.#deps.metrics.unproven(forge.host, reason);
    this.#warn(forge.host, reading);
    return new HttpError(codeOfStatus[status], message);
  }

  async #take(
    forge: HostedForge,
    { id, name, event }: Extract<DeliveryReading, { kind: 'event' }>,
  ): Promise<WebhookOutcome> {
    const { deliveries, onReceived, logger, clock } = this.#deps;
    const { host } = forge;
    if (event.kind === 'ping') {
      logger.info('a forge tells that its webhooks come here', { forge: host });
      return 'ignored';
    }
    const repository = repositoryOf(event);
    if (repository !== null && !forge.isPermitted(repository, null)) {
      logger.info('a webhook is dropped: the permissions do not name its repository', {
        forge: host,
        repository,
        event: name,
      });
      return 'not-permitted';
    }
    const delivery = { key: hostedKey(host, id), payload: writePayload(event), receivedAtMs: clock() };
    const [kept] = await deliveries.receive([delivery]);
    if (kept === 'done') return 'repeated';
    onReceived(delivery);
    return kept === 'unfinished' ? 'repeated' : 'accepted';
  }
}

/** What a refusal leaves unread is not to be taken for another request. */
const answerRefusals = (scope: FastifyInstance): void => {
  scope.setErrorHandler((error: unknown, _request: FastifyRequest, reply: FastifyReply) => {
    const code = errorCodeOf(error);
    if (code === 'SERVER_NOT_READY' || code === 'BODY_TOO_LARGE') reply.header('connection', 'close');
    if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      throw new HttpError(
        'MEDIA_TYPE_UNSUPPORTED',
        'send application/json, and name it as the content type',
        {
          cause: error,
        },
      );
    }
    // To the handler of all routes.
    throw error;
  });
};

const addPath = (
  app: ApiApp,
  webhooks: Webhooks,
  {
    path,
    forges,
    room,
  }: { readonly path: string; readonly forges: readonly HostedForge[]; readonly room: BodyRoom },
): void => {
  const maxBytes = Math.max(...forges.map(({ maxBodyBytes }) => maxBodyBytes));
  app.register(async (scope) => {
    takeRawBodies(scope, { maxBytes, room });
    answerRefusals(scope);
    scope.post<{ Body: RawBody | undefined }>(
      path,
      // A forge has few addresses and much to tell: whoever can prove that they are it may tell all of it.
      { schema: { hide: true }, config: { rateLimit: false } },
      async ({ body, headers }, reply) => {
        try {
          const outcome = await webhooks.receive(forges, { headers, body: body?.bytes ?? Buffer.alloc(0) });
          reply.header('cache-control', 'no-store');
          if (outcome === 'ignored') return await reply.code(204).send();
          return await reply.code(202).send(Answer.parse({ outcome }));
        } finally {
          body?.giveBack();
        }
      },
    );
  });
};

/** One address for each path that a forge of `deps` sends to. */
export const addWebhookRoutes = (app: ApiApp, deps: WebhookDeps): void => {
  const webhooks = new Webhooks(deps);
  const room = createBodyRoom(deps.maxBytesAtOnce ?? maxBytesAtOnce);
  const byPath = Map.groupBy(deps.forges, ({ webhookPath }) => webhookPath);
  for (const [path, forges] of byPath) addPath(app, webhooks, { path, forges, room });
};
