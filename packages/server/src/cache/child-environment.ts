// What a program that pushes knows of this server: where the store is, and nothing else.
import type { NixInstallation } from '@eka-ci/nix/installation';

/** Not among them: the settings of this user, which may hold tokens for other places. */
const ofTheStore = [
  'PATH',
  'LANG',
  'NIX_STORE_DIR',
  'NIX_STATE_DIR',
  'NIX_LOG_DIR',
  'NIX_CONF_DIR',
  'NIX_DATA_DIR',
  'NIX_REMOTE',
  'NIX_DAEMON_SOCKET_PATH',
  'NIX_SSL_CERT_FILE',
] as const;

/**
 * Home, cache and settings are in `folder`: what another push found out about a cache may hold no longer, and Nix would
 * believe it for a month.
 */
export const childEnvironment = (
  nix: NixInstallation,
  folder: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> => {
  const env: Record<string, string> = {
    HOME: folder,
    TMPDIR: folder,
    XDG_CACHE_HOME: folder,
    XDG_CONFIG_HOME: folder,
    XDG_DATA_HOME: folder,
    XDG_STATE_HOME: folder,
    NIX_USER_CONF_FILES: '',
    NIX_PATH: '',
    ...more,
  };
  for (const name of ofTheStore) {
    const value = nix.env[name];
    if (value !== undefined) env[name] ??= value;
  }
  return env;
};
