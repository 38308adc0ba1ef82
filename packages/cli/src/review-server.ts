// Starts the server for one review and gives what it tells as events. The server ends with us: its standard
// input is its lifeline.
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { ReviewEvent, type ReviewRequest } from '@eka-ci/protocol/review';

/** Thrown when the server ends without a verdict or says something that is not an event. */
export class ReviewServerError extends Error {
  readonly code = 'REVIEW_SERVER_FAILED';
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ReviewServerError';
  }
}

const inheritedEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

const startServer = (request: ReviewRequest): Promise<Child> =>
  startChild({
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve('@eka-ci/server/main')), 'review'],
    env: inheritedEnvironment(),
    stdin: `${JSON.stringify(request)}\n`,
    keepStdinOpen: true,
    killGraceMs: 1000,
  });

const parseEvent = (line: string): ReviewEvent => {
  try {
    return ReviewEvent.parse(JSON.parse(line));
  } catch (cause) {
    throw new ReviewServerError(
      `the server said something that is not an event: ${line.slice(0, 200)}`,
      cause,
    );
  }
};

export interface Cancellation {
  /** Ends the review in good order. */
  readonly cancel: AbortSignal;
  /** Ends it at once. */
  readonly kill: AbortSignal;
}

/** Longer than the server and Nix take to end in good order. */
const patienceMs = 25_000;

/** Asks the server to end by closing its standard input; one that does not is ended by force. */
const endOnCancel = (server: Child, { cancel, kill }: Cancellation): (() => void) => {
  let patience: NodeJS.Timeout | undefined;
  const onKill = (): void => server.end();
  const onCancel = (): void => {
    server.stdin?.end();
    patience = setTimeout(onKill, patienceMs);
  };
  cancel.addEventListener('abort', onCancel, { once: true });
  kill.addEventListener('abort', onKill, { once: true });
  if (cancel.aborted) onCancel();
  return () => {
    clearTimeout(patience);
    cancel.removeEventListener('abort', onCancel);
    kill.removeEventListener('abort', onKill);
  };
};

/**
 * The events of one review, the last one `result` or `fault`. When it is cancelled the server ends its children, and
 * the stream ends with a `fault`.
 * @throws ReviewServerError when the server dies without a last word
 */
export async function* reviewEvents(request: ReviewRequest, stop: Cancellation): AsyncGenerator<ReviewEvent> {
  const server = await startServer(request);
  const complaints: string[] = [];
  const listening = (async () => {
    for await (const line of readLines(server.stderr)) {
      complaints.push(line);
      if (complaints.length > 40) complaints.shift();
    }
  })();
  const release = endOnCancel(server, stop);
  let last: ReviewEvent | undefined;
  try {
    for await (const line of readLines(server.stdout, 256 * 1024 * 1024)) {
      last = parseEvent(line);
      yield last;
    }
    await listening;
    const exit = await server.exited;
    if (last?.type !== 'result' && last?.type !== 'fault') {
      const how = exit.signal === null ? `with status ${exit.code}` : `by ${exit.signal}`;
      throw new ReviewServerError([`the server ended ${how} before a verdict`, ...complaints].join('\n'));
    }
  } finally {
    release();
    server.stdin?.end();
  }
}
