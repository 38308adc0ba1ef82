// What `nix copy` takes for the cache: a server on the loopback, for one push, that passes everything on. So Nix is shown no
// credential, reaches no address that was not judged, speaks to S3 whether it was built for that or not; and what the cache
// answers is known to the letter. (Nix 2.8 hides the status of a first upload, and hangs when it tries an upload again.)
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { CacheError, type PushFault, type PushProgress } from '../cache.ts';
import { faultOfAnswer, type Method, type WebClient } from '../web-client.ts';

export interface Relay {
  /** `127.0.0.1:<port>`: of the store URL. */
  readonly host: string;
  /** One login of a netrc file; without it nobody on this machine gets anything passed on. */
  readonly netrc: string;
  /** What went wrong first between here and the cache. */
  readonly fault: () => PushFault | null;
  readonly sent: () => PushProgress & { readonly sentBytes: number };
  /** Names of the narinfos that the cache has taken. */
  readonly written: () => ReadonlySet<string>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

export interface RelayDeps {
  readonly client: WebClient;
  /** Of the cache, with a slash at its end. */
  readonly base: string;
  /** Names of narinfos that the cache has just said it lacks: it is not asked for them again. */
  readonly absent: ReadonlySet<string>;
  readonly onProgress: (progress: PushProgress) => void;
  readonly signal: AbortSignal;
}

/** Files of a cache as Nix names them, all of them below it; nothing else is passed on. */
const fileName = /^\/(?<name>(?:[A-Za-z0-9+_=.-]+\/)*[A-Za-z0-9+_=.-]+)$/;
const isMethod = (text: string): text is Method => text === 'GET' || text === 'HEAD' || text === 'PUT';
const passedOn = ['content-type', 'content-encoding', 'content-length'] as const;

const user = 'eka-ci';

const createGate = (password: string): ((request: IncomingMessage) => boolean) => {
  const wanted = Buffer.from(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
  return ({ headers }) => {
    const given = Buffer.from(headers.authorization ?? '');
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  };
};

const pick = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    passedOn.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]] as const])),
  );

const isNarinfo = (name: string): boolean => name.endsWith('.narinfo');

/** What it says of a file that it does not have, or does not show that it has not. */
const meansAbsent = (method: Method, status: number, s3Code: string): boolean =>
  method !== 'PUT' &&
  s3Code !== 'NoSuchBucket' &&
  (status === 404 || status === 410 || (status === 403 && (s3Code === '' || s3Code === 'AccessDenied')));

interface Passing extends RelayDeps {
  readonly written: ReadonlySet<string>;
  readonly note: (fault: PushFault) => void;
  readonly count: (name: string, bytes: number) => void;
}

const passOn = async (
  { client, base, absent, written, signal, note, count }: Passing,
  { name, method }: { readonly name: string; readonly method: Method },
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> => {
  if (method !== 'PUT' && absent.has(name) && !written.has(name)) {
    response.writeHead(404).end();
    return;
  }
  let bytes = 0;
  if (method === 'PUT') request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  const answer = await client.send(
    { method, url: base + name, headers: pick(request), ...(method === 'PUT' && { body: request }) },
    signal,
  );
  if (answer.status >= 200 && answer.status < 300) {
    // Before Nix knows: it may end as soon as it does.
    if (method === 'PUT') count(name, bytes);
    if (method === 'GET') {
      response.writeHead(answer.status, pick(answer.body));
      await pipeline(answer.body, response);
    } else {
      // What is said to an upload nobody reads; a pipeline costs as much as the request.
      answer.body.resume();
      response.writeHead(answer.status, method === 'HEAD' ? pick(answer.body) : {}).end();
    }
    return;
  }
  const { s3Code, fault } = await faultOfAnswer(answer, `${method} ${name}`);
  const isAbsent = meansAbsent(method, answer.status, s3Code);
  if (!isAbsent) note(fault);
  response.writeHead(isAbsent ? 404 : answer.status).end();
};

const handle = async (
  passing: Passing,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> => {
  const name = fileName.exec(request.url ?? '')?.groups?.['name'];
  const method = request.method ?? '';
  if (name === undefined || name.split('/').some((part) => /^\.+$/.test(part)) || !isMethod(method)) {
    response.writeHead(400).end();
    return;
  }
  try {
    await passOn(passing, { name, method }, { request, response });
  } catch (error) {
    // Anything else is the end of this push, or of Nix, which says so itself.
    if (error instanceof CacheError) passing.note(error.outcome);
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  }
};

const listen = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });

export const openRelay = async (deps: RelayDeps): Promise<Relay> => {
  const password = randomBytes(24).toString('base64url');
  const isOurs = createGate(password);
  let sentBytes = 0;
  const written = new Set<string>();
  const sent = () => ({ sentPaths: written.size, sentBytes });
  let first: PushFault | null = null;
  let isOpen = true;
  const passing: Passing = {
    ...deps,
    written,
    note: (fault) => {
      first ??= fault;
    },
    count: (name, bytes) => {
      sentBytes += bytes;
      if (isNarinfo(name)) written.add(name);
      if (isOpen) deps.onProgress(sent());
    },
  };
  const server = createServer((request, response) => {
    if (isOurs(request)) handle(passing, { request, response }).catch(() => response.destroy());
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="eka-ci"' }).end();
  });
  // A push takes as long as it takes.
  server.requestTimeout = 0;
  // Nix compresses between two uploads, and cannot send one again over a connection that was closed meanwhile.
  server.keepAliveTimeout = 24 * 60 * 60_000;
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    netrc: `machine 127.0.0.1\nlogin ${user}\npassword ${password}\n`,
    fault: () => first,
    sent,
    written: () => written,
    close: () =>
      new Promise((resolve) => {
        isOpen = false;
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
