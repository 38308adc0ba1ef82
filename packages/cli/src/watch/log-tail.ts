// The newest lines of one build's log for a screen: as they come, in batches, however fast a build speaks.
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import type { Endpoint } from '../client/find-server.ts';
import { followEvents } from '../live/follow-events.ts';
import { LogFollower } from '../live/log-follower.ts';
import { logLines } from '../log-lines.ts';
import { logLinesKept } from './watch-state.ts';

export interface LogTailUser {
  /** @param leftOut lines before these that nobody could have read */
  onLines(lines: readonly string[], leftOut: number): void;
  onNote(note: string): void;
}

export interface LogTailDeps {
  readonly client: Client;
  readonly endpoint: Endpoint;
  readonly drvPath: string;
  readonly signal: AbortSignal;
}

const batchMs = 100;

class LineBatches {
  readonly #tell: LogTailUser['onLines'];
  #lines: string[] = [];
  #leftOut = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(tell: LogTailUser['onLines']) {
    this.#tell = tell;
  }

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length >= 2 * logLinesKept) {
      this.#lines = this.#lines.slice(-logLinesKept);
      this.#leftOut += logLinesKept;
    }
    this.#timer ??= setTimeout(() => this.flush(), batchMs);
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#lines.length === 0) return;
    const [lines, leftOut] = [this.#lines, this.#leftOut];
    this.#lines = [];
    this.#leftOut = 0;
    this.#tell(lines, leftOut);
  }
}

/** Resolves when the log is whole, or the signal aborts; what keeps it from being read is a note. */
export const tailLog = async (
  { client, endpoint, drvPath, signal }: LogTailDeps,
  user: LogTailUser,
): Promise<void> => {
  const drv = drvPath.slice(drvPath.lastIndexOf('/') + 1);
  const batches = new LineBatches((lines, leftOut) => {
    if (!signal.aborted) user.onLines(lines, leftOut);
  });
  const note = (text: string): void => {
    batches.flush();
    if (!signal.aborted) user.onNote(text);
  };
  const follower = new LogFollower({
    client,
    drv,
    wanted: null,
    view: { line: async ({ text }) => batches.add(text), note },
  });
  try {
    await followEvents({ endpoint, resource: { resource: 'drv', id: drv }, signal }, follower);
    if (signal.aborted) return;
    if (follower.end !== null) return note(follower.end.message ?? follower.end.state);
    // It was over before anybody followed it.
    for await (const line of logLines(client.stream(`/v1/logs/${encodeURIComponent(drv)}`))) {
      if (signal.aborted) return;
      batches.add(line);
    }
    note('this is its end');
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    note(error.message);
  } finally {
    batches.flush();
  }
};
