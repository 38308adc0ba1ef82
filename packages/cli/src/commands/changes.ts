// `ekaci changes`: the changes of all repositories with their verdicts.
import { type Change, ChangePage, ChangeState } from '@eka-ci/protocol/change';
import { type Command, Option } from 'commander';
import { formatAge, tableText } from '../answer-text.ts';
import { wholeNumber } from '../arguments.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface ChangesOptions extends ServerCommandOptions {
  readonly repository?: string;
  readonly state?: string;
  readonly limit: number;
}

const pathOf = ({ repository, state, limit }: ChangesOptions): string => {
  const query = new URLSearchParams({ limit: String(limit) });
  if (repository !== undefined) query.set('repository', repository);
  if (state !== undefined) query.set('state', state);
  return `/v1/prs?${query.toString()}`;
};

const verdictOf = ({ state, conclusion, fault }: Change): string => {
  if (state === 'failed') return `not judged: ${fault?.split('\n')[0] ?? 'no reason is known'}`;
  if (state === 'judged') return conclusion ?? state;
  return conclusion === null ? state : `${state} (${conclusion})`;
};

/** The verdict is last: it may be a sentence. */
const changesText = ({ changes, nextCursor }: ChangePage, now: number): string => {
  if (changes.length === 0) return 'No changes.\n';
  const rows = changes.map((change) => [
    change.repository,
    String(change.number),
    change.branch,
    formatAge(now - change.createdAtMs),
    verdictOf(change),
  ]);
  const more = nextCursor === null ? '' : '(there are more: --limit tells how many are shown)\n';
  return `${tableText(['REPOSITORY', 'NUMBER', 'BRANCH', 'AGE', 'VERDICT'], rows)}${more}`;
};

const changes = (options: ChangesOptions): Promise<void> =>
  showAnswer(options, {
    ask: ({ get }) => get(pathOf(options), ChangePage),
    text: (page) => changesText(page, Date.now()),
  });

export const changesCommand = (): Command =>
  serverCommand('changes', {
    summary: 'list changes with their verdicts, newest first',
    examples: [
      'ekaci changes',
      'ekaci changes --repository me/packages --state judged',
      'ekaci changes --limit 500 --json',
    ],
  })
    .option('--repository <name>', 'only this one, by its configured name')
    .addOption(
      new Option('--state <state>', 'only these; all but superseded without it').choices(ChangeState.options),
    )
    .option('--limit <n>', 'how many are shown', wholeNumber(1, 500), 50)
    .action(changes);
