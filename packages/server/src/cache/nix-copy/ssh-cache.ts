// The Nix store of another machine, reached by ssh: whoever fetches from that machine finds it there.
import type { StorePath } from '@eka-ci/core/ids';
import { parseStorePath } from '@eka-ci/nix/store-path';
import { chunkArguments } from '@eka-ci/nix/store-queries';
import { findProgram, runChild } from '@eka-ci/process';
import type { LoadedCredentials } from '../../credentials/credentials.ts';
import { revealed } from '../authorization.ts';
import type { CacheHealth, PushOutcome, PushRequest } from '../cache.ts';
import { CacheError } from '../cache.ts';
import { childEnvironment } from '../child-environment.ts';
import { checkDestination } from '../destination-check.ts';
import { closureOf } from '../local-closure.ts';
import { type PrivateFolder, withPrivateFolder } from '../private-folder.ts';
import { complaintFault, passing, refused } from '../push-fault.ts';
import { signInStore } from '../signing-key.ts';
import { copyPaths } from './copy.ts';
import { createCopyCount } from './copy-count.ts';
import type { StoreDriver, StoreDriverDeps } from './store-driver.ts';
import { type StoreUrl, settingOf, storeUrlText } from './store-url.ts';

const placeForm = /^(?<login>(?:[^@/]*@)?)(?<host>\[[^\]]+\]|[^:/]+)(?::(?<port>\d+))?\/?$/;

interface Reach {
  readonly to: string;
  readonly env: Readonly<Record<string, string>>;
}

interface SshHost {
  readonly host: string;
  readonly port: string | undefined;
  /** The destination says which key it has. */
  readonly isGiven: boolean;
}

interface ReachAsked {
  readonly folder: PrivateFolder;
  readonly values: LoadedCredentials['values'];
  /** That its host has now. */
  readonly addresses: readonly string[];
}

/**
 * Only a host whose key is known is spoken to: that of `SSH_KNOWN_HOSTS` where the credentials hold it, lines as of
 * known_hosts; else what this machine knows.
 */
const sshOptions = async (
  { folder, values, addresses }: ReachAsked,
  { host, port, isGiven }: SshHost,
): Promise<string[]> => {
  const key = revealed(values, 'SSH_PRIVATE_KEY');
  const knownHosts = revealed(values, 'SSH_KNOWN_HOSTS');
  // The one that machines have that do not have the other.
  const address = addresses.find((one) => !one.includes(':')) ?? addresses[0];
  const name = host.replace(/^\[|\]$/g, '');
  const alias = isGiven || port === undefined || port === '22' ? name : `[${name}]:${port}`;
  return [
    ...['-a', '-x', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes'],
    ...['-o', 'ConnectTimeout=15', '-o', 'ServerAliveInterval=15', '-o', 'ServerAliveCountMax=3'],
    ...(port === undefined ? [] : ['-p', port]),
    ...(address === undefined ? [] : ['-o', `HostName=${address}`]),
    ...(address === undefined && !isGiven ? [] : ['-o', `HostKeyAlias=${alias}`]),
    // OpenSSH takes no key whose last line does not end.
    ...(key === undefined
      ? []
      : ['-i', await folder.write('identity', `${key}\n`), '-o', 'IdentitiesOnly=yes']),
    ...(knownHosts === undefined
      ? []
      : [
          '-o',
          `UserKnownHostsFile=${await folder.write('known-hosts', `${knownHosts}\n`)}`,
          ...['-o', 'GlobalKnownHostsFile=/dev/null'],
        ]),
  ];
};

interface SshStore extends StoreDriverDeps {
  readonly url: StoreUrl;
}

const reach = async ({ nix, url }: SshStore, asked: ReachAsked): Promise<Reach> => {
  const { login = '', host = '', port } = placeForm.exec(url.place)?.groups ?? {};
  // Nix writes that into a file of known hosts by itself, without the port.
  const isGiven = settingOf(url, 'base64-ssh-public-host-key') !== null;
  const options = await sshOptions(asked, { host, port, isGiven });
  // Nix splits them at blanks, and knows no quotes.
  if (options.some((word) => /\s/.test(word))) {
    throw new CacheError(
      refused('unsupported', 'the temporary folder of this server has a blank in its name'),
    );
  }
  return {
    // Older ones take no port there.
    to: storeUrlText({ ...url, place: `${login}${host}` }),
    env: childEnvironment(nix, asked.folder.path, { NIX_SSHOPTS: options.join(' ') }),
  };
};

const withReach = async <Result>(
  store: SshStore,
  signal: AbortSignal,
  work: (way: Reach, asked: ReachAsked) => Promise<Result>,
): Promise<Result> => {
  const addresses = await checkDestination(store.guard, store.destination, signal);
  const { values } = await store.credentials.load(signal);
  return withPrivateFolder(async (folder) => {
    const asked = { folder, values, addresses };
    return work(await reach(store, asked), asked);
  });
};

const ask = async (
  { nix }: SshStore,
  { way: { to, env }, paths }: { readonly way: Reach; readonly paths: readonly StorePath[] },
  signal: AbortSignal,
): Promise<Set<StorePath>> => {
  const there = new Set(paths);
  for (const chunk of chunkArguments(there)) {
    const args = ['--store', to, '--check-validity', '--print-invalid', ...chunk];
    const asked = await runChild({ command: nix.programs.store, args, env, signal });
    signal.throwIfAborted();
    if (asked.code !== 0) throw new CacheError(complaintFault(asked.stderr.split('\n'), 'nix-store'));
    // Printed back as they were given.
    for (const line of asked.stdout.split('\n')) there.delete(line as StorePath);
  }
  return there;
};

const push = (store: SshStore, request: PushRequest, signal: AbortSignal): Promise<PushOutcome> =>
  withReach(store, signal, async (way, { folder, values }) => {
    const { nix } = store;
    const { paths } = request;
    const closure = await closureOf(store, paths, signal);
    // The store there takes signatures with the paths, and makes none.
    await signInStore({ nix, paths, values, folder }, signal);
    const count = createCopyCount(closure, request.onProgress);
    const copy = { nix, to: way.to, options: [], env: way.env, onEvent: count.take };
    const complaints = await copyPaths(copy, { paths, signal });
    if (complaints !== null) return complaintFault(complaints, 'nix copy');
    const arrived = await ask(store, { way, paths }, signal);
    const lost = paths.find((path) => !arrived.has(path));
    return lost === undefined
      ? { kind: 'pushed', ...count.sent() }
      : passing(`it took everything and does not have ${lost}`);
  });

const check = async (store: SshStore, signal: AbortSignal): Promise<CacheHealth> => {
  const { nix } = store;
  if (findProgram('ssh', nix.env['PATH']) === null) {
    return { kind: 'faulty', why: 'ssh is not installed', isPassing: false };
  }
  const nothing = parseStorePath(`${nix.storeDir}/${'0'.repeat(32)}-nothing`, nix.storeDir);
  await withReach(store, signal, (way) => ask(store, { way, paths: [nothing] }, signal));
  return { kind: 'well', about: 'it answers' };
};

export const createSshDriver = (url: StoreUrl, deps: StoreDriverDeps): StoreDriver => {
  const store = { ...deps, url };
  return {
    present: (paths, signal) => withReach(store, signal, (way) => ask(store, { way, paths }, signal)),
    push: (request, signal) => push(store, request, signal),
    check: (signal) => check(store, signal),
  };
};
