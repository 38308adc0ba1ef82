// Requests of this process to a cache over HTTP: only to addresses that were judged, over connections that are kept.
import { readFileSync } from 'node:fs';
import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { checkRedirect, type DestinationGuard, pinnedLookup } from '../config/destination-guard.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { CacheError } from './cache.ts';
import { checkDestination } from './destination-check.ts';
import { httpFault, parseRetryAfter, passing, refused } from './push-fault.ts';

export type Method = 'GET' | 'HEAD' | 'PUT';

/** What proves who asks, for one request; goes to the destination itself, and to nobody it redirects to. */
export type Authorize = (request: {
  readonly method: Method;
  readonly url: URL;
}) => Readonly<Record<string, string>>;

export interface WebRequest {
  readonly method: Method;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable | string;
}

export interface WebAnswer {
  readonly status: number;
  /** To be read to its end, or destroyed. */
  readonly body: IncomingMessage;
}

export interface WebClient {
  /**
   * Follows redirects of questions, a few, each judged first; those of uploads are answers.
   * @throws CacheError where there is no answer; the signal's reason
   */
  send(request: WebRequest, signal: AbortSignal): Promise<WebAnswer>;
  /** Ends all connections. */
  close(): void;
}

export interface WebClientDeps {
  readonly guard: DestinationGuard;
  /** Judged now. */
  readonly destination: string;
  /** What is sent to its host goes to the addresses that were judged. */
  readonly origin: string;
  readonly authorize: Authorize;
  /** A file of certificates that are trusted beside the usual ones. */
  readonly certificatesFile: string | undefined;
}

const maxSockets = 24;
const maxRedirects = 5;
/** Of a connection on which nothing moves: whoever was sent much may be long about putting it away. */
const silenceMs = 5 * 60_000;

const readCertificates = (origin: URL, file: string | undefined): { ca?: string[] } => {
  if (file === undefined || origin.protocol !== 'https:') return {};
  try {
    return { ca: [...rootCertificates, readFileSync(file, 'utf8')] };
  } catch (error) {
    throw new CacheError(
      passing(`the file of certificates ${file} cannot be read: ${errorCodeOf(error)}`),
      error,
    );
  }
};

const noAnswer = (url: URL, error: unknown): CacheError => {
  const code = errorCodeOf(error);
  const words = error instanceof Error && error.message !== '' ? error.message : code;
  return new CacheError(passing(`no answer from ${url.host}: ${words === '' ? 'it hung up' : words}`), error);
};

/** Node's own option for that watches the stream as well, which costs a tenth of a small request. */
const endWith = (signal: AbortSignal, request: ClientRequest): ClientRequest => {
  const end = (): void => void request.destroy();
  signal.addEventListener('abort', end, { once: true });
  return request.once('close', () => signal.removeEventListener('abort', end));
};

const untilAnswered = (request: ClientRequest, url: URL, body: Readable | string | undefined) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    let isAnswered = false;
    const fail = (error: Error): void => {
      if (!isAnswered) reject(noAnswer(url, error));
    };
    request.once('response', (answer) => {
      isAnswered = true;
      resolve(answer);
    });
    request.on('error', fail);
    // All that is told of an answer 101, which nobody asked for: neither error nor time-out, and no signal ends it.
    request.once('close', () => {
      if (!isAnswered) fail(new Error('it hung up'));
    });
    request.setTimeout(silenceMs, () => request.destroy(new Error(`silent for ${silenceMs / 1000} s`)));
    if (body === undefined || typeof body === 'string') {
      request.end(body);
      return;
    }
    body.once('error', (error) => request.destroy(error));
    body.once('close', () => {
      // Half of a file is none.
      if (!body.readableEnded) request.destroy(new Error('what was to be sent broke off'));
    });
    body.pipe(request);
  });

interface Connections {
  readonly origin: URL;
  readonly authorize: Authorize;
  readonly guard: DestinationGuard;
  /** By host and port: the addresses that were judged. */
  readonly pinned: Map<string, readonly string[]>;
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
}

