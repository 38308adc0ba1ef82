// What tests of remote builders have in common: a machine as its line would have it, and builds on it.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { PrivateStore } from '@eka-ci/nix/testing/private-store';
import type { Builder, BuildRequest } from '../../builder.ts';
import { type OpenDaemon, openNixDaemon } from '../../nix-daemon/open-daemon.ts';
import type { RemoteBuilder } from '../../remote-builder.ts';
import type { MachineOffer } from '../remote-builder.ts';

/** As fast and as small as any; it offers a system and a feature that this machine has not. */
export const farMachine: MachineOffer = {
  name: 'far',
  systems: [process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux', 'riscv32-linux'],
  features: ['big-parallel', 'quantum-leap'],
  mandatoryFeatures: [],
  maxJobs: 4,
  speed: 1,
};

/** Removes the store where it cannot be opened. */
export const openLocal = async (store: PrivateStore): Promise<OpenDaemon> => {
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind === 'open') return daemon;
  await store.remove();
  throw new Error(daemon.why);
};

const bounds = { outputs: [], silenceTimeoutMs: 60_000, maxDurationMs: 120_000, maxLogBytes: 10_000_000 };

export const buildOn = async (
  builder: Builder,
  drvPath: DrvPath,
  /** `lines` are added to while it builds. */
  { lines = [], ...request }: Partial<BuildRequest> & { readonly lines?: string[] } = {},
): Promise<BuildResult & { readonly lines: readonly string[] }> => {
  const result = await builder.build(
    { ...bounds, drvPath, ...request },
    { log: (line) => void lines.push(String(line)), phase() {} },
    new AbortController().signal,
  );
  return { ...result, lines };
};

export const askMachine = (builder: RemoteBuilder): Promise<string | null> =>
  builder.check(new AbortController().signal);
