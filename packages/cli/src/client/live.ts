// A live connection to a running server: events as they happen, each checked before anybody sees it.
import { connect } from 'node:net';
import { LiveEvent, type LiveRequest } from '@eka-ci/protocol/live';
import { type ClientOptions, WebSocket } from 'ws';
import { notUnderstood, refusal, tooSlow } from './client.ts';
import { ClientError } from './client-error.ts';
import type { Endpoint } from './find-server.ts';
import { LiveQueue } from './live-queue.ts';
import { authorizationOf } from './server-token.ts';

export interface LiveConnection {
  /** Nothing happens once the connection has ended. */
  send(request: LiveRequest): void;
  /**
   * For one reader. Ends once the connection was closed here; a reader that is slow meets `skipped` in the place of
   * what was left out.
   * @throws ClientError LIVE_CONNECTION_LOST when it ends otherwise, ANSWER_NOT_UNDERSTOOD; while it is read
   */
  readonly events: AsyncIterable<LiveEvent>;
  /** Idempotent. */
  close(): void;
}

const path = '/v1/ws/builds';
const handshakeTimeoutMs = 30_000;
/** The server says something at least every 30 seconds, and be it a ping. */
const silenceTimeoutMs = 90_000;
const closeTimeoutMs = 1000;
const maxEventBytes = 128 * 1024 * 1024;
const knownTypes: ReadonlySet<unknown> = new Set(
  LiveEvent.options.map(({ shape }) => shape.type.value satisfies string),
);

const openSocket = (endpoint: Endpoint): WebSocket => {
  const options: ClientOptions = {
    perMessageDeflate: false,
    handshakeTimeout: handshakeTimeoutMs,
    maxPayload: maxEventBytes,
  };
  if (endpoint.kind === 'socket') {
    const createConnection = () => connect(endpoint.path);
    return new WebSocket(`ws://ekaci${path}`, { ...options, createConnection });
  }
  // Of http: and https: the rest of the name, `ws:` and `wss:`.
  const url = `${endpoint.url.replace(/^http/i, 'ws')}${path}`;
  const headers = endpoint.token === undefined ? {} : authorizationOf(endpoint.token);
  return new WebSocket(url, { ...options, headers });
};

/** Null for what only newer servers say. @throws ClientError ANSWER_NOT_UNDERSTOOD */
const parseEvent = (text: string, address: string): LiveEvent | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notUnderstood(address, 'a live event that is no JSON');
  }
  const parsed = LiveEvent.safeParse(value);
  if (parsed.success) return parsed.data;
  const type: unknown =
    typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (typeof type === 'string' && !knownTypes.has(type)) return null;
  throw notUnderstood(address, `a live event ${typeof type === 'string' ? type : 'without a type'}`);
};

const opened = (socket: WebSocket, address: string): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (request, response) => {
      refusal(response, address)
        .then(reject, reject)
        .finally(() => request.destroy());
    });
    socket.on('error', (cause) => {
      if (cause.message === 'Opening handshake has timed out') return reject(tooSlow(address, cause));
      const message = `${address} cannot be reached (${cause.message}): check the address, and that the server runs`;
      reject(new ClientError('SERVER_UNREACHABLE', message, { cause }));
    });
  });

const lost = (address: string, why: string): ClientError =>
  new ClientError('LIVE_CONNECTION_LOST', `the live connection to ${address} ended: ${why}; try again`);

/** Why the other side ended, by the status it gave (RFC 6455, 7.4.1). */
const reasonOf = (status: number, said: string): string => {
  if (status === 1001) return 'the server ends';
  return said === '' ? `it broke (status ${status})` : `the server says "${said}"`;
};

/** Ends a connection on which nothing was heard for too long: a server that is gone does not say so. */
const watchSilence = (socket: WebSocket, onSilence: () => void): void => {
  const timer = setTimeout(onSilence, silenceTimeoutMs);
  for (const sign of ['message', 'ping', 'pong'] as const) socket.on(sign, () => timer.refresh());
  socket.once('close', () => clearTimeout(timer));
};

/**
 * @param signal when it aborts before the connection stands, none is waited for
 * @throws ClientError
 */
export const openLive = async (endpoint: Endpoint, signal?: AbortSignal): Promise<LiveConnection> => {
  const address = endpoint.kind === 'url' ? endpoint.url : endpoint.path;
  const socket = openSocket(endpoint);
  const giveUp = (): void => socket.terminate();
  if (signal?.aborted === true) setImmediate(giveUp);
  signal?.addEventListener('abort', giveUp);
  socket.once('open', () => signal?.removeEventListener('abort', giveUp));
  const queue = new LiveQueue();
  const end = (fault: Error | null): void => {
    queue.end(fault);
    socket.terminate();
  };
  // From the start: the first event may come in one piece with the end of the handshake.
  socket.on('message', (data, isBinary) => {
    try {
      const text = isBinary || !Buffer.isBuffer(data) ? '' : data.toString('utf8');
      const event = parseEvent(text, address);
      if (event !== null) queue.add(event, text.length);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.once('close', (status, said) => end(lost(address, reasonOf(status, said.toString('utf8')))));
  await opened(socket, address);
  watchSilence(socket, () => end(lost(address, 'nothing is heard of it')));
  return {
    send(request) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
    },
    events: queue,
    close() {
      queue.end(null);
      socket.close(1000);
      // A server that does not answer holds nobody up.
      setTimeout(() => socket.terminate(), closeTimeoutMs).unref();
    },
  };
};
