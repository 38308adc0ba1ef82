// What people want merged: kept as rows, and merged when it is green.
import { later } from '../lib/later.ts';
import type { Logger } from '../lib/logger.ts';
import {
  createMergeDesk,
  type MergeDeskEvent,
  type RunningMergeDesk,
} from '../pipeline/merging/merge-desk.ts';
import { packagesUnapproved } from '../pipeline/merging/reviews.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import type { Opened, ServerParts } from './server-parts.ts';

const sayEvent = (logger: Logger, event: MergeDeskEvent): void => {
  if (event.kind === 'database-fault') {
    return logger.error('the database does not answer: merges wait', { err: event.error });
  }
  const { repository, number, headSha } = event.merge;
  const merge = { repository, number, head: headSha.slice(0, 12) };
  switch (event.kind) {
    case 'put-off':
      return logger.warn('a merge could not be carried out yet', {
        ...{ ...merge, pauseMs: event.pauseMs },
        err: event.error,
      });
    case 'given-up':
      return logger.error('a merge cannot be carried out', { ...merge, err: event.error });
    case 'told':
      return logger.debug('whoever asked for a merge was told how it ended', merge);
    case 'asked':
    case 'merging':
    case 'queued':
    case 'merged':
    case 'refused':
    case 'moved':
    case 'withdrawn':
    case 'replaced':
    case 'closed':
      return logger.info(`a merge that was asked for: ${event.kind}`, merge);
  }
};

export const openMerging = (
  { database, mergeMetrics }: Pick<ServerParts, 'database' | 'mergeMetrics'>,
  { options, deps, forges }: Opened,
  rights: ChangeRights,
): RunningMergeDesk => {
  const logger = deps.loggerFor('forge');
  return createMergeDesk({
    database,
    forges,
    defaultMethod: options.merging.defaultMethod,
    isApproved: async (change) => (await packagesUnapproved({ database, rights }, change))?.length === 0,
    clock: Date.now,
    random: Math.random,
    later,
    onEvent(event) {
      mergeMetrics.told(event);
      sayEvent(logger, event);
    },
  });
};
