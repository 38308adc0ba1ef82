// Why a machine cannot be used, or was lost, in words that say what to do.
import type { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';

/** What ssh says last, and what it takes. */
const sshAdvice: readonly (readonly [RegExp, string])[] = [
  [
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/,
    'put the public key of its host into the last field of its line (base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub there)',
  ],
  [
    /Permission denied/,
    'put the path of a private key that it takes into the third field of its line, readable by this user',
  ],
  [
    /nix-daemon: (?:command )?not found/,
    'is Nix on the PATH of ssh there? Or name it: ?remote-program=/path/nix-daemon',
  ],
  [/No such file or directory|no such program on PATH/, 'is ssh installed here, and Nix there?'],
];

/** All but its last words: warnings and banners come before them. */
const adviceOn = (said: string): string => {
  const advice = sshAdvice.find(([pattern]) => pattern.test(said))?.[1];
  return advice === undefined ? '' : ` (${advice})`;
};

/** Words of 2.8 to 2.34 for a path whose store directory is not that of the daemon. */
const isOtherStore = (message: string): boolean => /is not in the Nix store/.test(message);

/** Without a full stop. */
export const explainMachine = (error: NixDaemonError, storeDir: string): string => {
  const message = error.message.replaceAll(/\s+/g, ' ').trim();
  switch (error.code) {
    case 'NIX_DAEMON_UNREACHABLE':
    case 'NIX_DAEMON_TIMEOUT':
    case 'NIX_DAEMON_CLOSED':
      return `it does not answer: ${message}${adviceOn(message)}`;
    case 'NIX_DAEMON_TOO_OLD':
    case 'NIX_DAEMON_PROTOCOL':
      return `it is not spoken with: ${message}`;
    case 'NIX_DAEMON_REFUSED':
      return isOtherStore(message)
        ? `its store is not ${storeDir}, so nothing can be copied there or back: ${message}`
        : `it refuses: ${message}`;
    case 'NIX_DAEMON_LIMIT':
    case 'NIX_DAEMON_BUSY':
    case 'NIX_DAEMON_BAD_REQUEST':
      return message;
  }
};

export const notTrustedThere =
  'it does not trust this user, so it takes no inputs that nobody has signed: add the user of ssh to trusted-users in its nix.conf';

/** Words of 2.8, and of newer ones. */
export const isUnsigned = (message: string): boolean => /lacks a (?:valid )?signature/.test(message);

export const notTrustedHere = (name: string): string =>
  `the Nix daemon of this server takes only what a key it knows has signed, for it does not trust this user: add the user of the server to trusted-users in its nix.conf, or give ${name} a key to sign with (secret-key-files) that is among trusted-public-keys here`;

/** Whoever says it: a daemon, or the system under it. */
export const isWithoutRoom = (message: string): boolean =>
  /No space left on device|Disk quota exceeded|database or disk is full|disk I\/O error/.test(message);
