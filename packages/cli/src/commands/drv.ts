// `ekaci drv`: what is known of one derivation.
import { Derivation, DerivationWhy } from '@eka-ci/protocol/derivation';
import { type HookRun, HookRunPage } from '@eka-ci/protocol/hook';
import { Command } from 'commander';
import { factsText, tableText } from '../answer-text.ts';
import { derivationName } from '../arguments.ts';
import { formatDuration } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

type Attempt = Derivation['attempts'][number];

const pathOf = (drv: string): string => `/v1/drvs/${encodeURIComponent(drv)}`;

/** Nothing as well where the server's clock was set back meanwhile: nobody knows it then. */
const durationOf = ({ startedAtMs, finishedAtMs }: Attempt): string =>
  startedAtMs === null || finishedAtMs === null || finishedAtMs < startedAtMs
    ? ''
    : formatDuration(finishedAtMs - startedAtMs);

const attemptRow = (attempt: Attempt): string[] => [
  String(attempt.attempt),
  attempt.state,
  attempt.cause ?? '',
  durationOf(attempt),
  attempt.message ?? attempt.culprit ?? '',
];

const derivationText = (derivation: Derivation): string => {
  const { drvPath, system, state, why, outputs, dependencies, requiredFeatures, attempts } = derivation;
  const facts = factsText([
    ['derivation', drvPath],
    ['system', system],
    ['state', state ?? 'nobody wanted it built'],
    ['waits for', why],
    ['features', requiredFeatures.length === 0 ? null : requiredFeatures.join(', ')],
    ['dependencies', String(dependencies)],
    ...outputs.map(
      ({ name, path }) => [`output ${name}`, path ?? 'known after the build'] satisfies [string, string],
    ),
  ]);
  if (attempts.length === 0) return facts;
  return `${facts}\n${tableText(['ATTEMPT', 'STATE', 'CAUSE', 'TIME', 'MESSAGE'], attempts.map(attemptRow))}`;
};

const hookTime = ({ startedAtMs, finishedAtMs }: HookRun): string =>
  startedAtMs === null || finishedAtMs === null || finishedAtMs < startedAtMs
    ? ''
    : formatDuration(finishedAtMs - startedAtMs);

const hookRow = (run: HookRun): string[] => [
  run.hook,
  String(run.attempt),
  run.state,
  hookTime(run),
  `${run.job} of ${run.repository}, ${run.branch}`,
  run.message ?? (run.exitStatus === null || run.exitStatus === 0 ? '' : `status ${run.exitStatus}`),
];

const hooksText = ({ total, runs }: HookRunPage): string => {
  if (total === 0) return '';
  const rest = total > runs.length ? `and ${total - runs.length} earlier ones\n` : '';
  const table = tableText(['HOOK', 'ATTEMPT', 'STATE', 'TIME', 'FOR', 'MESSAGE'], runs.map(hookRow));
  return `\n${table}${rest}`;
};

const info = (drv: string, options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, {
    async ask({ get }) {
      const derivation = await get(pathOf(drv), Derivation);
      return { ...derivation, hooks: await get(`${pathOf(drv)}/hooks`, HookRunPage) };
    },
    text: ({ hooks, ...derivation }) => `${derivationText(derivation)}${hooksText(hooks)}`,
  });

const why = (drv: string, options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, {
    ask: ({ get }) => get(`${pathOf(drv)}/why`, DerivationWhy),
    text: (answer) =>
      factsText([
        ['state', answer.state ?? 'nobody wanted it built'],
        ['waits for', answer.why ?? 'nothing'],
      ]),
  });

const drvArgument = ['<drv>', 'by its path or the last part of it', derivationName] as const;

export const drvCommand = (): Command =>
  new Command('drv')
    .summary('tell what is known of a derivation')
    .description('Tells what is known of a derivation. Asks a running eka-ci-server.')
    .addCommand(
      serverCommand('info', {
        summary: 'tell what it is and how its builds went',
        examples: ['ekaci drv info /nix/store/8nq1…-fetcher-2.0.0.drv'],
      })
        .argument(...drvArgument)
        .action(info),
    )
    .addCommand(
      serverCommand('why', {
        summary: 'tell what its build waits for',
        examples: ['ekaci drv why 8nq1…-fetcher-2.0.0.drv'],
      })
        .argument(...drvArgument)
        .action(why),
    );