const sendOnce = async (
  { origin, authorize, pinned, agents }: Connections,
  { method, url: address, headers, body }: WebRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> => {
  signal.throwIfAborted();
  const url = new URL(address);
  const isSecure = url.protocol === 'https:';
  const addresses = pinned.get(url.host) ?? [];
  const proof = url.origin === origin.origin ? authorize({ method, url }) : {};
  const options = {
    method,
    agent: isSecure ? agents.https : agents.http,
    headers: { 'user-agent': 'eka-ci', ...headers, ...proof },
    ...(addresses.length > 0 && { lookup: pinnedLookup(addresses) }),
  };
  const begin = (): ClientRequest =>
    endWith(signal, isSecure ? requestHttps(url, options) : requestHttp(url, options));
  const request = begin();
  try {
    return await untilAnswered(request, url, body);
  } catch (error) {
    signal.throwIfAborted();
    // The other end closed a kept connection just as it was used again: that says nothing of a question.
    if (!request.reusedSocket || body !== undefined) throw error;
    return untilAnswered(begin(), url, undefined);
  }
};

const judgeRedirect = async (
  { guard, pinned }: Connections,
  { from, answer }: { readonly from: string; readonly answer: IncomingMessage },
  signal: AbortSignal,
): Promise<string> => {
  answer.resume();
  const location = answer.headers.location ?? '';
  const judged = await checkRedirect(guard, { from, location }, signal);
  if (judged.kind === 'refused') throw new CacheError(refused('destination', `it ${judged.why}`));
  if (judged.kind === 'unresolved') throw new CacheError(passing(judged.why));
  pinned.set(new URL(judged.url).host, judged.addresses);
  return judged.url;
};

const redirects: readonly number[] = [301, 302, 303, 307, 308];

const sendOn = async (
  connections: Connections,
  asked: WebRequest,
  signal: AbortSignal,
): Promise<WebAnswer> => {
  let { url } = asked;
  for (let left = maxRedirects; ; left--) {
    const answer = await sendOnce(connections, { ...asked, url }, signal);
    const status = answer.statusCode ?? 0;
    const leadsOn = redirects.includes(status) && answer.headers.location !== undefined;
    if (!leadsOn || asked.method === 'PUT' || left === 0) return { status, body: answer };
    url = await judgeRedirect(connections, { from: url, answer }, signal);
  }
};

/** @throws CacheError where nothing may go there; the signal's reason */
export const openWebClient = async (deps: WebClientDeps, signal: AbortSignal): Promise<WebClient> => {
  const { guard, authorize, certificatesFile } = deps;
  const origin = new URL(deps.origin);
  const pinned = new Map([[origin.host, await checkDestination(guard, deps.destination, signal)]]);
  const agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets }),
    https: new HttpsAgent({ keepAlive: true, maxSockets, ...readCertificates(origin, certificatesFile) }),
  };
  const connections = { origin, authorize, guard, pinned, agents };
  return {
    send: (asked, ending) => sendOn(connections, asked, ending),
    close: () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
};

const brokeOff = (cause?: Error): CacheError =>
  new CacheError(passing(`its answer broke off: ${cause?.message ?? 'it hung up'}`), cause);

/** At most so much of a body; of a longer one its beginning. @throws CacheError where it breaks off */
export const readBody = (body: IncomingMessage, maxBytes: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    const settle = (): void => resolve(Buffer.concat(parts).toString('utf8'));
    const close = (): void => {
      if (body.readableEnded || size >= maxBytes) settle();
      else reject(brokeOff());
    };
    body.on('data', (bytes: Buffer) => {
      if (size >= maxBytes) return;
      parts.push(bytes.subarray(0, maxBytes - size));
      size += bytes.length;
      if (size < maxBytes) return;
      settle();
      body.destroy();
    });
    body.once('end', settle);
    body.on('error', (error) => reject(brokeOff(error)));
    body.once('close', close);
    if (body.closed) close();
  });

const maxFaultBytes = 16_384;

/** Reads an answer that is no success, to its end. */
export const faultOfAnswer = async ({ status, body }: WebAnswer, asked: string) => {
  const text = await readBody(body, maxFaultBytes).catch(() => '');
  const s3Code = /<Code>(?<code>\w{1,60})<\/Code>/.exec(text)?.groups?.['code'] ?? '';
  const retryAfterMs = parseRetryAfter(body.headers['retry-after'], Date.now());
  return { s3Code, fault: httpFault({ status, asked, s3Code, retryAfterMs }) };
};
