// `ekaci queue`: the builders, the builds that run, and those that wait with the reason.
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { Builders } from '@eka-ci/protocol/builder';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { groupReasons, type QueueAnswer, queueText } from '../queue-text.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface QueueOptions extends ServerCommandOptions {
  readonly limit: number;
  readonly list?: true;
}

const ask = async ({ get }: Client, limit: number): Promise<QueueAnswer> => {
  const [{ builders }, { builds }, queued] = await Promise.all([
    get('/v1/builders', Builders),
    get('/v1/builds/active', ActiveBuilds),
    get(`/v1/builds/queue?limit=${limit}`, BuildQueue),
  ]);
  return { builders, active: builds, queued };
};

const queue = (options: QueueOptions): Promise<void> =>
  showAnswer(options, {
    ask: async (client) => {
      const answer = await ask(client, options.limit);
      return { ...answer, reasons: groupReasons(answer.queued.builds) };
    },
    text: (answer) => queueText(answer, { isListed: options.list === true, nowMs: Date.now() }),
  });

export const queueCommand = (): Command =>
  serverCommand('queue', {
    summary: 'list the builders, the builds that run, and what those wait for that wait',
    examples: [
      'ekaci queue                      what waits, by its reason',
      'ekaci queue --list               each that waits',
      'ekaci queue --limit 500 --json',
    ],
  })
    .option('--limit <n>', 'how many of those that wait are looked at', wholeNumber(1, 500), 100)
    .option('--list', 'a line for each that waits')
    .action(queue);
