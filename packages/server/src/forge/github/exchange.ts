// One request and its answer over HTTP, bounded in time and size, and never with a token to another host.
import { errorCodeOf } from '../../lib/error-code.ts';
import { GithubError } from './github-error.ts';

export interface WireRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export type Exchange =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: Headers; readonly text: string }
  /** `isMaybeDone`: the request may have arrived. */
  | { readonly kind: 'no-answer'; readonly isMaybeDone: boolean; readonly cause: unknown };

export interface ExchangeOptions {
  readonly fetch: typeof globalThis.fetch;
  /** Of one request, its answer included. */
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** Faults before a connection is there: nothing was asked. */
const neverSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const wasNeverSent = (error: unknown): boolean => {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    if (neverSent.has(errorCodeOf(at))) return true;
    if (at instanceof AggregateError) return at.errors.every((one) => neverSent.has(errorCodeOf(one)));
  }
  return false;
};

const mostRedirects = 3;
const redirects = new Set([301, 302, 307, 308]);

const readText = async (answer: Response, maxBytes: number): Promise<string> => {
  if (answer.body === null) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  const body: AsyncIterable<Uint8Array> = answer.body;
  for await (const chunk of body) {
    size += chunk.byteLength;
    // Leaving the loop cancels the rest of the body.
    if (size > maxBytes) {
      throw new GithubError('GITHUB_ANSWER_INVALID', `GitHub's answer is larger than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** Where a redirect leads: within the same origin alone, for the token goes along. */
const follow = (from: string, location: string | null): string => {
  const to = location === null ? null : URL.parse(location, from);
  if (to === null || to.origin !== new URL(from).origin) {
    const where = to === null ? 'nowhere' : to.origin;
    throw new GithubError(
      'GITHUB_REDIRECTED',
      `GitHub redirects from ${new URL(from).origin} to ${where}, which is not followed: check api_url of the app`,
    );
  }
  return to.href;
};

const send = async (
  request: WireRequest,
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Exchange> => {
  let url = request.url;
  for (let hops = 0; ; hops++) {
    const { method, headers, body } = request;
    const given = body === undefined ? {} : { body };
    const answer = await options.fetch(url, { method, headers, ...given, redirect: 'manual', signal });
    const text = await readText(answer, options.maxAnswerBytes);
    if (!redirects.has(answer.status) || hops === mostRedirects) {
      return { kind: 'answer', status: answer.status, headers: answer.headers, text };
    }
    url = follow(url, answer.headers.get('location'));
  }
};

/**
 * Sends it once; a renamed repository's redirects are followed with the same method and body.
 * @throws GithubError GITHUB_REDIRECTED, GITHUB_ANSWER_INVALID; the signal's reason where that aborted
 */
export const exchange = async (request: WireRequest, options: ExchangeOptions): Promise<Exchange> => {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  try {
    return await send(request, options, signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof GithubError) throw error;
    return { kind: 'no-answer', isMaybeDone: !wasNeverSent(error), cause: error };
  }
};
