// `ekaci watch` on a terminal: puts the server's answers, its events, the keyboard and the screen together.
import { type Client, createClient, defaultLimits } from '../client/client.ts';
import type { Endpoint } from '../client/find-server.ts';
import { followEvents } from '../live/follow-events.ts';
import { type Charset, charsetOf } from '../screen-text.ts';
import { useColours } from '../terminal.ts';
import type { Key } from './keys.ts';
import { tailLog } from './log-tail.ts';
import { nextWatchState } from './next-state.ts';
import { pollServer, readServer } from './poll-server.ts';
import { openScreen, type Screen } from './screen.ts';
import { initialWatchState, type WatchEvent, type WatchState } from './watch-state.ts';
import { watchLines } from './watch-view.ts';

/** More than ten pictures a second nobody reads. */
const frameMs = 100;
const tickMs = 1000;

/** Draws what has changed, as often as is of use. */
class Frames {
  readonly #draw: () => void;
  #timer: NodeJS.Timeout | null = null;
  #isDirty = false;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  /** At once where nothing was drawn lately. */
  request(): void {
    this.#isDirty = true;
    if (this.#timer === null) this.#next();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#isDirty = false;
  }

  #next(): void {
    this.#timer = null;
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#draw();
    this.#timer = setTimeout(() => this.#next(), frameMs);
  }
}

class WatchRun {
  readonly #endpoint: Endpoint;
  readonly #client: Client;
  readonly #charset: Charset = charsetOf(process.env);
  readonly #end = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  readonly #frames: Frames;
  readonly #screen: Screen;
  #state: WatchState;
  /** Ends the reading of the log that is shown. */
  #log: { readonly drvPath: string; readonly abort: AbortController } | null = null;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    // A server that hangs keeps nobody from leaving.
    this.#client = createClient(endpoint, { ...defaultLimits, signal: this.#end.signal });
    this.#screen = openScreen({
      charset: this.#charset,
      colours: useColours(),
      onKey: (key) => this.#onKey(key),
      onResized: (size) => {
        this.#take({ type: 'resized', ...size });
        this.#frames.request();
      },
      onEnd: () => this.#end.abort(),
    });
    this.#state = initialWatchState(this.#client.address, { ...this.#screen.size, nowMs: Date.now() });
    this.#frames = new Frames(() => this.#screen.draw(watchLines(this.#state, this.#charset)));
  }

  /** Until it is ended. @throws what cannot be mended by waiting */
  async run(): Promise<void> {
    const { signal } = this.#end;
    const tick = setInterval(() => this.#take({ type: 'passed', nowMs: Date.now() }), tickMs);
    this.#frames.request();
    try {
      const poll = pollServer(
        this.#client,
        {
          onAnswer: (facts) => this.#take({ type: 'answered', facts, nowMs: Date.now() }),
          onSilence: () => this.#take({ type: 'unanswered', nowMs: Date.now() }),
        },
        signal,
      );
      await Promise.race([Promise.all([poll, this.#follow(signal)]), this.#failed.promise]);
    } finally {
      clearInterval(tick);
      this.#end.abort();
      this.#log?.abort.abort();
      this.#frames.stop();
      this.#screen.close();
    }
  }

  #follow(signal: AbortSignal): Promise<void> {
    return followEvents(
      { endpoint: this.#endpoint, resource: { resource: 'allbuilds' }, signal },
      {
        onSubscribed: async () => {
          this.#take({ type: 'subscribed', nowMs: Date.now() });
          return 'go-on';
        },
        onEvent: async (event) => {
          this.#take({ type: 'live', event, nowMs: Date.now() });
          return 'go-on';
        },
        onLost: () => this.#take({ type: 'lost', nowMs: Date.now() }),
      },
    );
  }

  #take(event: WatchEvent): void {
    const before = this.#state;
    this.#state = nextWatchState(before, event);
    if (this.#state === before) return;
    this.#followLog();
    this.#frames.request();
  }

  #onKey(key: Key): void {
    if (key === 'end' || (key === 'quit' && this.#state.overlay === null)) return this.#end.abort();
    if (key === 'stop') return this.#screen.stop();
    if (key === 'redraw') {
      this.#screen.forget();
      return this.#frames.request();
    }
    this.#take({ type: 'key', key });
  }

  /** Reads the log that is shown, and no other. */
  #followLog(): void {
    const { overlay } = this.#state;
    const drvPath = overlay?.kind === 'log' ? overlay.log.drvPath : null;
    if (drvPath === (this.#log?.drvPath ?? null)) return;
    this.#log?.abort.abort();
    this.#log = null;
    if (drvPath === null) return;
    const abort = new AbortController();
    this.#log = { drvPath, abort };
    const deps = { client: this.#client, endpoint: this.#endpoint, drvPath, signal: abort.signal };
    tailLog(deps, {
      onLines: (lines, leftOut) => this.#take({ type: 'log', drvPath, lines, leftOut }),
      onNote: (note) => this.#take({ type: 'log-note', drvPath, note }),
    }).catch(this.#failed.reject);
  }
}

/** @throws ClientError; the terminal is as it was then */
export const runWatch = async (endpoint: Endpoint): Promise<void> => {
  // What is wrong with the address or the token is told plainly, before any screen.
  await readServer(createClient(endpoint));
  await new WatchRun(endpoint).run();
};
