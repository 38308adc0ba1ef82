// `ekaci rebuild`: has failures tried again that would be believed, and the changes that showed them judged again.
import type { Change } from '@eka-ci/protocol/change';
import { Rebuild } from '@eka-ci/protocol/rebuild';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { changePath, derivationName, repositoryName, reviewId, wholeNumber } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { printable } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface RebuildOptions extends ServerCommandOptions {
  /** The path of a change in the API. */
  readonly change?: string;
  readonly review?: string;
  readonly failed?: true;
  readonly allFailed?: true;
}

/** @returns the path of the change in the API */
const changeName = (text: string): string => {
  const [repository = '', number = '', ...more] = text.split('#');
  if (more.length > 0 || number === '') {
    throw new InvalidArgumentError('a change is wanted: OWNER/REPO#NUMBER.');
  }
  return changePath(repositoryName(repository), wholeNumber(1)(number));
};

const nameOf = ({ kind, repository, number, branch, id }: Change): string => {
  if (kind === 'submitted') return `the review ${id}`;
  return kind === 'baseline' ? `${repository} ${branch}` : `${repository}#${number}`;
};

const rebuildText = ({ cleared, changes }: Rebuild): string => {
  if (cleared === 0 && changes.length === 0) {
    return 'There is nothing to try again: nothing of it failed, or it was asked for already.\n';
  }
  const derivations = `${cleared} ${cleared === 1 ? 'derivation' : 'derivations'}`;
  const tried = cleared === 0 ? 'Nothing more is cleared' : `Cleared: ${derivations}, to be tried again`;
  if (changes.length === 0)
    return `${tried}. No open change showed them: the next that needs them does it.\n`;
  const lines = changes.map((change) => `  ${printable(nameOf(change))}  ${change.state}\n`);
  return `${tried}. Judged again:\n${lines.join('')}`;
};

/** One answer for several questions. */
const together = (answers: readonly Rebuild[]): Rebuild => ({
  cleared: answers.reduce((sum, { cleared }) => sum + cleared, 0),
  changes: [
    ...new Map(answers.flatMap(({ changes }) => changes.map((change) => [change.id, change]))).values(),
  ],
});

const rebuildDerivations = async ({ post }: Client, names: readonly string[]): Promise<Rebuild> => {
  const answers: Rebuild[] = [];
  for (const drv of names) {
    answers.push(await post(`/v1/drvs/${encodeURIComponent(drv)}/rebuild`, null, Rebuild));
  }
  return together(answers);
};

/** Null for wrong usage. */
const questionFor = (
  names: readonly string[],
  { change, review, failed, allFailed }: RebuildOptions,
): ((client: Client) => Promise<Rebuild>) | null => {
  const ofChange = change ?? (review === undefined ? null : `/v1/reviews/${review}`);
  if (allFailed === true) {
    if (names.length > 0 || ofChange !== null || failed === true) return null;
    return ({ post }) => post('/v1/admin/rebuild-all-failed', null, Rebuild);
  }
  if (ofChange === null) {
    if (names.length === 0 || failed === true) return null;
    const drvs = names.map(derivationName);
    return (client) => rebuildDerivations(client, drvs);
  }
  if (names.length > 0 && failed === true) return null;
  const asked = names.length === 0 ? {} : { attrs: [...names] };
  return ({ post }) => post(`${ofChange}/rebuild`, asked, Rebuild);
};

const usage =
  'name derivations; or a change (--change OWNER/REPO#NUMBER, --review ID) with some of its attributes or with ' +
  '--failed; or --all-failed';

const rebuild = (names: readonly string[], options: RebuildOptions, command: Command): Promise<void> => {
  let ask: ReturnType<typeof questionFor> = null;
  try {
    ask = questionFor(names, options);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    command.error(`error: ${error.message} Attributes are those of a --change or --review.`, { exitCode: 2 });
  }
  if (ask === null) command.error(`error: ${usage}`, { exitCode: 2 });
  return showAnswer(options, { ask, text: rebuildText });
};

export const rebuildCommand = (): Command =>
  serverCommand('rebuild', {
    summary: 'try again what failed, and judge again what showed it',
    examples: [
      'ekaci rebuild /nix/store/8nq1…-fetcher-2.0.0.drv',
      'ekaci rebuild --change me/packages#12',
      'ekaci rebuild --change me/packages#12 fetcher python3Packages.requests',
      'ekaci rebuild --review 7c9e6679-7425-40de-944b-e07fc1f90ae7 --failed --json',
      'ekaci rebuild --all-failed',
    ],
    statuses: [
      'it is tried again, or there was nothing to try again',
      'the server said no: no such derivation, change or attribute, or you may not do this',
    ],
  })
    .argument('[names...]', 'derivations, by path or the last part of it; attributes of the change')
    .addOption(
      new Option('--change <name>', 'what failed of this change, OWNER/REPO#NUMBER')
        .argParser(changeName)
        .conflicts('review'),
    )
    .addOption(
      new Option('--review <id>', 'what failed of a change that was submitted by hand').argParser(reviewId),
    )
    .option('--failed', 'all of the change that failed; the same as naming no attribute')
    .option('--all-failed', 'whatever failed, of all changes')
    .addHelpText(
      'after',
      `
What failed by its own doing is not tried again for retention.failure_days, whatever change needs it. This ends that for
a derivation and for all that failed by it; open changes that showed it are judged again. What succeeded is not built
again. "ekaci build DRV --force" builds one derivation now, for no change.
`,
    )
    .action(rebuild);
