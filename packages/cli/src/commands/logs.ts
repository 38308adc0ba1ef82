// `ekaci logs`: the log of a build, as it comes.
import { once } from 'node:events';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import { derivationName, wholeNumber } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { followEvents } from '../live/follow-events.ts';
import { type FollowedLine, LogFollower } from '../live/log-follower.ts';
import { logLines, withoutColours } from '../log-lines.ts';
import { printable } from '../progress/progress-view.ts';
import { chosenEndpoint, type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';

interface LogsOptions extends ServerCommandOptions {
  readonly attempt?: number;
  readonly raw?: true;
  readonly follow?: true;
}

/** Waits for a reader that is slower than the server. */
const write = async (text: string): Promise<void> => {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
};

async function* render(pieces: AsyncIterable<string>, { json, raw }: LogsOptions): AsyncGenerator<string> {
  if (raw) {
    yield* pieces;
    return;
  }
  let number = 0;
  for await (const line of logLines(pieces)) {
    number += 1;
    yield json ? `${jsonText({ line: number, text: line }, 0)}\n` : `${printable(withoutColours(line))}\n`;
  }
}

const print = async (client: Client, drv: string, options: LogsOptions): Promise<void> => {
  const query = options.attempt === undefined ? '' : `?attempt=${options.attempt}`;
  const pieces = client.stream(`/v1/logs/${encodeURIComponent(drv)}${query}`);
  for await (const text of render(pieces, options)) await write(text);
};

const renderLine = ({ attempt, line, text }: FollowedLine, { json, raw }: LogsOptions): string => {
  if (json) return `${jsonText({ attempt, line, text }, 0)}\n`;
  return raw ? `${text}\n` : `${printable(withoutColours(text))}\n`;
};

const note = (text: string): void => void process.stderr.write(`ekaci: ${printable(text)}\n`);

const follow = async (client: Client, drv: string, options: LogsOptions): Promise<void> => {
  const follower = new LogFollower({
    client,
    drv,
    wanted: options.attempt ?? null,
    view: { line: (line) => write(renderLine(line, options)), note },
  });
  await followEvents(
    { endpoint: await chosenEndpoint(options), resource: { resource: 'drv', id: drv } },
    follower,
  );
  const { end } = follower;
  if (end === null) return print(client, drv, options);
  note(`${end.state}${end.message === null ? '' : `: ${end.message}`}`);
};

const logs = (drv: string, options: LogsOptions): Promise<void> =>
  withServer(options, (client) => (options.follow ? follow : print)(client, drv, options));

export const logsCommand = (): Command =>
  serverCommand('logs', {
    summary: 'print the log of a build',
    examples: [
      'ekaci logs /nix/store/8nq1…-fetcher-2.0.0.drv',
      'ekaci logs 8nq1…-fetcher-2.0.0.drv --attempt 1',
      'ekaci logs 8nq1…-fetcher-2.0.0.drv --follow     what it says until it ends',
      'ekaci logs 8nq1…-fetcher-2.0.0.drv --json       one object a line: line, text',
    ],
  })
    .argument('<drv>', 'the derivation, by its path or the last part of it', derivationName)
    .option('--attempt <n>', 'counted from 1; the newest that has a log without it', wholeNumber(1))
    .option('-f, --follow', 'go on with what the build says, until it ends; survives a restart of the server')
    .option('--raw', 'keep colours and control characters: a build can send your terminal anything')
    .action(logs);
