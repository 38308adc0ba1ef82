import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseStorePath } from '@eka-ci/nix/store-path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createSecondMachine,
  type SecondMachine,
  whyNoSecondMachine,
} from '../../builder/remote/testing/second-machine.ts';
import { createSshServer, type SshServer, whyNoSshServer } from '../../builder/remote/testing/ssh-server.ts';
import { describeCache } from '../cache.contract.ts';
import { buildChain, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { childrenOf } from '../testing/children.ts';
import { createNixCopyCache } from './nix-copy-cache.ts';

const timeoutMs = 60_000;
const calm = new AbortController().signal;
const why = (await whyNoSshServer()) ?? (await whyNoSecondMachine());

describe.skipIf(why !== null)(`another machine${why === null ? '' : ` (${why})`}`, () => {
  let store: PrivateStore;
  let machine: SecondMachine;
  let ssh: SshServer;
  let credentials: { readonly SSH_PRIVATE_KEY: string; readonly SSH_KNOWN_HOSTS: string };
  beforeAll(async () => {
    store = await createPrivateStore();
    machine = await createSecondMachine(store);
    ssh = await createSshServer(join(store.folder, 'ssh'), machine);
    const hostKey = Buffer.from(ssh.hostKey, 'base64').toString().trim();
    credentials = {
      SSH_PRIVATE_KEY: await readFile(ssh.identityFile, 'utf8'),
      SSH_KNOWN_HOSTS: `[127.0.0.1]:${ssh.port} ${hostKey}`,
    };
  }, 60_000);
  afterAll(async () => {
    await ssh?.stop();
    await store?.remove();
  });

  const cacheOf = (scheme: string, values: Readonly<Record<string, string>> = credentials) => {
    const surroundings = cacheSurroundings(store.nix, values);
    const destination = `${scheme}://${ssh.user}@127.0.0.1:${ssh.port}`;
    return {
      ...surroundings,
      cache: createNixCopyCache({ id: 'ssh', destination, timeoutMs }, surroundings.deps),
    };
  };

  describeCache('of another machine, by ssh-ng', async () => ({
    cache: cacheOf('ssh-ng').cache,
    makeChain: () => writeChain(store),
    lost: parseStorePath(`${store.nix.storeDir}/${'0'.repeat(32)}-lost`, store.nix.storeDir),
    remove: async () => {},
  }));

  it('is written by the older way of ssh, too', async () => {
    const { cache } = cacheOf('ssh');
    const { paths } = await writeChain(store);
    const request = { paths: paths.slice(-1) };
    expect(await cache.push(request, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
    expect(await cache.present(paths, calm)).toEqual(new Set(paths));
    expect(await cache.push(request, calm)).toMatchObject({ kind: 'pushed', sentPaths: 0 });
  });

  it('is given signatures with the paths', async () => {
    const file = join(store.folder, 'canary');
    await runStore(store, ['--generate-binary-cache-key', 'canary', file, `${file}.pub`]);
    const NIX_SIGNING_KEY = await readFile(file, 'utf8');
    const { root } = await buildChain(store);
    const { cache } = cacheOf('ssh-ng', { ...credentials, NIX_SIGNING_KEY });
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
    const nix = join(store.nix.programs.store, '..', 'nix');
    const asked = ['--extra-experimental-features', 'nix-command', 'path-info', '--sigs', root];
    const there = await runChild(machine.command([nix, ...asked]));
    expect(there.stdout).toMatch(/\scanary:/);
  });

  it('is not spoken to where its key is not known, or is another', async () => {
    const { root } = await buildChain(store);
    const { SSH_PRIVATE_KEY } = credentials;
    for (const values of [
      { SSH_PRIVATE_KEY },
      {
        SSH_PRIVATE_KEY,
        SSH_KNOWN_HOSTS: `[127.0.0.1]:${ssh.port} ${await readFile(`${ssh.identityFile}.pub`, 'utf8')}`,
      },
    ]) {
      const { cache } = cacheOf('ssh-ng', values);
      expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
        kind: 'refused',
        code: 'unauthorized',
        why: expect.stringContaining('SSH_KNOWN_HOSTS') as string,
      });
      await expect(cache.present([root], calm)).rejects.toMatchObject({ outcome: { code: 'unauthorized' } });
    }
  });

  it('does not let in another key, and lets in the one that came after', async () => {
    const { root } = await buildChain(store);
    const other = join(store.folder, 'other-key');
    await runChild({
      command: 'ssh-keygen',
      args: ['-q', '-t', 'ed25519', '-N', '', '-f', other],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    const { cache, set, forgotten } = cacheOf('ssh-ng', {
      ...credentials,
      SSH_PRIVATE_KEY: await readFile(other, 'utf8'),
    });
    set(credentials);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'unauthorized',
    });
    expect(forgotten()).toBe(1);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
  });

  it('that is down is tried again, and shows nobody the key', async () => {
    const { root } = await buildChain(store);
    const { cache } = cacheOf('ssh-ng');
    const seen: string[] = [];
    const look = setInterval(() => {
      for (const { args, env } of childrenOf(process.pid)) seen.push(JSON.stringify([args, env]));
    }, 5);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
    clearInterval(look);
    expect(seen.some((told) => told.includes('identity'))).toBe(true);
    expect(seen.filter((told) => told.includes('PRIVATE KEY'))).toEqual([]);
    await ssh.stop();
    const next = await buildChain(store);
    expect(await cache.push({ paths: [next.root] }, calm)).toMatchObject({ kind: 'passing' });
    expect(await cache.check(calm)).toMatchObject({ kind: 'faulty', isPassing: true });
    await ssh.start();
    expect(await cache.push({ paths: [next.root] }, calm)).toMatchObject({ kind: 'pushed' });
  });
});
