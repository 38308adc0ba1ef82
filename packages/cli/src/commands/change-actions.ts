// `ekaci cancel`, `ekaci approve` and `ekaci rejudge`: what operators do to one change.
import { AuthorApproval } from '@eka-ci/protocol/approved-author';
import { Change } from '@eka-ci/protocol/change';
import type { Command } from 'commander';
import { changePath, commitSha, repositoryName, reviewId, wholeNumber } from '../arguments.ts';
import { printable } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface ActionOptions extends ServerCommandOptions {
  readonly review?: string;
  readonly author?: boolean;
  readonly head?: string;
}

interface ActionHelp {
  readonly summary: string;
  /** What is said of the change as it is then. */
  readonly text: (change: Change, name: string) => string;
}

const standingOf = ({ state, conclusion }: Change): string =>
  conclusion === null ? state : `${state} (${conclusion})`;

const approveAuthor = (options: ActionOptions, path: string): Promise<void> =>
  showAnswer(options, {
    ask: ({ post }) => post(`${path}/approve-author`, null, AuthorApproval),
    text: ({ author, changes }) => {
      const released = changes.map(({ repository, number }) => `${repository} ${number}`).join(', ');
      const rest = changes.length === 0 ? '' : ` Queued by it: ${released}.`;
      return `${printable(`${author.login} (${author.forge} ${author.id}) needs no approval from now on.${rest}`)}\n`;
    },
  });

const actionCommand = (action: string, { summary, text }: ActionHelp): Command => {
  const run = (
    repository: string | undefined,
    number: number | undefined,
    ...[options, command]: [ActionOptions, Command]
  ): Promise<void> => {
    const { review } = options;
    const isChange = repository !== undefined && number !== undefined;
    if (options.author === true && !isChange) {
      command.error('error: --author is of a change: name it (OWNER/REPO NUMBER)', { exitCode: 2 });
    }
    if (options.head !== undefined && (!isChange || options.author === true)) {
      command.error('error: --head is of one change: name it (OWNER/REPO NUMBER)', { exitCode: 2 });
    }
    if (isChange === (review !== undefined) || (repository !== undefined && number === undefined)) {
      command.error('error: name a change (OWNER/REPO NUMBER), or a review (--review ID)', { exitCode: 2 });
    }
    const path = isChange ? changePath(repository, number) : `/v1/reviews/${review}`;
    const name = isChange ? `${repository} ${number}` : `the review ${review}`;
    if (options.author === true) return approveAuthor(options, path);
    const head = options.head === undefined ? '' : `?head=${options.head}`;
    return showAnswer(options, {
      ask: ({ post }) => post(`${path}/${action}${head}`, null, Change),
      text: (change) => `${printable(text(change, name))}\n`,
    });
  };
  return serverCommand(action, {
    summary,
    examples: [
      `ekaci ${action} me/packages 12`,
      `ekaci ${action} github.com/me/packages 12 --head 3f2504e04f8911d39a0c0305e82c3301aabbccdd`,
      `ekaci ${action} --review 7c9e6679-7425-40de-944b-e07fc1f90ae7`,
    ],
    statuses: [
      'it is done, or there was nothing to do',
      'the server said no: no such change, not in its state, or you may not do this',
    ],
  })
    .argument('[repository]', 'its configured name, OWNER/REPO, or HOST/OWNER/REPO', repositoryName)
    .argument('[number]', 'of the change', wholeNumber(1))
    .option('--head <sha>', 'only while this is its head: the whole commit id that was looked at', commitSha)
    .option('--review <id>', 'a change that was submitted by hand, instead', reviewId)
    .action(run);
};

export const cancelCommand = (): Command =>
  actionCommand('cancel', {
    summary: 'stop judging a change',
    text: (change, name) =>
      change.conclusion === 'cancelled'
        ? `${name} is cancelled: it is judged again when its head moves, or by "ekaci rejudge".`
        : `There is nothing to cancel: ${name} is ${standingOf(change)}.`,
  });

export const approveCommand = (): Command =>
  actionCommand('approve', {
    summary: 'let a change build, from wherever it comes and however much it takes',
    text: (change, name) =>
      change.state === 'queued' || change.state === 'judging'
        ? `${name} is approved at ${change.headSha.slice(0, 12)}, and ${change.state}; a newer head needs it again.`
        : `${name} was approved already: it is ${standingOf(change)}.`,
  }).option('--author', 'approve whoever offers it for good: nothing of theirs waits from now on');

export const rejudgeCommand = (): Command =>
  actionCommand('rejudge', {
    summary: 'judge a change again: what failed is built once more',
    text: (change, name) => `${name} is ${standingOf(change)}.`,
  });
