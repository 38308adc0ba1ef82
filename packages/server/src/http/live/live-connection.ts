// One client's live connection: its subscriptions in, what they are told out.
import type { Duplex } from 'node:stream';
import type { LiveEvent } from '@eka-ci/protocol/live';
import { WebSocket } from 'ws';
import type { LiveFeed, LiveReader } from '../../pipeline/live/live-feed.ts';
import { LiveMessage } from '../../pipeline/live/live-message.ts';
import type { LiveTopic } from '../../pipeline/live/live-topics.ts';
import type { LiveReading } from '../reading/live-reader.ts';
import { type ParsedRequest, parseLiveRequest } from './live-request.ts';
import { Outbox } from './outbox.ts';

export interface LiveConnectionDeps {
  readonly webSocket: WebSocket;
  /** Under the WebSocket. */
  readonly socket: Duplex;
  readonly feed: Pick<LiveFeed, 'join'>;
  /** What its client may hear. */
  readonly reading: LiveReading;
  readonly storeDir: string;
  readonly maxSubscriptions: number;
  /** Something waits to be sent: `flush` is to be called soon. */
  readonly onWaiting: (connection: LiveConnection) => void;
}

/** Requests that cannot be understood, in a row; another one is forgiven each second. */
const faultsForgiven = 20;
const forgiveEveryMs = 1000;
/** The client does not keep to what it may do (RFC 6455, 7.4.1). */
const policyViolation = 1008;
const goingAway = 1001;

const keyOf = (topic: LiveTopic): string =>
  topic.resource === 'allbuilds' ? topic.resource : `${topic.resource} ${topic.id}`;

export class LiveConnection {
  readonly #deps: LiveConnectionDeps;
  readonly #outbox: Outbox;
  readonly #reader: LiveReader;
  readonly #followed = new Map<string, LiveTopic>();
  #isAlive = true;
  #faultsLeft = faultsForgiven;
  #faultAtMs = performance.now();

  constructor(deps: LiveConnectionDeps) {
    this.#deps = deps;
    const { webSocket, socket, feed, reading } = deps;
    this.#reader = feed.join({
      maySee: (repository, repositoryId) => reading.maySee(repository, repositoryId),
      maySeeDrv: (drv) => reading.maySeeDrv(drv),
      take: (message) => this.#outbox.add(message),
      onLines: () => this.#outbox.onLines(),
    });
    this.#outbox = new Outbox({
      socket,
      lines: this.#reader.lines,
      onWaiting: () => deps.onWaiting(this),
      onSent: () => {
        if (webSocket.isPaused && !this.#outbox.isFull) webSocket.resume();
      },
    });
    webSocket.on('message', (data, isBinary) => {
      // One piece, by the default of ws; what is no text is no request.
      this.#hear(isBinary || !Buffer.isBuffer(data) ? '' : data.toString('utf8'));
    });
    webSocket.on('pong', () => {
      this.#isAlive = true;
    });
    // A message that is too large, a frame that is none: the connection is closed with the status that says so.
    webSocket.on('error', () => this.#outbox.close());
    webSocket.once('close', () => this.#leave());
  }

  get subscriptions(): number {
    return this.#followed.size;
  }

  get totals(): Outbox['totals'] {
    return this.#outbox.totals;
  }

  flush(): void {
    // Behind the closing frame nothing may follow.
    if (this.#deps.webSocket.readyState === WebSocket.OPEN) this.#outbox.flush();
  }

  /** Asks for a sign of life; ends the connection where the last question was not answered. */
  probe(): void {
    const { webSocket, reading } = this.#deps;
    if (!this.#isAlive) return webSocket.terminate();
    reading.renew();
    this.#isAlive = false;
    if (webSocket.readyState === WebSocket.OPEN) webSocket.ping();
  }

  /** The server ends. */
  goAway(): void {
    this.flush();
    this.#deps.webSocket.close(goingAway, 'the server ends');
  }

  terminate(): void {
    this.#deps.webSocket.terminate();
  }

  #leave(): void {
    this.#outbox.close();
    for (const topic of this.#followed.values()) this.#reader.unfollow(topic);
    this.#followed.clear();
  }

  #hear(text: string): void {
    if (this.#deps.webSocket.readyState !== WebSocket.OPEN) return;
    const request = parseLiveRequest(text, this.#deps.storeDir);
    if (request.kind === 'refused') return this.#refuse(request);
    const answer = request.type === 'subscribe' ? this.#subscribe(request) : this.#unsubscribe(request);
    this.#answer(answer);
  }

  #subscribe({ topic, resource }: Extract<ParsedRequest, { kind: 'request' }>): LiveEvent {
    const key = keyOf(topic);
    if (!this.#followed.has(key)) {
      const { maxSubscriptions } = this.#deps;
      if (this.#followed.size >= maxSubscriptions) {
        const message = `a connection has at most ${maxSubscriptions} subscriptions: unsubscribe from some, or follow allbuilds`;
        return { type: 'error', code: 'SUBSCRIPTIONS_EXCEEDED', message };
      }
      this.#followed.set(key, topic);
      this.#reader.follow(topic);
    }
    return { type: 'subscribed', to: resource };
  }

  #unsubscribe({ topic, resource }: Extract<ParsedRequest, { kind: 'request' }>): LiveEvent {
    if (this.#followed.delete(keyOf(topic))) {
      // What was said before is told, or counted as left out.
      this.#outbox.takeAllLines();
      this.#reader.unfollow(topic);
    }
    return { type: 'unsubscribed', from: resource };
  }

  #answer(event: LiveEvent): void {
    this.#outbox.answer(new LiveMessage(event));
    // Who asks without reading the answers is not heard any more until he does.
    if (this.#outbox.isFull) this.#deps.webSocket.pause();
  }

  #refuse({ code, message }: Extract<ParsedRequest, { kind: 'refused' }>): void {
    const now = performance.now();
    const forgiven = (now - this.#faultAtMs) / forgiveEveryMs;
    this.#faultsLeft = Math.min(faultsForgiven, this.#faultsLeft + forgiven) - 1;
    this.#faultAtMs = now;
    this.#answer({ type: 'error', code, message });
    if (this.#faultsLeft >= 0) return;
    this.flush();
    this.#deps.webSocket.close(policyViolation, 'too many messages that are no requests');
  }
}
