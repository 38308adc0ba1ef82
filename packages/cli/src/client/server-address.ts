// Where a running server may be: a URL, or the sockets to try in order.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export type ServerAddress =
  /** `url` ends without a slash. */
  | { readonly kind: 'url'; readonly url: string }
  /** Absolute or relative to where we were called; never empty. */
  | { readonly kind: 'sockets'; readonly paths: readonly string[] };

export interface ChosenServer {
  readonly server?: string;
  readonly socket?: string;
}

/** Where a server that runs as a system service has it. */
const systemSocket = '/run/eka-ci/ekaci.socket';

/** As the server's `unix.socket_path` by default, with and without a runtime folder (XDG base directories, 0.8). */
const defaultSockets = (env: NodeJS.ProcessEnv): string[] => {
  const absolute = (name: string): string | null => {
    const value = env[name] ?? '';
    return isAbsolute(value) ? value : null;
  };
  const runtime = absolute('XDG_RUNTIME_DIR');
  const state = absolute('XDG_STATE_HOME') ?? join(absolute('HOME') ?? homedir(), '.local/state');
  return [
    ...(runtime === null ? [] : [join(runtime, 'ekaci.socket')]),
    join(state, 'ekaci/run/ekaci.socket'),
    systemSocket,
  ];
};

/** What was named is the only one to be tried: another server than the wanted one must not answer. */
export const serverAddress = ({ server, socket }: ChosenServer, env: NodeJS.ProcessEnv): ServerAddress => {
  if (server !== undefined) return { kind: 'url', url: server };
  const named = socket ?? (env['EKA_CI_SOCKET'] || undefined);
  return { kind: 'sockets', paths: named === undefined ? defaultSockets(env) : [named] };
};
