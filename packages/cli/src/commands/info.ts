// `ekaci info`: which server answers, where, and of which versions it is made.
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { Command } from 'commander';
import { factsText } from '../answer-text.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';
import { version } from '../version.ts';

const info = (options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, {
    ask: async ({ address, get }) => {
      const status = await get('/v1/status', ServerStatus);
      const { version: serverVersion, schemaVersion, nixVersion, evaluator, systems } = status;
      return {
        ekaci: { version },
        address,
        server: { version: serverVersion, schemaVersion, nixVersion, evaluator, systems },
      };
    },
    text: ({ address, server }) =>
      factsText([
        ['ekaci', version],
        ['server', server.version],
        ['address', address],
        ['nix', server.nixVersion],
        ['evaluator', server.evaluator],
        ['systems', server.systems.join(', ')],
        ['database', `schema ${server.schemaVersion}`],
      ]),
  });

export const infoCommand = (): Command =>
  serverCommand('info', {
    summary: 'tell which server answers, and its versions',
    examples: ['ekaci info', 'ekaci info --server https://ci.example.org --json'],
  }).action(info);
