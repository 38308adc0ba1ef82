// The server's work in the words of its log.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { StoredChange } from '../database/database.ts';
import type { RepositoryStatus } from '../forge/forge.ts';
import type { Logger } from '../lib/logger.ts';
import type { OrderEvent } from './builds/ordered-builds.ts';
import type { JudgeEvent } from './judge-loop.ts';

const nameOf = ({ repository, number, branch, head }: StoredChange) => ({
  repository,
  number,
  branch,
  head: head.slice(0, 12),
});

const sayJudging = (logger: Logger, event: JudgeEvent): void => {
  switch (event.kind) {
    case 'started':
      return logger.info('judging', nameOf(event.change));
    case 'finished': {
      const { result, change } = event;
      const facts = { ...nameOf(change), conclusion: result.conclusion };
      if (result.state === 'judged') return logger.info('judged', facts);
      return logger.warn('could not be judged', { ...facts, fault: result.fault });
    }
    case 'retries': {
      const { change, fault, retryAtMs } = event;
      const again = new Date(retryAtMs).toISOString();
      return logger.warn('could not be judged, and is tried again', {
        ...nameOf(change),
        fault,
        again,
        faults: change.faults + 1,
      });
    }
    case 'bug':
      return logger.error('a bug kept a change from being judged', {
        ...nameOf(event.change),
        err: event.error,
      });
    case 'stopped':
      return logger.info('stopped judging', { ...nameOf(event.change), reason: event.reason });
    case 'database-fault':
      return logger.error('the database does not answer; trying again', { err: event.error });
  }
};

const sayProgress = (
  loggerFor: (target: string) => Logger,
  change: StoredChange,
  event: ReviewEvent,
): void => {
  const { repository, number } = change;
  switch (event.type) {
    case 'evaluating':
      if (event.done) loggerFor('evaluation').info('evaluated', { repository, number, ...event });
      return;
    case 'checked-out': {
      const { base, head, judgedTree } = event;
      return loggerFor('scheduler').info(event.type, {
        repository,
        number,
        base: base?.sha ?? null,
        head: head.sha,
        judgedTree,
      });
    }
    case 'planned':
    case 'building':
      return loggerFor('scheduler').info(event.type, { repository, number, ...event });
    case 'notice':
      return loggerFor('scheduler')[event.level === 'info' ? 'info' : 'warn'](event.message, {
        repository,
        number,
      });
    case 'check-finished':
      return loggerFor('scheduler').info(event.type, { repository, number, ...event });
    case 'build-started':
    case 'build-finished':
    case 'check-queued':
    case 'check-started':
      return loggerFor('scheduler').debug(event.type, { repository, number, ...event });
    case 'build-phase':
    case 'check-output':
      return;
  }
};

export const createJudgeLog = (loggerFor: (target: string) => Logger) => ({
  judging: (event: JudgeEvent): void => sayJudging(loggerFor('scheduler'), event),
  progress: (change: StoredChange, event: ReviewEvent): void => sayProgress(loggerFor, change, event),
});

export const createOrderLog =
  (logger: Logger) =>
  (event: OrderEvent): void => {
    if (event.kind === 'dropped') {
      const { payload, error: err } = event;
      return logger.error('an ordered build cannot be read any more: it is given up', { payload, err });
    }
    if (event.kind === 'database-fault') {
      return logger.error('the database does not answer: ordered builds wait', { err: event.error });
    }
    const { id, drv } = event.order;
    switch (event.kind) {
      case 'started':
        return logger.info('building what was ordered', { id, drv });
      case 'finished':
        return logger.info('built what was ordered', { id, drv, ...event.ending });
      case 'bug':
        return logger.error('a bug kept an ordered build from its end', { id, drv, err: event.error });
    }
  };

export const createForgeLog =
  (logger: Logger) =>
  ({ repository, fault, failures, warnings }: RepositoryStatus): void => {
    if (fault !== null) logger.warn('a repository cannot be read', { repository, failures, fault });
    else logger.info('the repository is read', { repository, warnings });
  };
