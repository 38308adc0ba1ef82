// Builds through a Nix daemon, spoken to directly: one build a connection, a status and a live log of each.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { type StandingSettings, settingsFor } from '../build-settings.ts';
import type { Builder, BuildObserver, BuildRequest } from '../builder.ts';
import { buildThroughDaemon } from '../daemon-build.ts';
import { createDaemonLine, type DaemonLine } from '../daemon-line.ts';
import { refuseBrokenDerivation } from '../judge-build.ts';
import { type DaemonJudge, judgeDaemonBuild } from '../judge-daemon-build.ts';
import type { BuilderOffer } from '../nix-offer.ts';
import { patientTransport } from './patient-transport.ts';
import type { ReachedDaemon } from './reach-daemon.ts';

export interface NixDaemonBuilderOptions {
  readonly nix: NixInstallation;
  readonly daemon: ReachedDaemon;
  readonly offer: Pick<BuilderOffer, 'systems' | 'features'>;
  readonly standing: StandingSettings;
  /** @default `local` */
  readonly name?: string;
  /** How long after its own time bounds Nix may take to keep them, before we do. @default 5000 */
  readonly graceMs?: number;
}

export interface NixDaemonBuilder extends Builder {
  /** Ends what it still does, and every connection. Idempotent. */
  close(): Promise<void>;
}

interface Deps extends DaemonJudge {
  readonly daemon: ReachedDaemon;
  readonly line: DaemonLine;
  readonly standing: StandingSettings;
  readonly graceMs: number;
}

/** Who was lost: a child of ours has died, another daemon was ended by somebody, or restarted. */
const lossOf =
  ({ isOwn }: ReachedDaemon): DaemonJudge['lossOf'] =>
  (error, request) => {
    const cause = isOwn ? 'process-death' : 'lost-builder';
    return { kind: 'failed', cause, failedDrv: request.drvPath, message: error.message };
  };

const buildOne = async (
  deps: Deps,
  call: { request: BuildRequest; observer: BuildObserver; signal: AbortSignal },
): Promise<BuildResult> => {
  const { request } = call;
  const refused = await refuseBrokenDerivation(request);
  if (refused !== null) return refused;
  const { daemon, line, standing, graceMs } = deps;
  const settings = settingsFor(request, standing, daemon.trust);
  const place = daemon.isOwn ? 'child' : 'this-machine';
  const build = await buildThroughDaemon({ ...call, line, settings, graceMs, place });
  return judgeDaemonBuild(deps, request, build);
};

export const createNixDaemonBuilder = (options: NixDaemonBuilderOptions): NixDaemonBuilder => {
  const { nix, daemon, standing, offer } = options;
  // A child of ours is started for each connection: nobody restarts it.
  const transport = daemon.isOwn ? daemon.transport : patientTransport(daemon.transport);
  const line = createDaemonLine({ transport, storeDir: nix.storeDir });
  const deps = { nix, lossOf: lossOf(daemon), daemon, line, standing, graceMs: options.graceMs ?? 5000 };
  return {
    name: options.name ?? 'local',
    systems: offer.systems,
    features: offer.features,
    build: (request, observer, signal) => buildOne(deps, { request, observer, signal }),
    close: () => line.close(),
  };
};
