// How many connections a transport has open.
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';

export interface CountedTransport {
  readonly transport: DaemonTransport;
  readonly open: () => number;
}

export const countConnections = (transport: DaemonTransport): CountedTransport => {
  let count = 0;
  const gone = (): void => {
    count--;
  };
  return {
    transport: {
      name: transport.name,
      async open(signal) {
        const stream = await transport.open(signal);
        count++;
        stream.closed.then(gone, gone);
        return stream;
      },
    },
    open: () => count,
  };
};
