// One fake GitHub: its state, what answers for it, and the HTTP server in front of both.
import { setTimeout as pause } from 'node:timers/promises';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import * as z from 'zod';
import { advanceQueues } from './actions/merge-queue.ts';
import { type ApiDocument, readApiDocument } from './api/document.ts';
import { type CommandName, commands } from './control/commands.ts';
import { createHandlers } from './control/handlers.ts';
import { createGit } from './git/git.ts';
import { answerQuery } from './graphql/graphql.ts';
import { type ApiRequest, createApi, refusalBody } from './http/api.ts';
import type { Answer } from './http/call.ts';
import { createFaults, type FaultRule } from './http/faults.ts';
import { createJournal, type RequestRecord } from './http/journal.ts';
import { namePrincipal, readPrincipal } from './http/principal.ts';
import { createRateLimits } from './http/rate-limits.ts';
import { faultAnswer, sendAnswer, sendBroken } from './http/send.ts';
import { createRoutes } from './routes/routes.ts';
import { type Json, wordOf } from './state/json.ts';
import { Refusal } from './state/refusal.ts';
import { createClock, createWorld, type Occurrence, type World } from './state/world.ts';
import { findArchive, sendArchive } from './web/archives.ts';
import { createOAuth, type Page } from './web/oauth.ts';
import { answerBrowser } from './web/pages/pages.ts';
import { readGitRequest, serveGit } from './web/smart-http.ts';
import { refuseStranger } from './web/strangers.ts';
import { createOutbox } from './webhooks/outbox.ts';

export interface ServerOptions {
  /** For bare repositories; exists. */
  readonly folder: string;
  /** 0: any that is free. */
  readonly port: number;
  /** As GitHub Enterprise Server has it, or none as api.github.com. */
  readonly apiPrefix: '' | '/api/v3';
  readonly webhookTimeoutMs: number;
  /** Where git is looked for. */
  readonly searchPath: string;
}

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Runs tasks one after the other: what changes the world must not meet another half way. */
const createTurns = () => {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(task: () => Promise<T>): Promise<T> => {
    const next = last.then(task, task);
    last = next.catch(() => {}); // Its caller hears of it.
    return next;
  };
};

/** Commands that wait for others, or only look or switch, take no turn. */
const takesTurn = (name: string): boolean =>
  !/^(addFault|clearFaults|listHeld|releaseHeld|settle|signIn|read[A-Z]|set(Clock|RateLimit|SecondaryLimits|WebhookMode))/.test(
    name,
  );

const createParts = (options: ServerOptions) => {
  const clock = createClock();
  const document: ApiDocument = readApiDocument();
  const journal = createJournal(clock.now);
  const world: World = createWorld({
    clock,
    folder: options.folder,
    git: createGit(options.searchPath),
    urls: { api: '', web: '' },
    publish: (occurrence: Occurrence) => outbox.publish(occurrence),
  });
  const outbox = createOutbox({ world, document, journal, timeoutMs: options.webhookTimeoutMs });
  const limits = createRateLimits(clock.now);
  const faults = createFaults();
  const oauth = createOAuth(world);
  const turns = createTurns();
  const exclusively = <T>(task: () => Promise<T>): Promise<T> =>
    turns(async () => {
      const done = await task();
      await advanceQueues(world);
      return done;
    });
  const routes = createRoutes(outbox.redeliver);
  const api = createApi({ world, document, journal, limits, routes, exclusively });
  const handlers = createHandlers({ world, journal, faults, limits, outbox, oauth });
  return { world, journal, faults, oauth, exclusively, api, handlers, options };
};

type Parts = ReturnType<typeof createParts>;

const headersOf = (request: FastifyRequest): ApiRequest['headers'] =>
  Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );

