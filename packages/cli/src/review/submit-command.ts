// What `ekaci repo`, `ekaci git` and `ekaci job` share: they have a running server judge something, and follow it.
import { randomUUID } from 'node:crypto';
import { Review, type ReviewSubmission } from '@eka-ci/protocol/submission';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import { createClient } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import type { Endpoint } from '../client/find-server.ts';
import { openLive } from '../client/live.ts';
import { chosenEndpoint, type ServerCommandOptions, serverCommand } from '../server-command.ts';
import { followReview } from './follow-review.ts';
import { exitStatusOf, faultOfClient, outcomeOf, type ReviewOutcome } from './review-outcome.ts';
import { printOutcome, progressView, type ShowOptions } from './show-review.ts';

export interface SubmitOptions extends ServerCommandOptions, ShowOptions {
  readonly json?: true;
  readonly base?: string;
  readonly build: boolean;
  readonly detach?: true;
}

interface SubmitCommandHelp {
  readonly summary: string;
  readonly examples: readonly string[];
  /** What `--base` is where it is not given. */
  readonly defaultBase: string;
}

/** A command without its arguments. */
export const submitCommand = (name: string, { summary, examples, defaultBase }: SubmitCommandHelp): Command =>
  serverCommand(name, {
    summary,
    examples,
    statuses: ['nothing newly fails; with --detach: the server has it', 'something newly fails'],
    otherStatuses: [
      '     there is no verdict: no such commit, a merge conflict, an evaluation that died, nothing to build',
      '130  interrupted: the server goes on with it',
    ],
  })
    .option('--base <rev>', `what it is merged into and compared with (default: ${defaultBase})`)
    .option('--no-build', 'evaluate and compare only')
    .option('--markdown', 'print the summary as Markdown')
    .option('-q, --quiet', 'show no progress')
    .option('--detach', 'print the id and end; the server goes on')
    .addHelpText(
      'after',
      '\nFor admins of the server: over its unix socket, or with a token of one of them.\n',
    );

/** A running server may be started anew meanwhile. */
const patienceMs = 120_000;

type NewReview = Omit<ReviewSubmission, 'id'>;

/** What the repository is to a server that cannot read it. */
const explainPath = (outcome: ReviewOutcome, { source }: NewReview): ReviewOutcome => {
  const unread = ['GIT_NOT_A_REPOSITORY', 'GIT_PERMISSION_DENIED', 'GIT_UNTRUSTED_OWNER'];
  if (outcome.kind !== 'fault' || source.kind !== 'local' || !unread.includes(outcome.code)) return outcome;
  const hint = `The server reads ${source.path} itself: it must be on the server's machine, and readable for its user.`;
  return { ...outcome, message: `${outcome.message}\n${hint}` };
};

const follow = async (
  endpoint: Endpoint,
  submission: ReviewSubmission,
  options: SubmitOptions,
): Promise<ReviewOutcome> => {
  const cancel = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Asked again, it does not wait for an answer that is under way.
    process.on(name, () => (cancel.signal.aborted ? process.exit(130) : cancel.abort()));
  }
  const view = progressView(options);
  const { id } = submission;
  const review = await followReview(
    {
      client: createClient(endpoint),
      openLive: () => openLive(endpoint),
      onEvent: (event) => view.show(event),
      onSubmitted: () => view.show({ type: 'notice', level: 'info', message: `the server has it as ${id}` }),
      patienceMs,
      onRetry: 'wait',
    },
    submission,
    cancel.signal,
  )
    .catch((error: unknown) => {
      if (cancel.signal.aborted) return null;
      throw error;
    })
    .finally(() => view.end());
  return review === null ? { kind: 'cancelled' } : outcomeOf(review, submission.build);
};

const submit = async (
  endpoint: Endpoint,
  submission: ReviewSubmission,
  options: SubmitOptions,
): Promise<void> => {
  const review = await createClient(endpoint).post('/v1/reviews', submission, Review);
  process.stdout.write(options.json ? `${jsonText(review, 2)}\n` : `${review.id}\n`);
};

/** Sets the exit status; what went wrong is printed. */
export const judgeOnServer = async (
  command: string,
  review: NewReview,
  options: SubmitOptions,
): Promise<void> => {
  const submission = { id: randomUUID(), ...review };
  let outcome: ReviewOutcome;
  try {
    const endpoint = await chosenEndpoint(options);
    if (options.detach) return await submit(endpoint, submission, options);
    outcome = await follow(endpoint, submission, options);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    outcome = explainPath(faultOfClient(error), review);
  }
  printOutcome(command, outcome, options);
  if (outcome.kind === 'cancelled') {
    process.stderr.write(`The server goes on with it; "ekaci cancel --review ${submission.id}" ends it.\n`);
  }
  process.exitCode = exitStatusOf(outcome);
};
