// What all commands that ask a running server share: their options, their help, how they end.
import { Command, Option } from 'commander';
import { jsonText } from './answer-text.ts';
import { serverUrl } from './arguments.ts';
import { type Client, createClient } from './client/client.ts';
import { ClientError } from './client/client-error.ts';
import { findServer } from './client/find-server.ts';
import { type ChosenServer, serverAddress } from './client/server-address.ts';
import { printableLines } from './progress/progress-view.ts';

export interface ServerCommandOptions extends ChosenServer {
  readonly json?: true;
}

const exitStatuses = `
Exit status:
  0    the answer is printed
  1    the server said no: there is no such thing, or not yet
  2    it could not be asked: wrong usage, no server, an answer that is not understood
`;

interface ServerCommandHelp {
  readonly summary: string;
  /** Whole commands, one each. */
  readonly examples: readonly string[];
}

export const serverCommand = (name: string, { summary, examples }: ServerCommandHelp): Command =>
  new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}. Asks a running eka-ci-server.`)
    .addOption(
      new Option(
        '--socket <path>',
        'the unix socket of the server (default: $EKA_CI_SOCKET, else the usual places)',
      ).conflicts('server'),
    )
    .addOption(new Option('--server <url>', 'ask the server at this address instead').argParser(serverUrl))
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}${exitStatuses}`);

/** Asks, and sets the exit status; what went wrong is printed. */
export const withServer = async (
  options: ServerCommandOptions,
  ask: (client: Client) => Promise<void>,
): Promise<void> => {
  try {
    await ask(createClient(await findServer(serverAddress(options, process.env))));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const code = error.code === 'SERVER_REFUSED' ? '' : `${error.code}: `;
    process.stderr.write(`ekaci: ${code}${printableLines(error.message)}\n`);
    process.exitCode = error.code === 'SERVER_REFUSED' ? 1 : 2;
  }
};

interface Query<Answer> {
  ask(client: Client): Promise<Answer>;
  /** Printable; ends with a line feed. */
  text(answer: Answer): string;
}

/** Asks once and prints the answer, as JSON where that is wanted. */
export const showAnswer = <Answer>(options: ServerCommandOptions, query: Query<Answer>): Promise<void> =>
  withServer(options, async (client) => {
    const answer = await query.ask(client);
    process.stdout.write(options.json ? `${jsonText(answer, 2)}\n` : query.text(answer));
  });
