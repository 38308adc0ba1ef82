// `ekaci summary`: the verdict on a change or a commit, as `ekaci review` prints it.
import { ChangeDetail } from '@eka-ci/protocol/change';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import { changePath, isRepositoryName, wholeNumber } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { printableLines } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';
import { summaryText } from '../summary-text.ts';
import { columnsOf, useColours } from '../terminal.ts';

interface SummaryOptions extends ServerCommandOptions {
  readonly markdown?: true;
}

type Subject =
  | { readonly kind: 'commit'; readonly sha: string }
  | { readonly kind: 'change'; readonly repository: string; readonly number: number };

interface Found {
  readonly summary: ChangeSummary;
  readonly markdownPath: string;
}

/** Null where it is neither. */
const parseSubject = (what: string, number: number | undefined): Subject | null => {
  if (number !== undefined) {
    return isRepositoryName(what) ? { kind: 'change', repository: what, number } : null;
  }
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(what) ? { kind: 'commit', sha: what } : null;
};

const findOfCommit = async ({ get }: Client, sha: string): Promise<Found> => {
  const path = `/v1/commits/${sha}/change-summary`;
  return { summary: await get(path, ChangeSummary), markdownPath: `${path}.md` };
};

const findOfChange = async ({ get }: Client, repository: string, number: number): Promise<Found> => {
  const { summary, state, fault, headSha, baseSha } = await get(changePath(repository, number), ChangeDetail);
  if (summary === null) {
    const why = fault === null ? `it is ${state}; ask again later` : fault;
    throw new ClientError(
      'SERVER_REFUSED',
      `SUMMARY_NOT_FOUND: ${repository} ${number} has no summary: ${why}`,
    );
  }
  return { summary, markdownPath: `/v1/commits/${headSha}/change-summary.md?base_sha=${baseSha}` };
};

const render = async (client: Client, found: Found, options: SummaryOptions): Promise<string> => {
  if (options.json) return `${jsonText(found.summary, 2)}\n`;
  if (!options.markdown) return summaryText(found.summary, { colours: useColours(), columns: columnsOf() });
  const markdown = printableLines(await client.getText(found.markdownPath));
  return markdown.endsWith('\n') ? markdown : `${markdown}\n`;
};

const summary = async (
  what: string,
  number: number | undefined,
  ...[options, command]: [SummaryOptions, Command]
): Promise<void> => {
  const subject = parseSubject(what, number);
  if (subject === null) {
    return command.error('error: name a change (OWNER/REPO NUMBER), or a commit by all its 40 digits', {
      exitCode: 2,
    });
  }
  await withServer(options, async (client) => {
    const found =
      subject.kind === 'commit'
        ? await findOfCommit(client, subject.sha)
        : await findOfChange(client, subject.repository, subject.number);
    process.stdout.write(await render(client, found, options));
  });
};

export const summaryCommand = (): Command =>
  serverCommand('summary', {
    summary: 'print the verdict on a change and what it rests on',
    examples: [
      'ekaci summary me/packages 12',
      'ekaci summary me/packages 12 --markdown > summary.md',
      'ekaci summary 2f5c0d3f0c1b6a5e4d3c2b1a09f8e7d6c5b4a392 --json',
    ],
  })
    .argument('<repository|sha>', 'its configured name, or HOST/OWNER/REPO; or a commit')
    .argument('[number]', 'of the change, where a repository is named', wholeNumber(1))
    .option('--markdown', 'print it as a forge would show it')
    .action(summary);
