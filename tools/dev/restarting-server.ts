// Keeps one server running, and never two: the next one starts when the one before has ended in good order.
import type { Child, ChildExit } from '@eka-ci/process';

export interface RestartingServerOptions {
  readonly start: () => Promise<Child>;
  /** Null when it ended before it listened. */
  readonly addressOf: (server: Child) => Promise<string | null>;
  readonly onEvent: (event: ServerEvent) => void;
}

export type ServerEvent =
  | { readonly kind: 'listens'; readonly address: string; readonly tookMs: number }
  /** By itself: it waits for the next restart. */
  | { readonly kind: 'ended'; readonly exit: ChildExit };

export interface RestartingServer {
  /** Ends the one that runs and starts another; several calls before that make one. */
  restart(): void;
  /** Ends it for good. Idempotent. */
  stop(): Promise<void>;
}

class Restarting implements RestartingServer {
  readonly #options: RestartingServerOptions;
  #server: Child | null = null;
  /** Resolves when the last one that was started has ended. */
  #followed: Promise<void> | null = null;
  #wanted = true;
  #stopping = false;
  #woken = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;

  constructor(options: RestartingServerOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  restart(): void {
    this.#wanted = true;
    this.#woken.resolve();
  }

  stop(): Promise<void> {
    this.#stopping = true;
    this.#woken.resolve();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      if (this.#wanted) await this.#replace();
      await this.#woken.promise;
      this.#woken = Promise.withResolvers();
    }
    await this.#end();
  }

  async #replace(): Promise<void> {
    await this.#end();
    if (this.#stopping) return;
    this.#wanted = false;
    const startedAt = performance.now();
    const server = await this.#options.start();
    this.#server = server;
    this.#followed = this.#follow(server, startedAt);
  }

  /** Tells of it as long as it is the one that is wanted. */
  async #follow(server: Child, startedAt: number): Promise<void> {
    const { onEvent, addressOf } = this.#options;
    const address = await addressOf(server);
    if (address !== null && this.#server === server) {
      onEvent({ kind: 'listens', address, tookMs: performance.now() - startedAt });
    }
    const exit = await server.exited;
    if (this.#server !== server) return;
    this.#server = null;
    onEvent({ kind: 'ended', exit });
  }

  async #end(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.end();
    await this.#followed;
  }
}

/** Starts the first one at once. */
export const keepServerRunning = (options: RestartingServerOptions): RestartingServer =>
  new Restarting(options);
