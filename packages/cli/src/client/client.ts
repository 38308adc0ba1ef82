// Asks a running server over its unix socket or a URL: what it answers is checked before anybody sees it.
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { ErrorBody } from '@eka-ci/protocol/error';
import { ClientError } from './client-error.ts';
import type { Endpoint } from './find-server.ts';
import { authorizationOf } from './server-token.ts';

// An ES import reads every export of a module, and one of these loads a whole HTTP client: half of the start of a command.
const { request: requestHttp } = process.getBuiltinModule('node:http');

/** What a Zod schema is to us. */
export interface AnswerSchema<Answer> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: Answer } | { readonly success: false; readonly error: unknown };
}

export interface Client {
  /** The URL or the path of the socket: for people. */
  readonly address: string;
  /** @throws ClientError */
  readonly get: <Answer>(path: string, schema: AnswerSchema<Answer>) => Promise<Answer>;
  /**
   * Sends a JSON body; of `null` none. It is never sent twice: whether a request that broke was carried out is for the
   * caller to find out, or not to care about.
   * @throws ClientError
   */
  readonly post: <Answer>(path: string, body: unknown, schema: AnswerSchema<Answer>) => Promise<Answer>;
  /** @throws ClientError */
  readonly delete: <Answer>(path: string, schema: AnswerSchema<Answer>) => Promise<Answer>;
  /** The whole answer. @throws ClientError */
  readonly getText: (path: string) => Promise<string>;
  /** What a POST without a body gives, as it comes: bytes, of any length. @throws ClientError, also while it is read */
  readonly download: (path: string) => AsyncIterable<Buffer>;
  /**
   * The bytes of an answer from that one on, as they come; none where it has no more.
   * @throws ClientError, also while it is read
   */
  readonly streamFrom: (path: string, fromByte: number) => AsyncIterable<Buffer>;
  /** The answer as it comes, of any length, in pieces of text. @throws ClientError, also while it is read */
  readonly stream: (path: string) => AsyncIterable<string>;
}

export interface ClientLimits {
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** For one answer that is read as a whole. */
  readonly totalTimeoutMs: number;
  /** Of one answer that is read as a whole. */
  readonly maxBytes: number;
  /** When it aborts, whatever is being asked ends with an error at once. */
  readonly signal?: AbortSignal;
}

/** A summary of a change that rebuilds a whole package set has some ten MiB. */
export const defaultLimits: ClientLimits = {
  idleTimeoutMs: 30_000,
  totalTimeoutMs: 120_000,
  maxBytes: 128 * 1024 * 1024,
};
const maxErrorBytes = 64 * 1024;

/** What is asked for; a body is JSON text. */
interface Question {
  readonly path: string;
  /** @default GET */
  readonly method?: 'POST' | 'DELETE';
  readonly body?: string;
  /** The first byte of the answer that is wanted. @default 0 */
  readonly fromByte?: number;
}

const startRequest = (
  endpoint: Endpoint,
  { path, method, body, fromByte = 0 }: Question,
  options: RequestOptions,
) => {
  const headers = {
    accept: '*/*',
    ...(fromByte > 0 && { range: `bytes=${fromByte}-` }),
    ...(body !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }),
    ...(endpoint.kind === 'url' && endpoint.token !== undefined && authorizationOf(endpoint.token)),
  };
  // A connection for each request: the process ends when it has its answer.
  const all = { ...options, ...(method !== undefined && { method }), agent: false, headers };
  if (endpoint.kind === 'socket') {
    return requestHttp({
      ...all,
      socketPath: endpoint.path,
      path,
      headers: { ...all.headers, host: 'ekaci' },
    });
  }
  const url = `${endpoint.url}${path}`;
  return url.startsWith('https:') ? requestHttps(url, all) : requestHttp(url, all);
};

export const tooSlow = (addressText: string, cause?: unknown): ClientError =>
  new ClientError('SERVER_TOO_SLOW', `the server at ${addressText} takes too long: try again later`, {
    cause,
  });

interface Asking {
  readonly endpoint: Endpoint;
  readonly address: string;
  readonly limits: ClientLimits;
}

/** Resolves when the head of the answer is there, whatever its status. */
const send = ({ endpoint, address, limits }: Asking, question: Question, signal?: AbortSignal) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const options = { timeout: limits.idleTimeoutMs, ...(signal && { signal }) };
    const request = startRequest(endpoint, question, options);
    request.once('timeout', () => request.destroy(tooSlow(address)));
    request.once('response', resolve);
    request.on('error', (error) => {
      if (error instanceof ClientError) return reject(error);
      if (signal?.aborted === true) return reject(tooSlow(address, error));
      const message = `${address} cannot be reached (${error.message}): check the address, and that the server runs`;
      reject(new ClientError('SERVER_UNREACHABLE', message, { cause: error }));
    });
    request.end(question.body);
  });

