// A builder on another machine, through the Nix daemon there.
import { connectDaemon } from '@eka-ci/nix/daemon/daemon-connection';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import { createDaemonPool } from '@eka-ci/nix/daemon/daemon-pool';
import { checkStoreName } from '@eka-ci/nix/daemon/store-name';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import { findTrust } from '@eka-ci/nix/daemon/trust';
import type { Machine } from '../../config/machine.ts';
import { createDaemonLine } from '../daemon-line.ts';
import type { LocalStore } from '../local-store.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { countConnections } from './count-connections.ts';
import { explainMachine, notTrustedThere } from './machine-faults.ts';
import { buildRemotely } from './remote-build.ts';

export type MachineOffer = Pick<Machine, 'name' | 'maxJobs' | 'speed' | 'features' | 'mandatoryFeatures'> & {
  readonly systems: readonly string[];
};

export interface RemoteBuilderOptions {
  readonly machine: MachineOffer;
  readonly transport: DaemonTransport;
  readonly local: LocalStore;
  /** How long after its own time bounds Nix may take to keep them, before we do. @default 5000 */
  readonly graceMs?: number;
  /** Without a byte, after which what is being copied is lost. @default 5 minutes */
  readonly copyIdleMs?: number;
  /** In which it greets, takes settings, and answers each question of a check. @default 10000 */
  readonly answerTimeoutMs?: number;
}

/** Archives that are read or added here at once, for one machine. */
const copiesAtOnce = 4;
/** Between one copy and the next of a busy machine there is less. */
const idleMs = 5000;

interface CheckDeps {
  readonly transport: DaemonTransport;
  readonly storeDir: string;
  readonly timeoutMs: number;
}

const checkMachine = async (
  { transport, storeDir, timeoutMs }: CheckDeps,
  signal: AbortSignal,
): Promise<string | null> => {
  try {
    const connection = await connectDaemon(transport, { storeDir, connectTimeoutMs: timeoutMs, signal });
    try {
      const bounds = { timeoutMs, signal };
      await checkStoreName(connection, bounds);
      return (await findTrust(connection, bounds)) === 'not-trusted' ? notTrustedThere : null;
    } finally {
      // Nobody needs to see it go.
      connection.close().catch(() => {});
    }
  } catch (error) {
    if (!(error instanceof NixDaemonError)) throw error;
    return explainMachine(error, storeDir);
  }
};

/** As many connections as it has slots, and a few to the store here. */
const openWays = ({ machine, local }: RemoteBuilderOptions, check: CheckDeps) => {
  const { storeDir } = local;
  const { transport, timeoutMs } = check;
  return {
    line: createDaemonLine({ transport, storeDir, size: 2 * machine.maxJobs, answerTimeoutMs: timeoutMs }),
    here: createDaemonPool({
      connect: (signal) =>
        connectDaemon(local.transport, { storeDir, ...(signal !== undefined && { signal }) }),
      size: copiesAtOnce,
      idleMs,
    }),
  };
};

export const createRemoteBuilder = (options: RemoteBuilderOptions): RemoteBuilder => {
  const { machine, local, graceMs = 5000, copyIdleMs = 5 * 60_000, answerTimeoutMs = 10_000 } = options;
  const { name, maxJobs, speed, systems, features, mandatoryFeatures } = machine;
  const { transport, open: connections } = countConnections(options.transport);
  const checked = { transport, storeDir: local.storeDir, timeoutMs: answerTimeoutMs };
  const { line, here } = openWays(options, checked);
  const copied = { to: 0, from: 0 };
  const onCopied = (direction: keyof typeof copied, bytes: number): void => {
    copied[direction] += bytes;
  };
  const deps = { name, local, here, line, onCopied, graceMs, copyIdleMs };
  return {
    ...{ name, speed, features, mandatoryFeatures, connections },
    // Every Nix has its own builders.
    systems: [...new Set([...systems, 'builtin'])],
    slots: { build: maxJobs, fixedOutput: maxJobs },
    isLocal: false,
    build: (request, observer, signal) => buildRemotely(deps, { request, observer, signal }),
    check: (signal) => checkMachine(checked, signal),
    copied: () => ({ ...copied }),
    async close() {
      await Promise.all([line.close(), here.close()]);
    },
  };
};
