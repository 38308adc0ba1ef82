// `ekaci changes`: the changes of all repositories with their verdicts.
import { type Change, ChangeKind, ChangePage, ChangeState } from '@eka-ci/protocol/change';
import { type Command, Option } from 'commander';
import { formatAge, tableText } from '../answer-text.ts';
import { wholeNumber } from '../arguments.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface ChangesOptions extends ServerCommandOptions {
  readonly repository?: string;
  readonly state?: string;
  readonly kind?: string;
  readonly limit: number;
}

const pathOf = ({ repository, state, kind, limit }: ChangesOptions): string => {
  const query = new URLSearchParams({ limit: String(limit) });
  if (repository !== undefined) query.set('repository', repository);
  if (state !== undefined) query.set('state', state);
  if (kind !== undefined) query.set('kind', kind);
  return `/v1/prs?${query.toString()}`;
};

const firstLine = (text: string): string => text.split('\n')[0] ?? '';

const verdictOf = (change: Change, now: number): string => {
  const { kind, state, conclusion, fault, repository, number, approved, retryAtMs } = change;
  if (state === 'queued' && fault !== null && retryAtMs !== null) {
    const again = retryAtMs > now ? `in ${formatAge(retryAtMs - now)}` : 'now';
    return `tried again ${again}: ${firstLine(fault)}`;
  }
  if (approved && (state === 'queued' || state === 'judging')) return `${state} (approved)`;
  if (state === 'failed' && conclusion === 'cancelled') return conclusion;
  if (state === 'failed') return `not judged: ${firstLine(fault ?? 'no reason is known')}`;
  // It goes on when those are.
  if (state === 'awaiting-approval' && kind === 'group') return 'waits for the approval of its changes';
  if (state === 'awaiting-approval' || (state === 'judged' && conclusion === 'action-required')) {
    return `waits for approval (ekaci approve ${repository} ${number})`;
  }
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
    verdictOf(change, now),
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
    .option('--repository <name>', 'only this one, by its configured name, or HOST/OWNER/REPO')
    .addOption(
      new Option('--state <state>', 'only these; all but superseded without it').choices(ChangeState.options),
    )
    .addOption(
      new Option('--kind <kind>', 'only these; branches and what forges offer without it').choices(
        ChangeKind.options,
      ),
    )
    .option('--limit <n>', 'how many are shown', wholeNumber(1, 500), 50)
    .action(changes);
