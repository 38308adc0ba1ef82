// What a daemon is told before it builds for us. Sending settings replaces its own, so what is not ours to decide is what
// the user has set, as Nix's programs do.
import { access, constants } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { StandingSettings } from '../build-settings.ts';
import { readNixSettings } from '../nix-offer.ts';
import type { ReachedDaemon } from './reach-daemon.ts';

/** They have a field of their own, are decided by us, or mean something to the client alone. */
const notOverridden: ReadonlySet<string> = new Set([
  ...[
    'cores',
    'fallback',
    'keep-failed',
    'keep-going',
    'max-jobs',
    'max-silent-time',
    'substitute',
    'timeout',
  ],
  ...[
    'builders',
    'build-hook',
    'log-lines',
    'max-build-log-size',
    'store',
    'experimental-features',
    'plugin-files',
  ],
  ...['use-xdg-base-directories', 'accept-flake-config', 'flake-registry', 'show-trace', 'warn-dirty'],
]);

/**
 * What the user's own configuration and environment change: a daemon reads only the machine's. Nothing where Nix has no
 * command to show it.
 */
const findUserSettings = async (
  nix: NixInstallation,
  settings: ReadonlyMap<string, string>,
): Promise<Record<string, string>> => {
  const { NIX_CONFIG: _, ...env } = nix.env;
  const machine = await readNixSettings({ ...nix, env: { ...env, NIX_USER_CONF_FILES: '' } });
  if (machine === null) return {};
  const own = [...settings].filter(
    ([name, value]) => machine.get(name) !== value && !notOverridden.has(name),
  );
  return Object.fromEntries(own);
};

const quietHook = fileURLToPath(new URL('no-build-hook.sh', import.meta.url));

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );

/**
 * Nix starts its build hook for every request, also where it has no other machine: three quarters of the time of a build that
 * does nothing. Newer ones can do without (seen in 2.26 and 2.34, not in 2.8). A daemon that is not our child is not told
 * to start a program of ours.
 */
const buildHookFor = async ({ isOwn, protocolMinor }: ReachedDaemon): Promise<Record<string, string>> => {
  if (protocolMinor >= 38) return { 'build-hook': '' };
  // Split at white space by those between.
  const isUsable = isOwn && !/\s/.test(quietHook) && (await isExecutable(quietHook));
  return isUsable ? { 'build-hook': quietHook } : {};
};

const overridesFor = async (
  nix: NixInstallation,
  daemon: ReachedDaemon,
  settings: ReadonlyMap<string, string>,
): Promise<Record<string, string>> => {
  // It would warn of each, in the log of every build.
  if (daemon.trust !== 'trusted') return { builders: '' };
  // A child of ours has our environment, so it has read the user's settings itself.
  const users = daemon.isOwn ? {} : await findUserSettings(nix, settings);
  // Else Nix quotes the builder's output in its own messages.
  return { ...users, ...(await buildHookFor(daemon)), builders: '', 'log-lines': '0' };
};

/** @param settings the client's, as Nix shows them */
export const findStandingSettings = async (
  nix: NixInstallation,
  daemon: ReachedDaemon,
  settings: ReadonlyMap<string, string>,
): Promise<StandingSettings> => ({
  keepFailed: settings.get('keep-failed') === 'true',
  fallback: settings.get('fallback') === 'true',
  cores: Number.parseInt(settings.get('cores') ?? '', 10) || 0,
  substitute: settings.get('substitute') !== 'false',
  overrides: await overridesFor(nix, daemon, settings),
});
