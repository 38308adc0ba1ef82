import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { describeCache } from '../cache.contract.ts';
import { buildChain, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { type ScriptedCache, startScriptedCache } from '../testing/scripted-cache.ts';
import { createStandIn, type StandIn, uploadScript } from '../testing/stand-in.ts';
import { createAtticCache } from './attic-cache.ts';

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
