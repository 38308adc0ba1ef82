// Opens the store through a daemon, where one leads to it: for builds, and for questions.
import { setOptions } from '@eka-ci/nix/daemon/build-operations';
import { connectDaemon, type DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { createDaemonPool } from '@eka-ci/nix/daemon/daemon-pool';
import { createDaemonRooting } from '@eka-ci/nix/daemon/daemon-rooting';
import { createDaemonStoreQueries } from '@eka-ci/nix/daemon/daemon-store-queries';
import type { RootPaths } from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { StoreQueries, StoreQueryOptions } from '@eka-ci/nix/store-queries';
import type { StandingSettings } from '../build-settings.ts';
import type { Builder } from '../builder.ts';
import type { LocalStore } from '../local-store.ts';
import { type BuilderOffer, findOffer } from '../nix-offer.ts';
import { findStandingSettings } from './daemon-settings.ts';
import { createNixDaemonBuilder } from './nix-daemon-builder.ts';
import { type DaemonSearch, type ReachedDaemon, searchDaemon } from './reach-daemon.ts';

export interface OpenDaemon {
  readonly kind: 'open';
  readonly builder: Builder;
  /** Asks over connections that all questions share. */
  readonly queries: (options?: StoreQueryOptions) => StoreQueries;
  readonly rootPaths: RootPaths;
  /** For whoever copies into it and out of it. */
  readonly store: LocalStore;
  /** For people. */
  readonly about: Pick<ReachedDaemon, 'isOwn' | 'trust'> & {
    readonly daemon: string;
    readonly nix: string;
    readonly protocol: string;
  };
  /** Ends what is still done, and every connection. Idempotent. */
  close(): Promise<void>;
}

/** Nobody asks for longer than this while a server is at work. */
const idleMs = 5000;

const searchByConfiguration = async (
  nix: NixInstallation,
): Promise<readonly [DaemonSearch, BuilderOffer]> => {
  const told = nix.env['NIX_REMOTE'] ?? 'auto';
  const [found, offer] = await Promise.all([searchDaemon(nix, told), findOffer(nix)]);
  // In a configuration, where it stands seldom.
  const configured = offer.settings.get('store') ?? told;
  return [configured === told ? found : await searchDaemon(nix, configured), offer];
};

/** With the settings of builds: what can be fetched depends on the substituters that the user has set. */
const createConnect =
  ({ storeDir }: NixInstallation, { transport }: ReachedDaemon, standing: StandingSettings) =>
  async (signal?: AbortSignal): Promise<DaemonConnection> => {
    const abort = signal === undefined ? {} : { signal };
    const connection = await connectDaemon(transport, { storeDir, ...abort });
    try {
      await setOptions(connection, standing, abort);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  };

/** Greets the daemon that Nix itself would use. Asks Nix for its systems, features and settings once. */
export const openNixDaemon = async (
  nix: NixInstallation,
): Promise<OpenDaemon | Extract<DaemonSearch, { kind: 'unreached' }>> => {
  const [daemon, offer] = await searchByConfiguration(nix);
  if (daemon.kind === 'unreached') return daemon;
  const standing = await findStandingSettings(nix, daemon, offer.settings);
  const builder = createNixDaemonBuilder({ nix, daemon, offer, standing });
  const connect = createConnect(nix, daemon, standing);
  const questions = createDaemonPool({ connect, idleMs });
  const { isOwn, trust, nixVersion, protocolMinor, transport } = daemon;
  return {
    kind: 'open',
    builder,
    store: { storeDir: nix.storeDir, transport, trust, standing },
    queries: (options) => createDaemonStoreQueries(questions, options),
    rootPaths: createDaemonRooting(connect),
    about: { daemon: transport.name, isOwn, trust, nix: nixVersion, protocol: `1.${protocolMinor}` },
    async close() {
      await Promise.all([builder.close(), questions.close()]);
    },
  };
};
