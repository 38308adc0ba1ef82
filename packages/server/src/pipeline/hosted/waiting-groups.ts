// Groups of a merge queue that wait for approval: looked at again when somebody let one of their changes go.

import type { Later } from '../../lib/later.ts';
import type { PlacedWork } from './hosted-work.ts';
import { lookWork } from './hosted-work.ts';
import type { OpenChanges } from './open-changes.ts';

export interface WaitingGroupsDeps {
  /** False: none ever waits. */
  readonly doWait: boolean;
  readonly open: Pick<OpenChanges, 'waitingGroups'>;
  readonly add: (work: PlacedWork) => void;
  readonly later: Later;
  readonly onFault: (error: unknown) => void;
}

export interface WaitingGroups {
  look(): void;
  /** A queue says that it has made a group before it says of what: nobody is to wait a sweep's time for that. */
  lookSoon(): void;
  /** Begins nothing more; resolves when nothing runs. */
  stop(): Promise<void>;
}

const soonMs = 15_000;

export const createWaitingGroups = (deps: WaitingGroupsDeps): WaitingGroups => {
  const soon = new Set<() => void>();
  let isStopped = false;
  /** One reading after the other. */
  let looking: Promise<void> = Promise.resolve();
  const lookNow = async (): Promise<void> => {
    if (isStopped) return;
    for (const sight of await deps.open.waitingGroups()) deps.add(lookWork(sight));
  };
  const look = (): void => {
    if (deps.doWait) looking = looking.then(lookNow).catch(deps.onFault);
  };
  return {
    look,
    lookSoon() {
      const end = deps.later(soonMs, () => {
        soon.delete(end);
        look();
      });
      soon.add(end);
    },
    async stop() {
      isStopped = true;
      for (const end of soon) end();
      await looking;
    },
  };
};