const runCommand = async ({ handlers, exclusively }: Parts, name: string, body: string): Promise<Json> => {
  if (!Object.hasOwn(commands, name)) throw new Refusal(404, `the fake has no command ${name}`);
  const known = name as CommandName;
  const parsed = commands[known].safeParse(JSON.parse(body));
  if (!parsed.success) throw new Refusal(400, `${name}: ${z.prettifyError(parsed.error)}`);
  // The schema and the handler of one name belong together: the type of `handlers` says so.
  const handler = handlers[known] as (input: unknown) => unknown;
  const done = async (): Promise<unknown> => handler(parsed.data);
  return (await (takesTurn(name) ? exclusively(done) : done())) as Json;
};

const answerControl = async (parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const name = request.url.split('/').at(-1) ?? '';
  try {
    const given = await runCommand(parts, name, (request.body as string | undefined) ?? '{}');
    await reply.type('application/json').send(JSON.stringify({ given }));
  } catch (error) {
    const { status, message } =
      error instanceof Refusal
        ? error
        : { status: 500, message: error instanceof Error ? (error.stack ?? '') : '' };
    await reply
      .code(status)
      .type('application/json')
      .send(JSON.stringify({ message: `${name}: ${message}` }));
  }
};

const answerGraphql = async (
  { world, journal, exclusively }: Parts,
  request: ApiRequest,
): Promise<Answer> => {
  try {
    const principal = readPrincipal(world, request.headers['authorization']);
    request.record.principal = namePrincipal(principal);
    if (principal.kind === 'nobody')
      throw new Refusal(401, 'This endpoint requires you to be authenticated.');
    const body = JSON.parse(request.body) as Json;
    request.record.body = body;
    return {
      status: 200,
      body: await exclusively(() => answerQuery({ world, principal, journal }, body)),
    };
  } catch (error) {
    if (error instanceof SyntaxError)
      return {
        status: 400,
        body: { message: 'Problems parsing JSON', documentation_url: 'https://docs.github.com/graphql' },
      };
    if (!(error instanceof Refusal)) throw error;
    return { status: error.status, body: refusalBody(error, 'https://docs.github.com/graphql') };
  }
};

/** The fake itself is wrong: whoever reads the violations hears of it. */
const failLoudly = ({ journal }: Parts, what: string, error: unknown): void =>
  journal.record({
    kind: 'answer',
    what,
    problems: [error instanceof Error ? (error.stack ?? '') : String(error)],
  });

const neverAnswered = (reply: FastifyReply): void => {
  reply.hijack();
};

/** Answers one request of the API, or does to it what a fault says. */
const answerApi = async (
  parts: Parts,
  reply: FastifyReply,
  request: ApiRequest & { readonly isGraphql: boolean },
): Promise<void> => {
  const { world, faults } = parts;
  const answerIt = async (): Promise<Answer> => {
    try {
      return await (request.isGraphql ? answerGraphql(parts, request) : parts.api(request));
    } catch (error) {
      failLoudly(parts, `${request.method} ${request.url}`, error);
      return { status: 500, body: { message: 'the fake failed: see its violations' } };
    }
  };
  const rule: FaultRule | null = faults.take(request.method, request.url.split('?')[0] ?? '');
  const send = async (answer: Answer & { readonly text?: string }): Promise<void> => {
    request.record.status = answer.status;
    await sendAnswer(world, reply, answer);
  };
  if (rule === null) return send(await answerIt());
  const { fault, takesEffect } = rule;
  if (fault.kind === 'delay') {
    await pause(fault.delayMs);
    return send(await answerIt());
  }
  if (fault.kind === 'slowBody' || fault.kind === 'cutBody')
    return sendBroken(world, reply, { answer: await answerIt(), fault });
  if (takesEffect) await answerIt();
  const instead = faultAnswer(world, fault);
  if (instead === null) return neverAnswered(reply);
  return send(instead);
};

const sendPage = async (reply: FastifyReply, page: Page): Promise<void> => {
  if (page.kind === 'redirect') await reply.redirect(page.location, 302);
  else await reply.code(page.status).type('text/html; charset=utf-8').send(page.html);
};

