// Starts a server for one review. It ends with us: its standard input is its lifeline.
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { EphemeralAnswer, type EphemeralOptions } from '@eka-ci/protocol/ephemeral';
import type { Endpoint } from '../client/find-server.ts';

/** Thrown when the server of a review cannot start, or ends before it should. */
export class ReviewServerError extends Error {
  readonly code = 'REVIEW_SERVER_FAILED';
  /** The server's own code for it, where it gave one. */
  readonly serverCode: string | null;
  constructor(message: string, options?: ErrorOptions & { readonly serverCode?: string }) {
    super(message, options);
    this.name = 'ReviewServerError';
    this.serverCode = options?.serverCode ?? null;
  }
}

export interface Cancellation {
  /** Ends the review in good order. */
  readonly cancel: AbortSignal;
  /** Ends it at once. */
  readonly kill: AbortSignal;
}

export interface EphemeralServer {
  readonly endpoint: Endpoint;
  /** Rejects with a ReviewServerError when the server has gone; never resolves. */
  readonly gone: Promise<never>;
  /** Resolves when it has gone, and all it started. Idempotent. */
  end(): Promise<void>;
}

/** Longer than the server and Nix take to end in good order. */
const patienceMs = 25_000;
const maxComplaints = 40;

const serverProgram = fileURLToPath(new URL('eka-ci-server.mjs', import.meta.resolve('@eka-ci/server/main')));

const inheritedEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      // The token is another server's.
      (entry): entry is [string, string] => entry[1] !== undefined && entry[0] !== 'EKA_CI_TOKEN',
    ),
  );

const startServer = (options: EphemeralOptions): Promise<Child> =>
  startChild({
    command: process.execPath,
    args: [serverProgram, 'ephemeral'],
    env: inheritedEnvironment(),
    stdin: `${JSON.stringify(options)}\n`,
    keepStdinOpen: true,
    killGraceMs: 1000,
  });

const parseAnswer = (line: string): EphemeralAnswer => {
  try {
    return EphemeralAnswer.parse(JSON.parse(line));
  } catch (cause) {
    throw new ReviewServerError(`the server said something that is not understood: ${line.slice(0, 200)}`, {
      cause,
    });
  }
};

/** Asks the server to end by closing its standard input; one that does not is ended by force. */
const createEnding = (server: Child, { cancel, kill }: Cancellation) => {
  let patience: NodeJS.Timeout | undefined;
  const onKill = (): void => server.end();
  const onCancel = (): void => {
    server.stdin?.end();
    patience ??= setTimeout(onKill, patienceMs);
  };
  cancel.addEventListener('abort', onCancel, { once: true });
  kill.addEventListener('abort', onKill, { once: true });
  if (cancel.aborted) onCancel();
  return async (): Promise<void> => {
    onCancel();
    await server.exited;
    clearTimeout(patience);
    cancel.removeEventListener('abort', onCancel);
    kill.removeEventListener('abort', onKill);
  };
};

/** The last lines of what the server complains about. */
const collectComplaints = (server: Child) => {
  const complaints: string[] = [];
  const read = async (): Promise<void> => {
    for await (const line of readLines(server.stderr)) {
      complaints.push(line);
      if (complaints.length > maxComplaints) complaints.shift();
    }
  };
  const done = read();
  return async (): Promise<readonly string[]> => {
    await done;
    return complaints;
  };
};

/** Reads all that the server says, and rejects when it has gone. */
const watch = async (server: Child, onListening: (socketPath: string) => void): Promise<never> => {
  const complaints = collectComplaints(server);
  for await (const line of readLines(server.stdout)) {
    const answer = parseAnswer(line);
    if (answer.type === 'fault') throw new ReviewServerError(answer.message, { serverCode: answer.code });
    onListening(answer.socketPath);
  }
  const { code, signal } = await server.exited;
  const how = signal === null ? `with status ${code}` : `by ${signal}`;
  throw new ReviewServerError(
    [`the server ended ${how} before a verdict`, ...(await complaints())].join('\n'),
  );
};

/**
 * Resolves when it listens.
 * @param stop while it runs; what was cancelled still ends through `end`
 * @throws ReviewServerError; it has gone then. StartError
 */
export const startEphemeralServer = async (
  options: EphemeralOptions,
  stop: Cancellation,
): Promise<EphemeralServer> => {
  const server = await startServer(options);
  const end = createEnding(server, stop);
  const listening = Promise.withResolvers<string>();
  const gone = watch(server, listening.resolve);
  // That it goes when it is told to is of interest to nobody.
  gone.catch(() => {});
  try {
    const path = await Promise.race([listening.promise, gone]);
    return { endpoint: { kind: 'socket', path }, gone, end };
  } catch (error) {
    await end();
    throw error;
  }
};
