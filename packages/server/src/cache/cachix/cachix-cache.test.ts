import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeCache } from '../cache.contract.ts';
import { buildChain, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { type ScriptedCache, startScriptedCache } from '../testing/scripted-cache.ts';
import { createStandIn, type StandIn, uploadScript } from '../testing/stand-in.ts';
import { createCachixCache } from './cachix-cache.ts';

const timeoutMs = 30_000;
const calm = new AbortController().signal;
const key = `name:${Buffer.alloc(64, 7).toString('base64')}`;
const token = { CACHIX_AUTH_TOKEN: 'canary-token' };

let store: PrivateStore;
let web: ScriptedCache;
let cachix: StandIn;
beforeAll(async () => {
  store = await createPrivateStore();
  web = await startScriptedCache();
  cachix = await createStandIn({ folder: join(store.folder, 'cachix'), name: 'cachix' });
});
afterAll(async () => {
  await web.stop();
  await store.remove();
});
beforeEach(async () => {
  web.follow(() => 'keep');
  web.files.set('/nix-cache-info', Buffer.from(`StoreDir: ${store.nix.storeDir}\n`));
  await cachix.script(uploadScript(web.url, 'stdin.split(/\\s+/).filter(Boolean)'));
});

const cacheOf = (values: Readonly<Record<string, string>> = token, withProgram = true) => {
  const PATH = `${withProgram ? `${cachix.folder}:` : ''}${store.nix.env['PATH']}`;
  const nix = { ...store.nix, env: { ...store.nix.env, PATH, SERVER_SECRET: 'canary-server' } };
  const surroundings = cacheSurroundings(nix, values);
  const settings = { id: 'cachix', destination: 'our-cache.1', timeoutMs };
  return { ...surroundings, cache: createCachixCache(settings, { ...surroundings.deps, base: web.url }) };
};

describeCache('at Cachix', async () => ({
  cache: cacheOf().cache,
  // The stand-in sends what it is told, and knows nothing of references.
  makeChain: async () => ({ paths: (await writeChain(store)).paths.slice(0, 1) }),
  lost: null,
  counts: false,
  remove: async () => {},
}));

describe('cachix', () => {
  it('is called with nothing but the name, told its secrets by its environment, and paths on standard input', async () => {
    const { root } = await buildChain(store);
    const { cache } = cacheOf({ ...token, NIX_SIGNING_KEY: key });
    expect(await cache.push({ paths: [root] }, calm)).toEqual({
      kind: 'pushed',
      sentPaths: null,
      sentBytes: null,
    });
    const call = (await cachix.calls()).at(-1);
    expect(call).toMatchObject({ args: ['push', 'our-cache.1'], stdin: `${root}\n` });
    expect(call?.env).toMatchObject({
      CACHIX_AUTH_TOKEN: 'canary-token',
      CACHIX_SIGNING_KEY: key.slice('name:'.length),
      NIX_STORE_DIR: store.nix.storeDir,
      NIX_REMOTE: 'local',
    });
    expect(JSON.stringify(call?.env)).not.toContain('canary-server');
    await expect(access(call?.env['HOME'] ?? '')).rejects.toThrow('ENOENT');
    // A private cache is asked with the token.
    const basic = `Basic ${Buffer.from(':canary-token').toString('base64')}`;
    expect(web.requests.at(-1)?.authorization).toBe(basic);
  });

  it.each([
    ["CachixException: Binary cache x doesn't exist or you don't have access.", 'unauthorized'],
    ['FailureResponse (Response {responseStatusCode = Status {statusCode = 401', 'unauthorized'],
  ])('says %s, and its token is asked for again', async (said, code) => {
    await cachix.script(`console.error(${JSON.stringify(said)}); process.exitCode = 1;`);
    const { root } = await buildChain(store);
    const { cache, forgotten } = cacheOf();
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'refused', code });
    expect(forgotten()).toBe(1);
  });

  it.each([
    [404, 'destination', 'there is no cache at'],
    [401, 'unauthorized', 'status 401'],
    [403, 'unauthorized', 'status 403'],
  ])('is not called where nix-cache-info is answered with %i', async (status, code, why) => {
    web.follow(({ path }) => (path === '/nix-cache-info' ? { status } : 'keep'));
    const before = (await cachix.calls()).length;
    const { root } = await buildChain(store);
    const { cache } = cacheOf();
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      ...{ kind: 'refused', code },
      why: expect.stringContaining(why) as string,
    });
    expect(await cache.check(calm)).toMatchObject({ kind: 'faulty', isPassing: false });
    expect((await cachix.calls()).length).toBe(before);
  });

  it('breaks, or says that it is done and is not: it is tried again', async () => {
    const { root } = await buildChain(store);
    const { cache } = cacheOf();
    await cachix.script(
      'console.error("ConnectionFailure " + process.env.CACHIX_AUTH_TOKEN); process.exitCode = 1;',
    );
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'passing',
      why: expect.stringMatching(/ConnectionFailure \[redacted\]/) as string,
    });
    await cachix.script('console.error("All done.");');
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'passing' });
  });

  it('leaves out what a public cache has signed, and that is no fault of its', async () => {
    const { root } = await buildChain(store);
    const file = join(store.folder, 'public-cache');
    await runStore(store, ['--generate-binary-cache-key', 'cache.example-1', file, `${file}.pub`]);
    const args = ['--extra-experimental-features', 'nix-command', 'store', 'sign', '--key-file', file, root];
    const signed = await runChild({
      command: join(store.nix.programs.store, '..', 'nix'),
      args,
      env: store.nix.env,
    });
    expect(signed.code).toBe(0);
    await cachix.script('');
    expect(await cacheOf().cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed' });
  });

  it('is not there, or has no secret: both are said', async () => {
    const { root } = await buildChain(store);
    const without = cacheOf(token, false).cache;
    expect(await without.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'unsupported',
    });
    expect(await without.check(calm)).toMatchObject({
      kind: 'faulty',
      why: expect.stringContaining('cachix') as string,
    });
    const keyless = cacheOf({}).cache;
    expect(await keyless.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'credentials',
    });
    expect(await keyless.check(calm)).toMatchObject({ kind: 'faulty', isPassing: false });
  });
});
