// One machine of a pool: its builder, how it is, and how it goes when its line is gone.
import type { Machine } from '../../config/machine.ts';
import type { PooledBuilder } from '../builder-pool.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { type MachineHealth, type MachineHealthDeps, watchMachine } from './machine-health.ts';

export interface PooledMachine {
  readonly machine: Machine;
  readonly remote: RemoteBuilder;
  readonly builder: PooledBuilder;
  readonly health: MachineHealth;
  /** Nothing new goes there: it is closed when what runs has ended. */
  retire(): void;
  /** Ends what runs, too. Idempotent. */
  close(): Promise<void>;
}

export interface PooledMachineDeps extends Omit<MachineHealthDeps, 'check' | 'isIdle'> {
  /** It is closed, after it was retired. */
  readonly onGone: (gone: PooledMachine) => void;
}

/** The same builder, with its builds counted. @param onIdle called whenever the last of them has ended */
const countBuilds = (remote: RemoteBuilder, onIdle: () => void) => {
  const { name, systems, features, slots, speed, mandatoryFeatures } = remote;
  let running = 0;
  const builder: PooledBuilder = {
    ...{ name, systems, features, slots, speed, mandatoryFeatures },
    isLocal: false,
    async build(request, observer, signal) {
      running++;
      try {
        return await remote.build(request, observer, signal);
      } finally {
        running--;
        if (running === 0) onIdle();
      }
    },
  };
  return { builder, isIdle: () => running === 0 };
};

export const poolMachine = (
  machine: Machine,
  remote: RemoteBuilder,
  { onGone, ...deps }: PooledMachineDeps,
): PooledMachine => {
  let isRetired = false;
  const closeIfDone = (): void => {
    if (!isRetired || !isIdle()) return;
    remote
      .close()
      .catch(deps.onFault)
      .finally(() => onGone(pooled));
  };
  const { builder, isIdle } = countBuilds(remote, closeIfDone);
  const health = watchMachine({ ...deps, check: (signal) => remote.check(signal), isIdle });
  const pooled: PooledMachine = {
    machine,
    remote,
    builder,
    health,
    retire() {
      isRetired = true;
      health.stop();
      closeIfDone();
    },
    async close() {
      health.stop();
      await remote.close();
    },
  };
  return pooled;
};