const answerTokenRequest = async (
  { oauth }: Parts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> => {
  const body = (request.body as string | undefined) ?? '';
  const isJson = request.headers['content-type']?.includes('json') === true;
  const form = new URLSearchParams(isJson ? (JSON.parse(body) as Record<string, string>) : body);
  const answer = oauth.exchange(form);
  if (request.headers.accept?.includes('json') === true)
    return reply.type('application/json').send(JSON.stringify(answer));
  const text = Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, wordOf(value)]));
  await reply.type('application/x-www-form-urlencoded').send(new URLSearchParams(text).toString());
};

const answerGit = async (parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
  const { world, exclusively } = parts;
  const git = readGitRequest(new URL(request.url, 'http://fake.invalid'));
  if (git === null) return false;
  try {
    reply.hijack();
    await serveGit(world, { request: git, message: request.raw, response: reply.raw, exclusively });
  } catch (error) {
    const { raw } = reply;
    if (error instanceof Refusal)
      raw.writeHead(error.status, { ...error.headers, 'content-type': 'text/plain' }).end(error.message);
    else failLoudly(parts, `${request.method} ${request.url}`, error);
    if (!raw.writableEnded) raw.destroy();
  }
  return true;
};

const answerArchive = async (
  { world }: Parts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<boolean> => {
  try {
    const found = await findArchive(world, new URL(request.url, 'http://fake.invalid'));
    if (found === null) return false;
    if (found.kind === 'redirect') await reply.redirect(found.location, 302);
    else await sendArchive(world, found, reply.hijack().raw);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await reply.code(error.status).type('text/plain').send(error.message);
  }
  return true;
};

const answerPage = async (parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
  const { accept = '', cookie = '' } = request.headers;
  const answered = await answerBrowser(
    { world: parts.world, runCommand: (name, input) => runCommand(parts, name, JSON.stringify(input)) },
    {
      method: request.method,
      url: request.url,
      accept,
      cookie,
      body: (request.body as string | undefined) ?? '',
    },
  );
  if (answered === null) return false;
  await reply.code(answered.status).headers(answered.headers).send(answered.body);
  return true;
};

const answer = async (parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const { url, method } = request;
  const { journal, oauth, options, world } = parts;
  const refusal = refuseStranger(request);
  if (refusal !== null) {
    await reply.code(403).type('text/plain').send(refusal);
    return;
  }
  if (url.startsWith('/_fake/')) return answerControl(parts, request, reply);
  if (url.startsWith('/login/oauth/authorize'))
    return sendPage(reply, oauth.authorize(new URL(url, 'http://fake.invalid').searchParams));
  if (url.startsWith('/login/oauth/access_token')) return answerTokenRequest(parts, request, reply);
  if (await answerGit(parts, request, reply)) return;
  if (await answerArchive(parts, request, reply)) return;
  if (await answerPage(parts, request, reply)) return;
  const isGraphql = url === (options.apiPrefix === '' ? '/graphql' : '/api/graphql');
  if (!isGraphql && !url.startsWith(`${options.apiPrefix}/`)) {
    await reply.code(404).type('text/plain').send('Not Found');
    return;
  }
  const path = isGraphql ? '/graphql' : url.slice(options.apiPrefix.length);
  const record: RequestRecord = {
    atMs: world.clock.now(),
    method,
    path,
    principal: 'nobody',
    body: null,
    status: null,
  };
  journal.requests.push(record);
  const body = (request.body as string | undefined) ?? '';
  await answerApi(parts, reply, { method, url: path, headers: headersOf(request), body, record, isGraphql });
};

const gitTypes = ['application/x-git-upload-pack-request', 'application/x-git-receive-pack-request'];

export const startServer = async (options: ServerOptions): Promise<RunningServer> => {
  const parts = createParts(options);
  const app = fastify({ bodyLimit: 32 * 1024 * 1024, forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  // Left unread: git's own program reads it.
  app.addContentTypeParser(gitTypes, (_request, _payload, done) => done(null, undefined));
  app.all('/*', async (request, reply) => {
    await answer(parts, request, reply);
    return reply;
  });
  const listening = await app.listen({ host: '127.0.0.1', port: options.port });
  const url = new URL(listening).origin;
  parts.world.urls.web = url;
  parts.world.urls.api = url + options.apiPrefix;
  return { url, close: () => app.close() };
};
