// What a daemon lets this user do, where it does not say so itself.
import { setOptions } from './build-operations.ts';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import type { DaemonTrust } from './handshake.ts';

/**
 * No Nix has a setting of this name. A client that is not trusted is told that its setting is ignored; one that is may set
 * anything, and a name that nobody knows changes nothing.
 */
const noSetting = 'eka-ci-asks-whether-it-is-trusted';

/** 2.8 tells it to nobody else; newer ones would as a warning. */
const DEBUG = 6;

/**
 * As the daemon says it; before protocol 1.35 found out by a setting that does not exist. It then leaves default settings,
 * so call it before `setOptions`.
 */
export const findTrust = async (
  connection: DaemonConnection,
  options: CallOptions = {},
): Promise<DaemonTrust> => {
  // A newer daemon that says it does not know asks another one in its turn.
  if (connection.daemon.minor >= 35) return connection.daemon.trust;
  let isIgnored = false;
  const settings = { verbosity: DEBUG, overrides: { builders: '', [noSetting]: '1' } };
  await setOptions(connection, settings, {
    ...options,
    onEvent(event) {
      if (event.kind === 'message' && event.text.includes(noSetting)) isIgnored = true;
    },
  });
  await setOptions(connection, {}, options);
  return isIgnored ? 'not-trusted' : 'trusted';
};
