// Makes builders of machines: the driver as a pool is given it.
import type { Machine } from '../../config/machine.ts';
import type { LocalStore } from '../local-store.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { createRemoteBuilder } from './remote-builder.ts';
import { type SshDeps, sshMachineTransport } from './ssh-machine.ts';

export interface MachineOpenerOptions {
  readonly local: LocalStore;
  /** Of this server: of a machine whose line names none. */
  readonly system: string;
  readonly ssh: SshDeps;
}

/** Connects to nobody: a builder does when it is used. */
export const createMachineOpener =
  ({ local, system, ssh }: MachineOpenerOptions): ((machine: Machine) => RemoteBuilder) =>
  (machine) =>
    createRemoteBuilder({
      machine: { ...machine, systems: machine.systems ?? [system] },
      transport: sshMachineTransport(machine, ssh),
      local,
    });
