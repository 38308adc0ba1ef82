// A client of the WebSocket for tests: what it was told, and waiting for what it has to be told.
import { connect } from 'node:net';
import { LiveEvent } from '@eka-ci/protocol/live';
import { WebSocket } from 'ws';
import type { Target } from './raw-request.ts';

export interface LiveClient {
  readonly webSocket: WebSocket;
  readonly events: LiveEvent[];
  /** Sends a subscription, or anything else. */
  send(message: unknown): void;
  /** The first event from `from` on that is wanted, as soon as it is there. */
  wait(wanted: (event: LiveEvent) => boolean, from?: number): Promise<LiveEvent>;
  /** The status with which the connection was closed. */
  readonly closed: Promise<number>;
}

export const ofType =
  <Type extends LiveEvent['type']>(type: Type) =>
  (event: LiveEvent): event is Extract<LiveEvent, { type: Type }> =>
    event.type === type;

export const openLiveClient = async (
  target: Target,
  headers: Record<string, string> = {},
): Promise<LiveClient> => {
  const createConnection = () =>
    'socketPath' in target ? connect(target.socketPath) : connect(target.port, target.host);
  const webSocket = new WebSocket('ws://server/v1/ws/builds', {
    createConnection,
    headers,
    perMessageDeflate: false,
  });
  const events: LiveEvent[] = [];
  let wake: () => void = () => {};
  webSocket.on('message', (data) => {
    events.push(LiveEvent.parse(JSON.parse(Buffer.isBuffer(data) ? data.toString('utf8') : '')));
    wake();
  });
  const closed = new Promise<number>((resolve) => {
    webSocket.once('close', (status) => {
      resolve(status);
      wake();
    });
  });
  await new Promise<void>((resolve, reject) => {
    webSocket.once('open', resolve);
    webSocket.once('error', reject);
  });
  webSocket.on('error', () => {});
  return {
    webSocket,
    events,
    closed,
    send: (message) => webSocket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async wait(wanted, from = 0) {
      for (let at = from; ; ) {
        for (; at < events.length; at++) {
          const event = events[at];
          if (event !== undefined && wanted(event)) return event;
        }
        if (webSocket.readyState === WebSocket.CLOSED) throw new Error('the connection was closed before');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
};