/** The pieces of the body. */
async function* readBody(response: IncomingMessage, address: string, signal?: AbortSignal) {
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    if (error instanceof ClientError) throw error;
    if (signal?.aborted === true) throw tooSlow(address, error);
    const message = `the connection to ${address} broke before the answer was whole: try again`;
    throw new ClientError('ANSWER_CUT_SHORT', message, { cause: error });
  }
}

const readText = async (body: AsyncIterable<Buffer>, maxBytes: number): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new ClientError('ANSWER_TOO_LARGE', `the answer has more than ${maxBytes} bytes: ask for less`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const parseJson = <Answer>(text: string, schema: AnswerSchema<Answer>): Answer | null => {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
};

export const notUnderstood = (address: string, what: string): ClientError =>
  new ClientError(
    'ANSWER_NOT_UNDERSTOOD',
    `what ${address} answers is not understood (${what}): is it an EkaCI server, and of the version of this ekaci?`,
  );

/** What an answer that is no success says. */
export const refusal = async (response: IncomingMessage, address: string): Promise<ClientError> => {
  const text = await readText(readBody(response, address), maxErrorBytes);
  const body = parseJson(text, ErrorBody);
  if (body === null) return notUnderstood(address, `status ${response.statusCode}`);
  const { code, message, details = [] } = body.error;
  const lines = details.map((detail) => `\n  ${detail.path}: ${detail.message}`);
  return new ClientError('SERVER_REFUSED', `${code}: ${message}${lines.join('')}`);
};

/** It is there; it was made; it will be done; it is a part of it. */
const successes = [200, 201, 202, 206];
const noMoreBytes = 416;

/** @throws ClientError where the answer is no success */
const ask = async (asking: Asking, question: Question, signal?: AbortSignal): Promise<IncomingMessage> => {
  const response = await send(asking, question, signal);
  if (successes.includes(response.statusCode ?? 0)) return response;
  const error = await refusal(response, asking.address);
  response.destroy();
  throw error;
};

export const createClient = (endpoint: Endpoint, limits: ClientLimits = defaultLimits): Client => {
  const address = endpoint.kind === 'url' ? endpoint.url : endpoint.path;
  const asking: Asking = { endpoint, address, limits };
  const askText = async (question: Question): Promise<string> => {
    const timeout = AbortSignal.timeout(limits.totalTimeoutMs);
    const signal = limits.signal === undefined ? timeout : AbortSignal.any([timeout, limits.signal]);
    return readText(readBody(await ask(asking, question, signal), address, signal), limits.maxBytes);
  };
  const askJson = async <Answer>(question: Question, schema: AnswerSchema<Answer>): Promise<Answer> => {
    const answer = parseJson(await askText(question), schema);
    if (answer === null) throw notUnderstood(address, question.path);
    return answer;
  };
  return {
    address,
    getText: (path) => askText({ path }),
    get: (path, schema) => askJson({ path }, schema),
    post: (path, body, schema) =>
      askJson({ path, method: 'POST', ...(body !== null && { body: JSON.stringify(body) }) }, schema),
    delete: (path, schema) => askJson({ path, method: 'DELETE' }, schema),
    async *download(path) {
      yield* readBody(await ask(asking, { path, method: 'POST' }, limits.signal), address, limits.signal);
    },
    async *streamFrom(path, fromByte) {
      const response = await send(asking, { path, fromByte }, limits.signal);
      const { statusCode = 0 } = response;
      if (statusCode === noMoreBytes) {
        response.destroy();
        return;
      }
      if (!successes.includes(statusCode)) throw await refusal(response, address);
      // A proxy may give all of it to who asks for a part.
      let toSkip = statusCode === 206 ? 0 : fromByte;
      for await (const chunk of readBody(response, address, limits.signal)) {
        if (toSkip < chunk.length) yield chunk.subarray(toSkip);
        toSkip = Math.max(0, toSkip - chunk.length);
      }
    },
    async *stream(path) {
      // A character may be cut in two by the end of a piece.
      const decoder = new TextDecoder();
      const response = await ask(asking, { path }, limits.signal);
      for await (const chunk of readBody(response, address, limits.signal)) {
        yield decoder.decode(chunk, { stream: true });
      }
      yield decoder.decode();
    },
  };
};
