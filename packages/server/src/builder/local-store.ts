// The store of this server as whoever copies into it and out of it needs it.
import type { DaemonTrust } from '@eka-ci/nix/daemon/handshake';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import type { StandingSettings } from './build-settings.ts';

export interface LocalStore {
  /** The directory in every path's name, without a slash at its end. */
  readonly storeDir: string;
  readonly transport: DaemonTransport;
  /** Only who is trusted adds what nobody has signed. */
  readonly trust: DaemonTrust;
  /** What the user has set for builds. */
  readonly standing: Pick<StandingSettings, 'cores' | 'fallback' | 'substitute'>;
}
