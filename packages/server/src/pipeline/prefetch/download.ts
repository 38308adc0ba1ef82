// Gets a file whose address a stranger wrote: from public addresses alone, within bounds, and without credentials but those
// that a forge gave for an address of its own.
import { createWriteStream } from 'node:fs';
import { get as getHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { get as getHttps } from 'node:https';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { checkRedirect, type DestinationGuard, pinnedLookup } from '../../config/destination-guard.ts';
import { errorCodeOf } from '../../lib/error-code.ts';

export interface DownloadRequest {
  readonly url: string;
  /** Written anew; what is there after a failure is of no use. */
  readonly file: string;
  readonly maxBytes: number;
  /** Told of what arrives; null, or why it must be no more. */
  readonly onBytes?: (count: number) => string | null;
  /** Of silence. */
  readonly idleTimeoutMs: number;
  /**
   * Value of the HTTP `Authorization` header, for the URL's own scheme, host and port, which the operator named: they are
   * not judged, and all others are, without it. @default none
   */
  readonly authorization?: string;
}

export type Download =
  | { readonly kind: 'done'; readonly sizeBytes: number }
  /** `why`: for people. */
  | { readonly kind: 'failed'; readonly why: string };

/** What makes a download fail and is nobody's bug; never leaves this file. */
class DownloadFault extends Error {
  readonly code = 'DOWNLOAD_REFUSED';
}

const mostRedirects = 5;

/** And no more: who wrote the address reads this, and could learn what names mean inside of our network. */
export const notPublic = 'its URL leads to no public http or https server';

interface Place {
  readonly url: string;
  /** Empty: resolve it as the system does, for the guard is off, or has no say. */
  readonly addresses: readonly string[];
  readonly authorization: string | undefined;
}

const ask = (
  { url, addresses, authorization }: Place,
  idleTimeoutMs: number,
  signal: AbortSignal,
): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const options: RequestOptions = {
      agent: false,
      signal,
      timeout: idleTimeoutMs,
      headers: {
        accept: '*/*',
        'user-agent': 'eka-ci',
        ...(authorization !== undefined && { authorization }),
      },
      ...(addresses.length === 0 ? {} : { lookup: pinnedLookup(addresses) }),
    };
    const request = (url.startsWith('https:') ? getHttps : getHttp)(url, options, resolve);
    request.on('timeout', () => request.destroy(new DownloadFault(`no answer in ${idleTimeoutMs / 1000} s`)));
    request.on('error', reject);
    // All that is told of an answer 101, which nobody asked for: neither error nor time-out, and no signal ends it.
    request.once('close', () => reject(new DownloadFault('the server hung up')));
  });

const redirects: ReadonlySet<number | undefined> = new Set([301, 302, 303, 307, 308]);

const judgePlace = async (
  guard: DestinationGuard,
  { url, authorization }: DownloadRequest,
  signal: AbortSignal,
): Promise<Place> => {
  if (!/^https?:\/\//.test(url)) throw new DownloadFault(notPublic);
  if (authorization !== undefined) return { url, addresses: [], authorization };
  const judged = await guard.check(url, signal);
  if (judged.kind !== 'allowed') throw new DownloadFault(notPublic);
  return { url, addresses: judged.addresses, authorization };
};

/** @throws DownloadFault where it is not to be followed */
const judgeRedirect = async (
  guard: DestinationGuard,
  { from, location }: { readonly from: Place; readonly location: string },
  signal: AbortSignal,
): Promise<Place> => {
  const next = URL.parse(location, from.url);
  if (from.authorization !== undefined && next !== null && next.origin === new URL(from.url).origin) {
    next.hash = '';
    return { ...from, url: next.href };
  }
  const target = await checkRedirect(guard, { from: from.url, location }, signal);
  if (target.kind !== 'allowed') throw new DownloadFault(`it redirects, and there ${notPublic}`);
  return { url: target.url, addresses: target.addresses, authorization: undefined };
};

/** Follows redirects, each judged, to an answer that has the file. */
const open = async (
  guard: DestinationGuard,
  request: DownloadRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> => {
  let place = await judgePlace(guard, request, signal);
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const answer = await ask(place, request.idleTimeoutMs, signal);
    if (answer.statusCode === 200) return answer;
    // Its body is not read.
    answer.destroy();
    if (!redirects.has(answer.statusCode))
      throw new DownloadFault(`the server answered ${answer.statusCode}`);
    place = await judgeRedirect(guard, { from: place, location: answer.headers.location ?? '' }, signal);
  }
  throw new DownloadFault(`it redirects more than ${mostRedirects} times`);
};

const limitBytes = ({ maxBytes, onBytes }: DownloadRequest) => {
  let sizeBytes = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      const why =
        sizeBytes > maxBytes
          ? `it is larger than ${Math.floor(maxBytes / 1024 / 1024)} MiB`
          : (onBytes?.(chunk.length) ?? null);
      if (why === null) done(null, chunk);
      else done(new DownloadFault(why));
    },
  });
  return { stream, sizeBytes: () => sizeBytes };
};

/** @throws the signal's reason; what writing the file throws */
export const download = async (
  guard: DestinationGuard,
  request: DownloadRequest,
  signal: AbortSignal,
): Promise<Download> => {
  try {
    const answer = await open(guard, request, signal);
    answer.setTimeout(request.idleTimeoutMs, () =>
      answer.destroy(new DownloadFault('the server fell silent')),
    );
    const limit = limitBytes(request);
    await pipeline(answer, limit.stream, createWriteStream(request.file), { signal });
    const told = Number(answer.headers['content-length'] ?? limit.sizeBytes());
    if (told !== limit.sizeBytes()) throw new DownloadFault('the answer ended too early');
    return { kind: 'done', sizeBytes: limit.sizeBytes() };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DownloadFault) return { kind: 'failed', why: error.message };
    const code = errorCodeOf(error);
    if (['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES', 'EMFILE'].includes(code)) throw error;
    return { kind: 'failed', why: code || String(error) };
  }
};
