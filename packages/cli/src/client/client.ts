// Asks a running server over its unix socket or a URL: what it answers is checked before anybody sees it.
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { ErrorBody } from '@eka-ci/protocol/error';
import { ClientError } from './client-error.ts';
import type { Endpoint } from './find-server.ts';

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
  /** The whole answer. @throws ClientError */
  readonly getText: (path: string) => Promise<string>;
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
}

/** A summary of a change that rebuilds a whole package set has some ten MiB. */
const defaultLimits: ClientLimits = {
  idleTimeoutMs: 30_000,
  totalTimeoutMs: 120_000,
  maxBytes: 128 * 1024 * 1024,
};
const maxErrorBytes = 64 * 1024;

const startRequest = (endpoint: Endpoint, path: string, options: RequestOptions) => {
  // A connection for each request: the process ends when it has its answer.
  const all = { ...options, agent: false, headers: { accept: '*/*' } };
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

const tooSlow = (addressText: string, cause?: unknown): ClientError =>
  new ClientError('SERVER_TOO_SLOW', `the server at ${addressText} takes too long: try again later`, {
    cause,
  });

interface Asking {
  readonly endpoint: Endpoint;
  readonly address: string;
  readonly limits: ClientLimits;
}

/** Resolves when the head of the answer is there, whatever its status. */
const send = ({ endpoint, address, limits }: Asking, path: string, signal?: AbortSignal) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const options = { timeout: limits.idleTimeoutMs, ...(signal && { signal }) };
    const request = startRequest(endpoint, path, options);
    request.once('timeout', () => request.destroy(tooSlow(address)));
    request.once('response', resolve);
    request.on('error', (error) => {
      if (error instanceof ClientError) return reject(error);
      if (signal?.aborted === true) return reject(tooSlow(address, error));
      const message = `${address} cannot be reached (${error.message}): check the address, and that the server runs`;
      reject(new ClientError('SERVER_UNREACHABLE', message, { cause: error }));
    });
    request.end();
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

const notUnderstood = (address: string, what: string): ClientError =>
  new ClientError(
    'ANSWER_NOT_UNDERSTOOD',
    `what ${address} answers is not understood (${what}): is it an EkaCI server, and of the version of this ekaci?`,
  );

const refusal = async (response: IncomingMessage, address: string): Promise<ClientError> => {
  const text = await readText(readBody(response, address), maxErrorBytes);
  const body = parseJson(text, ErrorBody);
  if (body === null) return notUnderstood(address, `status ${response.statusCode}`);
  const { code, message, details = [] } = body.error;
  const lines = details.map((detail) => `\n  ${detail.path}: ${detail.message}`);
  return new ClientError('SERVER_REFUSED', `${code}: ${message}${lines.join('')}`);
};

/** @throws ClientError where the answer is no success */
const ask = async (asking: Asking, path: string, signal?: AbortSignal): Promise<IncomingMessage> => {
  const response = await send(asking, path, signal);
  if (response.statusCode === 200) return response;
  const error = await refusal(response, asking.address);
  response.destroy();
  throw error;
};

export const createClient = (endpoint: Endpoint, limits: ClientLimits = defaultLimits): Client => {
  const address = endpoint.kind === 'url' ? endpoint.url : endpoint.path;
  const asking: Asking = { endpoint, address, limits };
  const getText = async (path: string): Promise<string> => {
    const signal = AbortSignal.timeout(limits.totalTimeoutMs);
    return readText(readBody(await ask(asking, path, signal), address, signal), limits.maxBytes);
  };
  return {
    address,
    getText,
    get: async (path, schema) => {
      const answer = parseJson(await getText(path), schema);
      if (answer === null) throw notUnderstood(address, path);
      return answer;
    },
    async *stream(path) {
      // A character may be cut in two by the end of a piece.
      const decoder = new TextDecoder();
      for await (const chunk of readBody(await ask(asking, path), address)) {
        yield decoder.decode(chunk, { stream: true });
      }
      yield decoder.decode();
    },
  };
};
