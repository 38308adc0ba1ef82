// `eka-ci-server review`: judges one change for the `ekaci` that started it, over standard input and output.
import { createInterface } from 'node:readline';
import { endAllChildren } from '@eka-ci/process';
import { type ReviewEvent, ReviewRequest, type Sent } from '@eka-ci/protocol/review';
import { errorCodeOf } from '../lib/error-code.ts';
import { explainSystemError } from '../lib/system-error.ts';
import { reviewOnce } from '../review.ts';

const usage = `eka-ci-server review

Reads one review request, a line of JSON, from standard input, and writes events to standard output, a line of JSON
each. Closing its standard input cancels the review. "ekaci review" starts it; there is no need to do so by hand.
`;

const send = (event: Sent<ReviewEvent>): void => {
  if (process.stdout.writable) process.stdout.write(`${JSON.stringify(event)}\n`);
};

const faultOf = (error: unknown): ReviewEvent => {
  const code = errorCodeOf(error);
  if (error instanceof Error && code !== '')
    return { type: 'fault', code, message: explainSystemError(error) ?? error.message };
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { type: 'fault', code: 'INTERNAL', message: `this is a bug in EkaCI; please report it:\n${detail}` };
};

/** Cancels when the one who asked has gone, or wants the end. */
const cancelWithClient = (): AbortController => {
  const cancel = new AbortController();
  process.stdin.once('end', () => cancel.abort());
  // Each event after the reader has gone fails anew; unheard, the second would end us before we have cleaned up.
  process.stdout.on('error', () => cancel.abort());
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => cancel.abort());
  return cancel;
};

const readRequest = async (): Promise<ReviewRequest> => {
  const lines = createInterface({ input: process.stdin });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    lines.once('close', () => reject(new Error('no request came on standard input')));
  });
  return ReviewRequest.parse(JSON.parse(line));
};

const judgeOnce = async (): Promise<void> => {
  const cancel = cancelWithClient();
  try {
    const request = await readRequest();
    const { summary, markdown, logsDir } = await reviewOnce(
      { env: process.env, onEvent: send },
      request,
      cancel.signal,
    );
    send({ type: 'result', summary, markdown, logsDir });
  } catch (error) {
    send(cancel.signal.aborted ? { type: 'fault', code: 'CANCELLED', message: 'cancelled' } : faultOf(error));
    process.exitCode = 1;
  } finally {
    await endAllChildren();
    process.stdin.destroy();
  }
};

/** @param rest the arguments after `review`; it takes none */
export const review = async (rest: readonly string[]): Promise<void> => {
  if (rest.length === 0) {
    await judgeOnce();
  } else if (rest.includes('--help')) {
    process.stdout.write(usage);
  } else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
};
