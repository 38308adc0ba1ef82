// Says what becomes of hooks; and, where operators want it, one record of each run for whoever has to answer for it.
import type { Logger } from '../../lib/logger.ts';
import type { HookEvent } from './hook-event.ts';

type Ended = Extract<HookEvent, { kind: 'ended' }>;

/** Who, what, for which build, and how it ended. Names of secrets, never one of them. */
const auditFacts = ({ run, ending, result, hook, secrets }: Ended) => ({
  audit: 'hook',
  run: run.id,
  hook: run.hook,
  /** As ekaci.toml has it: what it became may be longer than anybody reads. */
  command: hook?.command ?? null,
  credentials: { source: hook?.credentials.kind ?? null, names: secrets },
  repository: run.repository,
  branch: run.branch,
  change: run.changeId,
  job: run.job,
  commit: run.commitSha,
  drv: run.drv,
  attempt: run.attempt,
  build: run.buildState,
  outcome: ending.state,
  exitStatus: ending.exitStatus,
  why: ending.message,
  durationMs: result?.durationMs ?? null,
  printedBytes: result?.printedBytes ?? null,
  logSha256: result?.logSha256 ?? null,
});

const sayEnd = (logger: Logger, { run, ending }: Ended): void => {
  if (ending.state === 'succeeded') return;
  const { hook, drv, job } = run;
  const { state, exitStatus, message } = ending;
  logger.warn('a hook did not succeed', { hook, drv, job, outcome: state, exitStatus, why: message });
};

export const createHookLog = (logger: Logger, { audit }: { readonly audit: boolean }) => {
  return (event: HookEvent): void => {
    switch (event.kind) {
      case 'wanted':
        return logger.debug('hooks are to run', { change: event.changeId, runs: event.runs });
      case 'started':
        return logger.debug('a hook runs', { hook: event.run.hook, drv: event.run.drv });
      case 'ended':
        sayEnd(logger, event);
        if (audit) logger.info('audit', auditFacts(event));
        return;
      case 'put-off': {
        const { hook, drv } = event.run;
        const retryAt = new Date(event.nextAtMs).toISOString();
        return logger.warn('a hook could not be begun and is tried again', {
          hook,
          drv,
          why: event.message,
          retryAt,
        });
      }
      case 'taken-up': {
        const { killed, interrupted } = event;
        return logger.warn('hooks ran when the last server ended: they were ended and are not repeated', {
          runs: interrupted.map(({ id, hook, drv }) => ({ id, hook, drv })),
          processes: killed,
        });
      }
      case 'unreadable':
        return logger.warn('another version handed on what was judged: no hook runs for it', {
          change: event.changeId,
        });
      case 'warning':
        return logger.warn(event.message, { hook: event.hook });
      case 'fault':
        return logger.error('could not go on with hooks, and try again', { err: event.error });
    }
  };
};
