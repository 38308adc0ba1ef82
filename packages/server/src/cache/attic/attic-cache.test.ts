import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseStorePath } from '@eka-ci/nix/store-path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { describeCache } from '../cache.contract.ts';
import { buildChain, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { hasAttic, type RealAttic, startRealAttic } from '../testing/real-attic.ts';
import { type ScriptedCache, startScriptedCache } from '../testing/scripted-cache.ts';
import { createStandIn, type StandIn, uploadScript } from '../testing/stand-in.ts';
import { createAtticCache } from './attic-cache.ts';

const signPath = async (path: string, keyFile: string): Promise<void> => {
  const args = ['--extra-experimental-features', 'nix-command', 'store', 'sign', '--key-file', keyFile, path];
  const command = join(store.nix.programs.store, '..', 'nix');
  const signed = await runChild({ command, args, env: store.nix.env });
  if (signed.code !== 0) throw new Error(signed.stderr);
};

const timeoutMs = 30_000;
const calm = new AbortController().signal;
const token = { ATTIC_TOKEN: 'canary.token-"quoted"' };

let store: PrivateStore;
let web: ScriptedCache;
let attic: StandIn;
beforeAll(async () => {
  store = await createPrivateStore();
  web = await startScriptedCache();
  attic = await createStandIn({
    folder: join(store.folder, 'attic'),
    name: 'attic',
    config: 'attic/config.toml',
  });
});
afterAll(async () => {
  await web.stop();
  await store.remove();
});
beforeEach(async () => {
  web.follow(() => 'keep');
  web.files.set('/ours/nix-cache-info', Buffer.from(`StoreDir: ${store.nix.storeDir}\n`));
  await attic.script(uploadScript(`${web.url}ours/`, 'args.slice(2)'));
});

const cacheOf = (values: Readonly<Record<string, string>> = token, isGuarded = false) => {
  const nix = { ...store.nix, env: { ...store.nix.env, PATH: `${attic.folder}:${store.nix.env['PATH']}` } };
  const more = isGuarded ? { guard: createDestinationGuard({ allowPrivate: false }) } : {};
  const surroundings = cacheSurroundings(nix, values, more);
  const settings = { id: 'attic', destination: `${web.url}ours`, timeoutMs };
  return { ...surroundings, cache: createAtticCache(settings, surroundings.deps) };
};

describeCache('of an Attic server', async () => ({
  cache: cacheOf().cache,
  makeChain: async () => ({ paths: (await writeChain(store)).paths.slice(0, 1) }),
  lost: null,
  counts: false,
  remove: async () => {},
}));

describe('attic', () => {
  it('is told its token by settings of its own, that are gone afterwards, and by nothing else', async () => {
    const { root } = await buildChain(store);
    expect(await cacheOf().cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
    const call = (await attic.calls()).at(-1);
    expect(call?.args).toEqual(['push', 'eka-ci:ours', root]);
    expect(call?.config).toEqual({
      mode: '600',
      folderMode: '700',
      text: [
        'default-server = "eka-ci"',
        '[servers.eka-ci]',
        `endpoint = "${web.url}"`,
        'token = "canary.token-\\"quoted\\""',
        '',
      ].join('\n'),
    });
    expect(JSON.stringify([call?.args, call?.env, call?.stdin])).not.toContain('canary');
    await expect(access(call?.env['XDG_CONFIG_HOME'] ?? '')).rejects.toThrow('ENOENT');
    expect(web.requests.at(-1)?.authorization).toBe(`Bearer ${token.ATTIC_TOKEN}`);
  });

  it('sends what was signed before, where there is a key', async () => {
    const { root } = await buildChain(store);
    const file = join(store.folder, 'ours-1');
    await runStore(store, ['--generate-binary-cache-key', 'ours-1', file, `${file}.pub`]);
    const { cache } = cacheOf({ ...token, NIX_SIGNING_KEY: await readFile(file, 'utf8') });
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
    const args = ['--extra-experimental-features', 'nix-command', 'path-info', '--sigs', root];
    const told = await runChild({
      command: join(store.nix.programs.store, '..', 'nix'),
      args,
      env: store.nix.env,
    });
    expect(told.stdout).toMatch(/\sours-1:/);
  });

  it('is refused, and its token is asked for again', async () => {
    const { root } = await buildChain(store);
    const { cache, forgotten } = cacheOf();
    await attic.script('console.error("Error: Unauthorized: Unauthorized."); process.exitCode = 1;');
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'unauthorized',
    });
    expect(forgotten()).toBe(1);
    // The server may say so when it is asked what it has, too.
    web.follow(() => ({ status: 401 }));
    await expect(cache.present([root], calm)).rejects.toMatchObject({ outcome: { code: 'unauthorized' } });
    expect(forgotten()).toBe(2);
  });

  it('is not called where its server is at a private address, or its token is none', async () => {
    const { root } = await buildChain(store);
    const before = (await attic.calls()).length;
    expect(await cacheOf(token, true).cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'destination',
    });
    const broken = cacheOf({ ATTIC_TOKEN: 'two\nlines' }).cache;
    expect(await broken.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'credentials',
    });
    expect((await attic.calls()).length).toBe(before);
  });
});

