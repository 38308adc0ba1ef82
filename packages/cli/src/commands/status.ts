// `ekaci status`: whether the server takes work, and how much there is.
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { Command } from 'commander';
import { factsText } from '../answer-text.ts';
import { formatDuration } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

const phaseOf = ({ draining, ready }: ServerStatus): string => {
  if (draining) return 'ending';
  return ready ? 'ready' : 'starting';
};

const statusText = (status: ServerStatus): string => {
  const { builds, changes, uptimeMs } = status;
  return factsText([
    ['server', `${phaseOf(status)}, up for ${formatDuration(uptimeMs)}`],
    ['changes', `${changes.judging} being judged, ${changes.queued} queued`],
    ['builds', `${builds.active} running in ${builds.slots} slots, ${builds.queued} queued`],
  ]);
};

const status = (options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, { ask: ({ get }) => get('/v1/status', ServerStatus), text: statusText });

export const statusCommand = (): Command =>
  serverCommand('status', {
    summary: 'tell whether the server takes work, and how much there is',
    examples: ['ekaci status', 'ekaci status --json'],
  }).action(status);
