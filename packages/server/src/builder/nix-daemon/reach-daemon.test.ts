import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRoute, searchDaemon } from './reach-daemon.ts';

describe('the way to a daemon', () => {
  let folder: string;
  let nix: NixInstallation;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'eka-ci-route-'));
    nix = {
      programs: { instantiate: '/no/nix-instantiate', store: '/no/nix-store', evalJobs: null },
      version: '2.8.0',
      storeDir: '/nix/store',
      stateDir: join(folder, 'var'),
      confDir: '/etc/nix',
      access: 'direct',
      daemonSocket: join(folder, 'socket'),
      env: {},
    };
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    ['local', { kind: 'own' }],
    ['unix:///run/nix/socket', { kind: 'socket', path: '/run/nix/socket' }],
  ])('is said by %s', async (store, route) => {
    expect(await findRoute(nix, store)).toEqual(route);
  });

  it('is the socket of this Nix for "daemon"', async () => {
    expect(await findRoute(nix, 'daemon')).toEqual({ kind: 'socket', path: nix.daemonSocket });
  });

  it.each(['local?root=/mnt', 'unix:///run/socket?root=/mnt', 'ssh-ng://far', 'https://cache', 'dummy://'])(
    'is not known for %s',
    async (store) => {
      expect(await findRoute(nix, store)).toMatchObject({
        kind: 'none',
        why: expect.stringContaining(store) as string,
      });
    },
  );

  it('is found for "auto" as Nix finds it: the state folder that may be written, then the socket', async () => {
    expect(await findRoute(nix, 'auto')).toMatchObject({ kind: 'none' });
    await writeFile(nix.daemonSocket, '');
    expect(await findRoute(nix, '')).toEqual({ kind: 'socket', path: nix.daemonSocket });
    await mkdir(nix.stateDir);
    expect(await findRoute(nix, 'auto')).toEqual({ kind: 'own' });
  });

  it('leads nowhere where nobody listens, and where there is no program', async () => {
    expect(await searchDaemon(nix, 'daemon')).toMatchObject({
      kind: 'unreached',
      why: expect.stringMatching(/socket: nobody listens there|no such socket/) as string,
    });
    expect(await searchDaemon(nix, 'local')).toMatchObject({
      kind: 'unreached',
      why: expect.stringContaining('nix-daemon') as string,
    });
  });
});

describe('a daemon that was reached', () => {
  const stores: PrivateStore[] = [];
  const storeWith = async (options: Parameters<typeof createPrivateStore>[0]): Promise<PrivateStore> => {
    const store = await createPrivateStore(options);
    stores.push(store);
    return store;
  };
  afterAll(async () => {
    for (const store of stores) await store.remove();
  });

  it('says who it is and whether it trusts us', async () => {
    const [own, trusting, wary] = await Promise.all([
      storeWith({}),
      storeWith({ daemon: true }),
      storeWith({ daemon: true, config: 'trusted-users = nobody' }),
    ]);
    const nixVersion = own.nix.version;
    const found = { kind: 'reached', nixVersion };
    expect(await searchDaemon(own.nix, 'local')).toMatchObject({ ...found, isOwn: true, trust: 'trusted' });
    expect(await searchDaemon(trusting.nix, 'daemon')).toMatchObject({
      ...found,
      isOwn: false,
      trust: 'trusted',
    });
    expect(await searchDaemon(wary.nix, 'daemon')).toMatchObject({
      ...found,
      isOwn: false,
      trust: 'not-trusted',
    });
  });

  it('is of no use where its store is another one', async () => {
    const { nix } = await storeWith({ daemon: true });
    expect(await searchDaemon({ ...nix, storeDir: '/nix/store' }, 'daemon')).toMatchObject({
      kind: 'unreached',
      why: expect.stringContaining('/nix/store/') as string,
    });
  });
});
