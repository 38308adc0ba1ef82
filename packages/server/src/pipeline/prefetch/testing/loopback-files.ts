// Files served on loopback, and a guard that lets nothing else of what is not public through.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createDestinationGuard, type DestinationGuard } from '../../../config/destination-guard.ts';

export interface LoopbackFiles {
  /** Without a slash at the end. */
  readonly origin: string;
  /** The same server under a name that no DNS has. */
  readonly named: string;
  readonly guard: DestinationGuard;
  readonly seen: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

export const serveFiles = async (answer: RequestListener): Promise<LoopbackFiles> => {
  const seen: LoopbackFiles['seen'][number][] = [];
  const server = createServer((request, response) => {
    seen.push({ path: request.url ?? '', headers: request.headers });
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const [origin, named] = [`http://127.0.0.1:${port}`, `http://files.invalid:${port}`];
  const strict = createDestinationGuard({ allowPrivate: false });
  return {
    ...{ origin, named, seen },
    guard: {
      check: (url, signal) =>
        url.startsWith(origin) || url.startsWith(named)
          ? Promise.resolve({ kind: 'allowed', addresses: ['127.0.0.1'] })
          : strict.check(url, signal),
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
