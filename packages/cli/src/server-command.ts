// What all commands that ask a running server share: their options, their help, how they end.
import { Command, Option } from 'commander';
import { jsonText } from './answer-text.ts';
import { serverUrl } from './arguments.ts';
import { type Client, createClient } from './client/client.ts';
import { ClientError } from './client/client-error.ts';
import { type Endpoint, findServer } from './client/find-server.ts';
import { type ChosenServer, serverAddress } from './client/server-address.ts';
import { type ChosenToken, tokenFor } from './client/server-token.ts';
import { printableLines } from './progress/progress-view.ts';

export interface ServerCommandOptions extends ChosenServer, ChosenToken {
  readonly json?: true;
}

/** What 0 and 1 mean where nothing else is said; 2 is the same for all. */
const usualStatuses: readonly [success: string, refusal: string] = [
  'the answer is printed',
  'the server said no: there is no such thing, or not yet',
];

const statusText = ([success, refusal]: readonly [string, string], others: readonly string[]): string => `
Exit status:
  0    ${success}
  1    ${refusal}
  2    it could not be asked: wrong usage, no server, an answer that is not understood
  141  whoever read the answer has closed the pipe, as in "ekaci changes | head"
${others.map((line) => `  ${line}\n`).join('')}`;

interface ServerCommandHelp {
  readonly summary: string;
  /** Whole commands, one each. */
  readonly examples: readonly string[];
  /** What the exit statuses 0 and 1 say. */
  readonly statuses?: readonly [success: string, refusal: string];
  /** Lines below theirs. @default none */
  readonly otherStatuses?: readonly string[];
}

export const serverCommand = (
  name: string,
  { summary, examples, statuses = usualStatuses, otherStatuses = [] }: ServerCommandHelp,
): Command =>
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
    .addOption(
      new Option(
        '--token <token>',
        'shown to --server; whoever lists the processes of this machine reads it here, so better --token-file ' +
          'or $EKA_CI_TOKEN',
      ).conflicts('socket'),
    )
    .addOption(
      new Option('--token-file <file>', 'a file that holds the token').conflicts(['socket', 'token']),
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}${statusText(statuses, otherStatuses)}`,
    );

/** The one server that the options and the environment name. @throws ClientError */
export const chosenEndpoint = async (options: ServerCommandOptions): Promise<Endpoint> => {
  const endpoint = await findServer(serverAddress(options, process.env));
  if (endpoint.kind === 'socket') {
    if (options.token === undefined && options.tokenFile === undefined) return endpoint;
    throw new ClientError(
      'TOKEN_INVALID',
      'a token is for --server URL: who may open the unix socket needs none',
    );
  }
  const token = await tokenFor(endpoint.url, options, process.env);
  return token === null ? endpoint : { ...endpoint, token };
};

/** Asks, and sets the exit status; what went wrong is printed. */
export const withServer = async (
  options: ServerCommandOptions,
  ask: (client: Client) => Promise<void>,
): Promise<void> => {
  try {
    await ask(createClient(await chosenEndpoint(options)));
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
