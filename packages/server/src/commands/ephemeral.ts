// `eka-ci-server ephemeral`: a server for the one `ekaci` that starts it. All it has is in a folder of its own, and
// goes when its standard input is closed.
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endAllChildren } from '@eka-ci/process';
import { type EphemeralAnswer, EphemeralOptions } from '@eka-ci/protocol/ephemeral';
import { defaultGraphCapacity } from '../config/graph-capacity.ts';
import { fitsSocketPath } from '../http/unix-socket.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { createLoggers, type Logger } from '../lib/logger.ts';
import { explainSystemError } from '../lib/system-error.ts';
import { createWorkFolder } from '../lib/work-folder.ts';
import { letYoungObjectsGrow } from '../lib/young-objects.ts';
import { startServer } from '../start-server.ts';
import type { ServerOptions } from '../wiring/server-options.ts';

const usage = `eka-ci-server ephemeral

Reads its options, a line of JSON, from standard input, and writes where it listens, a line of JSON, to standard
output. Closing its standard input ends it, and all it has goes with it. "ekaci review" starts it; there is no need to
do so by hand.
`;

/** Of one log; a build that prints ten times as much is ended. */
const maxLogBytes = 64 * 1024 * 1024;
const folderPrefix = 'ekaci-review-';

const send = (answer: EphemeralAnswer): void => {
  if (process.stdout.writable) process.stdout.write(`${JSON.stringify(answer)}\n`);
};

const faultOf = (error: unknown): EphemeralAnswer => {
  const code = errorCodeOf(error);
  if (error instanceof Error && code !== '')
    return { type: 'fault', code, message: explainSystemError(error) ?? error.message };
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { type: 'fault', code: 'INTERNAL', message: `this is a bug in EkaCI; please report it:\n${detail}` };
};

/** Resolves when the one who started us has gone, or wants the end. */
const untilNotWanted = (): Promise<void> =>
  new Promise((resolve) => {
    process.stdin.once('end', resolve);
    process.stdin.once('error', () => resolve());
    process.stdout.on('error', () => resolve());
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve());
  });

/** Null where standard input ended without any. */
const readOptions = async (): Promise<EphemeralOptions | null> => {
  const lines = createInterface({ input: process.stdin });
  const line = await new Promise<string | null>((resolve) => {
    lines.once('line', resolve);
    lines.once('close', () => resolve(null));
  });
  return line === null ? null : EphemeralOptions.parse(JSON.parse(line));
};

interface Place {
  readonly folder: string;
  readonly socketPath: string;
}

const optionsFor = (
  { limits, keepLogs }: EphemeralOptions,
  { folder, socketPath }: Place,
  version: string,
): ServerOptions => ({
  version,
  dbPath: join(folder, 'review.db'),
  durability: 'process-death',
  keepJobsets: false,
  // Where logs are to be kept they are written from the start: they outlive whatever goes wrong later.
  logs: { folder: keepLogs ?? join(folder, 'logs'), maxBytes: maxLogBytes },
  secrets: [],
  repositories: [],
  github: null,
  signIn: { github: null, secret: null, admins: [] },
  baselines: [],
  publicUrl: '',
  slots: { build: limits.maxJobs, fixedOutput: 8 },
  machinesFile: null,
  buildLimits: { silenceTimeoutMs: limits.silenceTimeoutMs, maxDurationMs: limits.maxDurationMs },
  evaluationLimits: {
    workers: limits.workers,
    maxMemoryMib: limits.maxMemoryMib,
    timeoutMs: limits.evaluationTimeoutMs,
  },
  // Those of a server whose operator sets none.
  sandboxLimits: { maxMemoryMib: 4096, maxCpuSeconds: 3600, maxProcesses: 512, maxOutputMib: 64 },
  maxCheckTimeoutMs: 86_400_000,
  evaluationNetwork: [],
  // Whoever reviews by hand runs it as themselves; the base has to allow it all the same.
  checkNetwork: ['*'],
  publishing: null,
  graphCapacity: defaultGraphCapacity,
  rebuild: {
    maxBuilds: Number.POSITIVE_INFINITY,
    maxSubmittedBuilds: limits.maxRebuilds,
    skipPaths: [],
  },
  merging: { defaultMethod: 'squash' },
  approval: { requireApproval: false, groupsRequireApproval: false, trustedBots: [] },
  retention: null,
  // Nothing is older than the review: what failed for one side is not built again for the other.
  failureDays: 1,
  minFreeBytes: 0,
  listen: { tcp: null, socket: { path: socketPath, mode: 0o600 }, closeTimeoutMs: 1000 },
  http: { metricsToken: null, behindTls: false, trustedProxies: [], origins: { allowed: [], own: null } },
});

/** What goes wrong is told by the answers; the log is for faults that nobody asked about. */
const loggersOn = (env: NodeJS.ProcessEnv): ((target: string) => Logger) =>
  createLoggers({
    filter: env['EKA_CI_LOG'] || 'error',
    format: 'plain',
    write: (line) => process.stderr.write(line),
  });

/** A folder for everything, and a place for the socket: the kernel takes only short paths of one. */
const withPlace = async (serve: (place: Place) => Promise<void>): Promise<void> => {
  const folder = await createWorkFolder(folderPrefix);
  try {
    const socketPath = join(folder.path, 'socket');
    if (fitsSocketPath(socketPath)) return await serve({ folder: folder.path, socketPath });
    const short = await createWorkFolder(folderPrefix, '/tmp');
    try {
      return await serve({ folder: folder.path, socketPath: join(short.path, 'socket') });
    } finally {
      await short.remove();
    }
  } finally {
    await folder.remove();
  }
};

const serveOnce = async (version: string): Promise<void> => {
  const notWanted = untilNotWanted();
  try {
    const options = await readOptions();
    if (options === null) return;
    await withPlace(async (place) => {
      const fault = Promise.withResolvers<never>();
      fault.promise.catch(() => {}); // It may come when the end has begun.
      // Nobody would make room in a folder that goes with the review.
      const deps = {
        env: process.env,
        loggerFor: loggersOn(process.env),
        onDatabaseFault: fault.reject,
      };
      const server = await startServer(optionsFor(options, place, version), deps);
      try {
        send({ type: 'listening', socketPath: place.socketPath });
        letYoungObjectsGrow();
        await Promise.race([notWanted, fault.promise]);
      } finally {
        await server.stop();
      }
    });
  } catch (error) {
    send(faultOf(error));
    process.exitCode = 1;
  } finally {
    await endAllChildren();
    process.stdin.destroy();
  }
};

/** @param rest the arguments after `ephemeral`; it takes none */
export const ephemeral = async (rest: readonly string[], version: string): Promise<void> => {
  if (rest.length === 0) {
    await serveOnce(version);
  } else if (rest.includes('--help')) {
    process.stdout.write(usage);
  } else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
};
