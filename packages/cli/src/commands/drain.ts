// `ekaci drain`: lets the server run dry, so that a restart interrupts no build.
import { setTimeout as sleep } from 'node:timers/promises';
import { DrainState } from '@eka-ci/protocol/operations';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import type { Client } from '../client/client.ts';
import { type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';

interface DrainOptions extends ServerCommandOptions {
  readonly undo?: true;
  readonly wait?: true;
}

const path = '/v1/drain';
const askAgainMs = 1000;

const stateText = ({ draining, dry }: DrainState): string => {
  if (!draining) return 'The server takes work again.\n';
  if (dry) return 'Nothing runs any more: the server may be stopped.\n';
  return 'Nothing begins any more; what runs ends. "ekaci drain --wait" waits for that.\n';
};

/** Another operator may undo it meanwhile: then there is nothing to wait for. */
const untilDry = async (client: Client, first: DrainState): Promise<DrainState> => {
  let state = first;
  while (state.draining && !state.dry) {
    await sleep(askAgainMs);
    state = await client.get(path, DrainState);
  }
  return state;
};

const drain = (options: DrainOptions): Promise<void> =>
  withServer(options, async (client) => {
    const asked = options.undo
      ? await client.delete(path, DrainState)
      : await client.post(path, null, DrainState);
    const state = options.wait ? await untilDry(client, asked) : asked;
    process.stdout.write(options.json ? `${jsonText(state, 2)}\n` : stateText(state));
    // Whoever waited goes on to stop the server, and must not where it took up work again.
    if (options.wait && !options.undo && !state.dry) process.exitCode = 1;
  });

export const drainCommand = (): Command =>
  serverCommand('drain', {
    summary: 'let the server run dry before it is stopped',
    statuses: [
      'nothing begins any more, and with --wait nothing runs; with --undo: work begins again',
      'the server said no, or another operator undid it while we waited',
    ],
    examples: ['ekaci drain --wait && systemctl restart eka-ci', 'ekaci drain --undo'],
  })
    .option('--undo', 'let work begin again')
    .option('--wait', 'wait until nothing runs and nothing is being judged any more')
    .addHelpText(
      'after',
      `
No build and no judgement begins any more; builds that run end; the change that is being judged goes back to the queue
when none of its builds runs. Changes are still taken, and answers are still given. A restart ends it.
`,
    )
    .action(drain);
