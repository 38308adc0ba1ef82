// The pushes in the words of the server's log, and of its audit.
import type { Logger } from '../../lib/logger.ts';
import type { LaneEvent } from './cache-lane.ts';
import type { PushEnding } from './push-batch.ts';
import type { PushQueueEvent } from './push-queue.ts';
import type { TakeEvent } from './take-publications.ts';

/** Of many, for people. */
const shownDrvs = 5;

const placeOf = ({ repository, branch }: PushEnding['push']) => ({ repository, branch });

const sayEnding = (logger: Logger, cache: string, ending: PushEnding): void => {
  const { push } = ending;
  const facts = { cache, drv: push.drv, ...placeOf(push) };
  switch (ending.kind) {
    case 'pushed':
      return logger.debug('pushed', facts);
    case 'present':
      return logger.debug('not pushed: the cache has it', facts);
    case 'dropped':
      return logger.warn('not pushed', { ...facts, why: ending.why });
    case 'failed':
      // Of the cache as a whole it is said once; this is one path's.
      return ending.fault.kind === 'refused' && ending.fault.code === 'no-such-path'
        ? logger.warn('could not be pushed, and is tried again', { ...facts, why: ending.fault.why })
        : logger.debug('could not be pushed, and is tried again', { ...facts, why: ending.fault.why });
  }
};

/** One record for each push that somebody was sent, or tried to send: what, where to, in whose name, and what came of it. */
const audit = (logger: Logger, cache: string, ending: PushEnding): void => {
  if (ending.kind === 'present' || ending.kind === 'dropped') return;
  const { push, durationMs } = ending;
  const outcome = ending.kind === 'pushed' ? 'pushed' : ending.fault.kind;
  const why = ending.kind === 'failed' ? { why: ending.fault.why } : {};
  const { drv, outputs, attempts } = push;
  const facts = { cache, ...placeOf(push), drv, outputs, attempt: attempts + 1 };
  logger.info('audit', {
    audit: 'cache-push',
    ...facts,
    outcome,
    durationMs: Math.round(durationMs),
    ...why,
  });
};

const sayTaken = (logger: Logger, event: TakeEvent): void => {
  const change = event.changeId;
  switch (event.kind) {
    case 'queued':
      return logger.info('to be pushed', { cache: event.cache, pushes: event.pushes, change });
    case 'collected': {
      const { cache, drvs } = event;
      return logger.warn(
        'built, and not in the store any more: a collection of garbage was faster than the push; pushed when it was built again',
        { cache, change, count: drvs.length, drvs: drvs.slice(0, shownDrvs) },
      );
    }
    case 'floating': {
      const { drvs } = event;
      return logger.warn('not pushed: their outputs are named by their content, or as derivations are', {
        ...{ change, count: drvs.length, drvs: drvs.slice(0, shownDrvs) },
      });
    }
    case 'kept-out':
      return logger.warn('not pushed: ekaci.toml does not let it any more', {
        ...{ cache: event.cache, change },
        ...event.place,
      });
    case 'roots-not-kept':
      return logger.warn('what waits to be pushed may be collected as garbage before', {
        ...{ change, why: event.why },
      });
    case 'unreadable':
      return logger.error('another version of EkaCI judged this change: nothing of it is pushed', { change });
  }
};

const sayLane = (logger: Logger, event: LaneEvent): void => {
  const { cache } = event;
  switch (event.kind) {
    case 'cache-fails': {
      const { fault, pauseMs } = event;
      const { why } = fault;
      if (fault.kind === 'passing') {
        return logger.warn('a cache takes nothing now: its pushes wait', { cache, why, pauseMs });
      }
      return logger.error('a cache refuses what is pushed: its pushes wait until somebody changes that', {
        ...{ cache, code: fault.code, why, pauseMs },
      });
    }
    case 'cache-works':
      return logger.info('a cache takes what is pushed again', { cache });
    case 'lane-fault':
      return logger.error('pushes to a cache wait: not for the cache', { cache, err: event.error });
  }
};

export const createPushLog = (logger: Logger, { audits }: { readonly audits: boolean }) => {
  /** What a judgement hands on comes in parts, and each is kept out. */
  let keptOut = '';
  return (event: PushQueueEvent): void => {
    switch (event.kind) {
      case 'ending':
        sayEnding(logger, event.cache, event.ending);
        if (audits) audit(logger, event.cache, event.ending);
        return;
      case 'sent':
        return logger.debug('sent', { cache: event.cache, ...event.sent });
      case 'queue-fault':
        return logger.error('what judgements hand on to caches waits', { err: event.error });
      case 'cache-fails':
      case 'cache-works':
      case 'lane-fault':
        return sayLane(logger, event);
      case 'kept-out': {
        const known = keptOut;
        keptOut = `${event.changeId} ${event.cache}`;
        return known === keptOut ? undefined : sayTaken(logger, event);
      }
      case 'queued':
      case 'collected':
      case 'floating':
      case 'roots-not-kept':
      case 'unreadable':
        return sayTaken(logger, event);
    }
  };
};