describe.skipIf(!hasAttic)('a real Attic (skipped where EKA_CI_TEST_ATTIC names no folder)', () => {
  let real: RealAttic;
  beforeAll(async () => {
    real = await startRealAttic();
    await real.makeCache('ours', { storeDir: store.nix.storeDir, upstream: ['public-1'] });
    await real.makeCache('elsewhere', { storeDir: '/other/store', upstream: [] });
  });
  afterAll(() => real.stop());

  const realOf = async (cache = 'ours', rights = '*') => {
    const nix = { ...store.nix, env: { ...store.nix.env, PATH: `${real.bin}:${store.nix.env['PATH']}` } };
    const surroundings = cacheSurroundings(nix, { ATTIC_TOKEN: await real.makeToken(rights) });
    const settings = { id: 'attic', destination: `${real.url}${cache}`, timeoutMs };
    return { ...surroundings, cache: createAtticCache(settings, surroundings.deps) };
  };

  describeCache('of a real Attic', async () => ({
    cache: (await realOf()).cache,
    makeChain: () => writeChain(store),
    lost: parseStorePath(`${store.nix.storeDir}/${'0'.repeat(32)}-lost`, store.nix.storeDir),
    counts: false,
    remove: async () => {},
  }));

  it('takes what was built, large things too, and leaves out what a public cache has', async () => {
    const { paths } = await buildChain(store, 3_000_000);
    const { cache } = await realOf();
    expect(await cache.push({ paths: paths.slice(-1) }, calm)).toMatchObject({ kind: 'pushed' });
    expect(await cache.present(paths, calm)).toEqual(new Set(paths));
    const { root } = await buildChain(store);
    const file = join(store.folder, 'public-1');
    await runStore(store, ['--generate-binary-cache-key', 'public-1', file, `${file}.pub`]);
    await signPath(root, file);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
    expect(await cache.present([root], calm)).toEqual(new Set());
  });

  it.each([
    ['a token of another cache', 'ours', 'theirs', 'unauthorized', /status 401/],
    ['a cache that is not there', 'none', '*', 'destination', /no such cache|no cache/],
    ['a cache of another store', 'elsewhere', '*', 'destination', /another store/],
  ])(
    'says of %s what is wrong, when it is asked and when it is pushed to',
    async (_what, name, rights, code, why) => {
      const { cache } = await realOf(name, rights);
      const { root } = await buildChain(store);
      expect(await cache.check(calm)).toEqual({
        kind: 'faulty',
        why: expect.stringMatching(why) as string,
        isPassing: false,
      });
      expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'refused', code });
    },
  );
});
