// The way to a daemon that may be about to come back: whoever restarts it must not fail what is built meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { DaemonStream, DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';

export interface Patience {
  /** How long it is tried. Less than whoever connects waits for the greeting (30 seconds): else that says so first. */
  readonly forMs: number;
  readonly everyMs: number;
}

/** A restart takes a moment; with the socket of systemd it takes none. */
const patience: Patience = { forMs: 25_000, everyMs: 250 };

/** Tries again for a while where nobody listens. @throws the last error of `transport` */
export const patientTransport = (
  transport: DaemonTransport,
  { forMs, everyMs }: Patience = patience,
): DaemonTransport => ({
  ...transport,
  async open(signal): Promise<DaemonStream> {
    const until = performance.now() + forMs;
    for (;;) {
      try {
        return await transport.open(signal);
      } catch (error) {
        const mayPass = error instanceof NixDaemonError && error.code === 'NIX_DAEMON_UNREACHABLE';
        if (!mayPass || performance.now() + everyMs > until) throw error;
      }
      await sleep(everyMs);
      signal?.throwIfAborted();
    }
  },
});
