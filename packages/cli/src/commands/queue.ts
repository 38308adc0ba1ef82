// `ekaci queue`: the builds that run, and those that wait with the reason.
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import type { Command } from 'commander';
import { formatAge, tableText } from '../answer-text.ts';
import { wholeNumber } from '../arguments.ts';
import { plural } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

interface QueueOptions extends ServerCommandOptions {
  readonly limit: number;
}

interface Builds {
  readonly active: ActiveBuilds['builds'];
  readonly queued: BuildQueue;
}

const queueText = ({ active, queued }: Builds, now: number): string => {
  const running = active.map(({ name, builder, phase, startedAtMs }) => [
    name,
    phase ?? 'building',
    formatAge(now - startedAtMs),
    `on ${builder}`,
  ]);
  const waiting = queued.builds.map(({ name, why }) => [name, 'waits', '', why ?? '']);
  if (running.length + waiting.length === 0) return 'Nothing is being built, and nothing waits.\n';
  const hidden = queued.total - queued.builds.length;
  const more = hidden > 0 ? `and ${plural(hidden, 'build')} more that wait\n` : '';
  return `${tableText(['BUILD', 'STATE', 'FOR', ''], [...running, ...waiting])}${more}`;
};

const queue = (options: QueueOptions): Promise<void> =>
  showAnswer<Builds>(options, {
    ask: async ({ get }) => {
      const { builds } = await get('/v1/builds/active', ActiveBuilds);
      return { active: builds, queued: await get(`/v1/builds/queue?limit=${options.limit}`, BuildQueue) };
    },
    text: (builds) => queueText(builds, Date.now()),
  });

export const queueCommand = (): Command =>
  serverCommand('queue', {
    summary: 'list the builds that run and those that wait',
    examples: ['ekaci queue', 'ekaci queue --limit 500 --json'],
  })
    .option('--limit <n>', 'how many of those that wait are shown', wholeNumber(1, 500), 50)
    .action(queue);
