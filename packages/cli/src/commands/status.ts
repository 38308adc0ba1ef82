// `ekaci status`: whether the server takes work, and how much there is.
import { type CacheQueue, ServerStatus } from '@eka-ci/protocol/operations';
import type { Repository } from '@eka-ci/protocol/repository';
import type { Command } from 'commander';
import { factsText, formatAge } from '../answer-text.ts';
import { formatDuration } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

const phaseOf = ({ draining, ready }: ServerStatus): string => {
  if (draining) return ready ? 'draining: nothing begins any more' : 'ending';
  return ready ? 'ready' : 'starting';
};

/** Null where all is well. */
const troubleOf = (
  { name, fault, lastSeenAtMs, warnings, fetching }: Repository,
  now: number,
): string | null => {
  if (fault !== null) {
    const seen = lastSeenAtMs === null ? 'never seen' : `last seen ${formatAge(now - lastSeenAtMs)} ago`;
    return `${name} cannot be read, ${seen}: ${fault.split('\n')[0]}`;
  }
  if (fetching) return `${name} is being fetched`;
  return warnings.length === 0 ? null : `${name}: ${warnings.join(' ')}`;
};

const buildersText = ({ up, out }: ServerStatus['builders']): string =>
  out === 0 ? `${up} up` : `${up} up, ${out} out ("ekaci queue" tells why)`;

/** How far its pushes are. */
const cacheText = (queue: CacheQueue, nowMs: number): string => {
  const { cache, waiting, waitingSinceMs, fault } = queue;
  const oldest =
    waitingSinceMs === null ? '' : ` (the oldest for ${formatDuration(Math.max(0, nowMs - waitingSinceMs))})`;
  const pushes = waiting === 0 ? 'nothing waits to be pushed' : `${waiting} to be pushed${oldest}`;
  return `${cache}: ${pushes}${fault === null ? '' : `; ${fault.split('\n')[0]}`}`;
};

const statusText = (status: ServerStatus): string => {
  const { builds, builders, changes, uptimeMs, warnings, repositories, caches, startedAtMs } = status;
  return factsText([
    ['server', `${phaseOf(status)}, up for ${formatDuration(uptimeMs)}`],
    ['changes', `${changes.judging} being judged, ${changes.queued} queued`],
    ['builds', `${builds.active} running in ${builds.slots} slots, ${builds.queued} queued`],
    ['builders', buildersText(builders)],
    ...warnings.map((warning) => ['warning', `nothing begins: ${warning}`] as const),
    // By the server's own clock: the client's may be another.
    ...repositories.map((one) => ['repository', troubleOf(one, startedAtMs + uptimeMs)] as const),
    ...caches.map((one) => ['cache', cacheText(one, startedAtMs + uptimeMs)] as const),
  ]);
};

const status = (options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, { ask: ({ get }) => get('/v1/status', ServerStatus), text: statusText });

export const statusCommand = (): Command =>
  serverCommand('status', {
    summary: 'tell whether the server takes work, and how much there is',
    examples: ['ekaci status', 'ekaci status --json'],
  }).action(status);
