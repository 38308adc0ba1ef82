// What runs after builds: the hooks of ekaci.toml, and what is said of them.
import { realpathSync, statSync } from 'node:fs';
import { createHookDesk, type HookDesk, serverMarkOf } from '../pipeline/hooks/hook-desk.ts';
import { createHookLog } from '../pipeline/hooks/hook-log.ts';
import { programFault } from '../pipeline/hooks/hook-program.ts';
import type { ServerOptions } from './server-options.ts';
import type { Opened, ServerParts } from './server-parts.ts';

/** What of the server's own environment a hook gets: where programs and the store are. Nothing of it is a secret. */
const passedOn = [
  ...['PATH', 'LANG', 'TZ', 'SSL_CERT_FILE', 'NIX_SSL_CERT_FILE'],
  ...[
    'NIX_REMOTE',
    'NIX_STORE_DIR',
    'NIX_STATE_DIR',
    'NIX_LOG_DIR',
    'NIX_CONF_DIR',
    'NIX_DAEMON_SOCKET_PATH',
  ],
];

const environmentOf = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    passedOn.flatMap((name) => {
      const value = env[name];
      return value === undefined || value === '' ? [] : [[name, value] as const];
    }),
  );

const hooksOf = (publishing: ServerOptions['publishing']) =>
  (publishing?.hooks ?? []).map(({ id, command, credentials, permissions, on, timeout_seconds }) => ({
    ...{ id, command, credentials, permissions, on },
    timeoutMs: timeout_seconds * 1000,
  }));

/** Not started. */
export const openHooks = (
  { database, logs, hookMetrics }: ServerParts,
  { options, deps, credentials, mask }: Opened,
): HookDesk => {
  const logger = deps.loggerFor('hooks');
  const say = createHookLog(logger, { audit: options.publishing?.audits ?? false });
  const hooks = hooksOf(options.publishing);
  for (const { id, command } of hooks) {
    const fault = programFault(command[0] ?? '', deps.env['PATH'] ?? '');
    if (fault !== null) logger.warn('a hook cannot run', { hook: id, why: fault });
  }
  const path = realpathSync(options.dbPath);
  const { dev, ino } = statSync(path);
  return createHookDesk({
    database,
    hooks,
    credentials,
    logs,
    mask,
    run: { env: environmentOf(deps.env) },
    serverMark: serverMarkOf({ path, dev, ino }),
    clock: Date.now,
    onEvent(event) {
      hookMetrics.told(event);
      say(event);
    },
  });
};
