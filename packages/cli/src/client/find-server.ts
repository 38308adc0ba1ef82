// Finds the one of several sockets at which a server listens.
import { connect } from 'node:net';
import { ClientError } from './client-error.ts';
import type { ServerAddress } from './server-address.ts';
import type { ServerToken } from './server-token.ts';

/** One server to ask. */
export type Endpoint =
  | { readonly kind: 'url'; readonly url: string; readonly token?: ServerToken }
  | { readonly kind: 'socket'; readonly path: string };

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Null when somebody listens there, else why not. */
const tryPath = (path: string): Promise<string | null> =>
  new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(null);
    });
    probe.once('error', (error) => {
      switch (codeOf(error)) {
        case 'ENOENT':
        case 'ENOTDIR':
          return resolve('does not exist');
        case 'ECONNREFUSED':
          return resolve('nobody listens there');
        case 'EACCES':
        case 'EPERM':
          return resolve('this user may not open it');
        default:
          return resolve(error.message);
      }
    });
  });

/** @throws ClientError SERVER_NOT_RUNNING */
export const findServer = async (address: ServerAddress): Promise<Endpoint> => {
  if (address.kind === 'url') return address;
  const tried: string[] = [];
  for (const path of address.paths) {
    const fault = await tryPath(path);
    if (fault === null) return { kind: 'socket', path };
    tried.push(`  ${path}: ${fault}`);
  }
  throw new ClientError(
    'SERVER_NOT_RUNNING',
    'no server answers: start eka-ci-server, or say where it is with --socket PATH, $EKA_CI_SOCKET or ' +
      `--server URL. Tried:\n${tried.join('\n')}`,
  );
};
