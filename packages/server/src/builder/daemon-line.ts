// Connections to a daemon for builds: each does one at a time, and is used again while its settings and its age permit.
import { type DaemonSettings, setOptions } from '@eka-ci/nix/daemon/build-operations';
import { connectDaemon, type DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { createDaemonPool } from '@eka-ci/nix/daemon/daemon-pool';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';

export interface DaemonLineOptions {
  readonly transport: DaemonTransport;
  readonly storeDir: string;
  /** A connection that has been open for longer is not used again. @default 10 minutes */
  readonly maxAgeMs?: number;
  /** Connections at once; more work waits. @default any number: the scheduler has slots */
  readonly size?: number;
  /** For its greeting, and for taking settings. @default those of a daemon on this machine */
  readonly answerTimeoutMs?: number;
}

export interface BuildConnection {
  readonly connection: DaemonConnection;
  /** It has done something before, so its daemon may have gone meanwhile. */
  readonly isUsedAgain: boolean;
  /** Tells it the settings that what follows is done with, unless it has them. */
  readonly configure: (settings: DaemonSettings, signal: AbortSignal) => Promise<void>;
}

export interface DaemonLine {
  /** Runs `work` on a connection that nobody else uses meanwhile. */
  use<Result>(work: (on: BuildConnection) => Promise<Result>, signal: AbortSignal): Promise<Result>;
  /** Ends all connections, and what runs on them. */
  close(): Promise<void>;
}

/** Between one build and the next of a busy server there is less. */
const idleMs = 5000;

interface History {
  readonly openedAt: number;
  settings: string | null;
}

export const createDaemonLine = (options: DaemonLineOptions): DaemonLine => {
  const { transport, storeDir } = options;
  const maxAgeMs = options.maxAgeMs ?? 10 * 60_000;
  const { answerTimeoutMs } = options;
  const histories = new WeakMap<DaemonConnection, History>();
  const pool = createDaemonPool({
    connect: async (signal) => {
      const connection = await connectDaemon(transport, {
        storeDir,
        ...(signal !== undefined && { signal }),
        ...(answerTimeoutMs !== undefined && { connectTimeoutMs: answerTimeoutMs }),
      });
      histories.set(connection, { openedAt: performance.now(), settings: null });
      return connection;
    },
    size: options.size ?? Number.POSITIVE_INFINITY,
    idleMs,
  });
  return {
    use: (work, signal) =>
      pool.use(async (connection) => {
        const history = histories.get(connection) ?? { openedAt: performance.now(), settings: null };
        const configure = async (settings: DaemonSettings, until: AbortSignal): Promise<void> => {
          const wanted = JSON.stringify(settings);
          if (history.settings === wanted) return;
          const bound = answerTimeoutMs === undefined ? {} : { timeoutMs: answerTimeoutMs };
          await setOptions(connection, settings, { signal: until, ...bound });
          history.settings = wanted;
        };
        try {
          return await work({ connection, isUsedAgain: history.settings !== null, configure });
        } finally {
          // What it has built cannot be garbage-collected while it lasts.
          if (performance.now() - history.openedAt > maxAgeMs) await connection.close();
        }
      }, signal),
    close: () => pool.close(),
  };
};
