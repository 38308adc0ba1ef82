// A daemon of our own on the store that `nix` leads to, spoken to over its standard input and output.
import { dirname, join } from 'node:path';
import type { NixInstallation } from '../../installation.ts';
import { childTransport } from './child.ts';
import type { DaemonTransport } from './transport.ts';

/**
 * This user must be able to write the store. One process a connection, which ends with it. Such a client is trusted.
 * The state folder must exist: a daemon without one takes the socket of another, which may be its own.
 * @param store a store of this machine, in Nix's words. @default local
 */
export const localStoreTransport = (nix: NixInstallation, store = 'local'): DaemonTransport =>
  childTransport(`nix-daemon --stdio on ${store}`, {
    command: join(dirname(nix.programs.store), 'nix-daemon'),
    // Said twice, since each is not heeded somewhere: never the daemon that `auto` finds.
    args: ['--stdio', '--option', 'store', store],
    env: { ...nix.env, NIX_REMOTE: store },
  });
