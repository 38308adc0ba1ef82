// The defaults that depend on the machine, the user or other keys: filled into a configuration that was checked.
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { BaseDirectories } from '../lib/xdg.ts';
import type { WrittenServerConfig } from './server-config-schema.ts';

export interface Surroundings {
  readonly directories: BaseDirectories;
  /** Where the unix socket goes by default. */
  readonly socketDir: string;
  /** Processors that this process may use. */
  readonly cores: number;
}

/** The same defaults as Markdown, by key, for the documentation. */
export const derivedDefaults: Readonly<Record<string, string>> = {
  db_path: '`$XDG_DATA_HOME/ekaci/sqlite.db`',
  logs_dir: '`$XDG_DATA_HOME/ekaci/build-logs`',
  'web.public_url': '`http://{web.address}:{web.port}`',
  'unix.socket_path': '`$XDG_RUNTIME_DIR/ekaci.socket`',
  'oauth.redirect_url': '`{web.public_url}/github/auth/callback`',
  'evaluation.workers': 'the number of processors',
  'builders.local_max_jobs': 'the number of processors',
  'hooks[].timeout_seconds': '`security.max_hook_timeout_seconds`',
};

const filledWeb = (web: WrittenServerConfig['web']) => {
  const host = isIPv6(web.address) ? `[${web.address}]` : web.address;
  return { ...web, public_url: web.public_url ?? `http://${host}:${web.port}` };
};

export const fillDefaults = (written: WrittenServerConfig, surroundings: Surroundings) => {
  const { directories, socketDir, cores } = surroundings;
  const { unix, oauth, evaluation, builders, hooks, security } = written;
  const web = filledWeb(written.web);
  return {
    ...written,
    db_path: written.db_path ?? join(directories.dataHome, 'ekaci/sqlite.db'),
    logs_dir: written.logs_dir ?? join(directories.dataHome, 'ekaci/build-logs'),
    web,
    unix: { ...unix, socket_path: unix.socket_path ?? join(socketDir, 'ekaci.socket') },
    oauth: { ...oauth, redirect_url: oauth.redirect_url ?? `${web.public_url}/github/auth/callback` },
    evaluation: { ...evaluation, workers: evaluation.workers ?? cores },
    builders: { ...builders, local_max_jobs: builders.local_max_jobs ?? cores },
    hooks: hooks.map((hook) => ({
      ...hook,
      timeout_seconds: hook.timeout_seconds ?? security.max_hook_timeout_seconds,
    })),
  };
};

/** The server's configuration, complete. Keys are spelled as in ekaci.toml; secrets are `Secret`. */
export type ServerConfig = ReturnType<typeof fillDefaults>;
