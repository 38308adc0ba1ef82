// `ekaci logs`: the log of a build, as it comes.
import { once } from 'node:events';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import { derivationName, wholeNumber } from '../arguments.ts';
import { logLines, withoutColours } from '../log-lines.ts';
import { printable } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';

interface LogsOptions extends ServerCommandOptions {
  readonly attempt?: number;
  readonly raw?: true;
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

const logs = (drv: string, options: LogsOptions): Promise<void> =>
  withServer(options, async ({ stream }) => {
    const query = options.attempt === undefined ? '' : `?attempt=${options.attempt}`;
    const pieces = stream(`/v1/logs/${encodeURIComponent(drv)}${query}`);
    for await (const text of render(pieces, options)) await write(text);
  });

export const logsCommand = (): Command =>
  serverCommand('logs', {
    summary: 'print the log of a build',
    examples: [
      'ekaci logs /nix/store/8nq1…-fetcher-2.0.0.drv',
      'ekaci logs 8nq1…-fetcher-2.0.0.drv --attempt 1',
      'ekaci logs 8nq1…-fetcher-2.0.0.drv --json       one object a line: line, text',
    ],
  })
    .argument('<drv>', 'the derivation, by its path or the last part of it', derivationName)
    .option('--attempt <n>', 'counted from 1; the newest that has a log without it', wholeNumber(1))
    .option('--raw', 'keep colours and control characters: a build can send your terminal anything')
    .action(logs);
