// Which Nix daemon leads to the store that Nix itself would use, found out by greeting it.
import { access, constants } from 'node:fs/promises';
import { connectDaemon, type DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { DaemonTrust } from '@eka-ci/nix/daemon/handshake';
import { checkStoreName } from '@eka-ci/nix/daemon/store-name';
import { localStoreTransport } from '@eka-ci/nix/daemon/transport/local-store';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import { unixSocketTransport } from '@eka-ci/nix/daemon/transport/unix-socket';
import { findTrust } from '@eka-ci/nix/daemon/trust';
import type { NixInstallation } from '@eka-ci/nix/installation';

/** `own`: this user writes the store itself, so a daemon of ours does; a `socket` leads to one that runs. */
export type DaemonRoute =
  | { readonly kind: 'own' }
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'none'; readonly why: string };

export interface ReachedDaemon {
  readonly kind: 'reached';
  readonly transport: DaemonTransport;
  /** It is a child of ours, and ends with its connection. */
  readonly isOwn: boolean;
  readonly trust: DaemonTrust;
  /** Of the daemon, which need not be that of the programs. */
  readonly nixVersion: string;
  /** Of protocol 1. */
  readonly protocolMinor: number;
}

export type DaemonSearch = ReachedDaemon | { readonly kind: 'unreached'; readonly why: string };

const greetingTimeoutMs = 15_000;

const may = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

const { R_OK, W_OK, F_OK } = constants;

/**
 * As `auto` does (`openStore` in Nix's sources, the same in 2.8 and 2.34): who may write the state folder uses it, else who
 * finds a socket uses that.
 */
const routeOfAuto = async ({ stateDir, daemonSocket }: NixInstallation): Promise<DaemonRoute> => {
  if (await may(stateDir, R_OK | W_OK)) return { kind: 'own' };
  if (await may(daemonSocket, F_OK)) return { kind: 'socket', path: daemonSocket };
  return { kind: 'none', why: `this user may not write ${stateDir}, and there is no socket ${daemonSocket}` };
};

/** @param store where Nix is told to find its store: NIX_REMOTE, or `store` of its configuration, which wins */
export const findRoute = async (nix: NixInstallation, store: string): Promise<DaemonRoute> => {
  if (store === '' || store === 'auto') return routeOfAuto(nix);
  if (store === 'local' || store === 'local://') return { kind: 'own' };
  if (store === 'daemon' || store === 'unix://') return { kind: 'socket', path: nix.daemonSocket };
  const path = /^unix:\/\/(?<path>\/[^?]+)$/.exec(store)?.groups?.['path'];
  if (path !== undefined) return { kind: 'socket', path };
  return {
    kind: 'none',
    why: `no daemon leads to the store ${JSON.stringify(store)} that Nix is told to use`,
  };
};

const transportOf = (nix: NixInstallation, route: Exclude<DaemonRoute, { kind: 'none' }>): DaemonTransport =>
  route.kind === 'own' ? localStoreTransport(nix) : unixSocketTransport(route.path);

const greet = async (transport: DaemonTransport, { storeDir }: NixInstallation) => {
  let connection: DaemonConnection | null = null;
  try {
    connection = await connectDaemon(transport, { storeDir, connectTimeoutMs: greetingTimeoutMs });
    const trust = await findTrust(connection, { timeoutMs: greetingTimeoutMs });
    await checkStoreName(connection, { timeoutMs: greetingTimeoutMs });
    return { trust, nixVersion: connection.daemon.nixVersion, protocolMinor: connection.daemon.minor };
  } finally {
    // Nobody needs to see it go.
    connection?.close().catch(() => {});
  }
};

/** Never throws for a daemon that is not there, or not of use. */
export const searchDaemon = async (nix: NixInstallation, store: string): Promise<DaemonSearch> => {
  const route = await findRoute(nix, store);
  if (route.kind === 'none') return { kind: 'unreached', why: route.why };
  try {
    const transport = transportOf(nix, route);
    return { kind: 'reached', transport, isOwn: route.kind === 'own', ...(await greet(transport, nix)) };
  } catch (error) {
    if (!(error instanceof NixDaemonError)) throw error;
    return { kind: 'unreached', why: error.message };
  }
};
