import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { describeCache } from '../cache.contract.ts';
import { type BuiltChain, buildChain, dropPaths, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { childrenOf } from '../testing/children.ts';
import { startNginx, whyNoNginx } from '../testing/nginx.ts';
import { type Script, type ScriptedCache, startScriptedCache } from '../testing/scripted-cache.ts';
import { createNixCopyCache } from './nix-copy-cache.ts';

const timeoutMs = 60_000;
const calm = new AbortController().signal;
const login = { user: 'ci', password: 'pass "word" %41 ÿ' };
const asCredentials = { HTTP_USERNAME: login.user, HTTP_PASSWORD: login.password };
const noNginx = whyNoNginx();

describe.skipIf(noNginx !== null)(`nginx${noNginx === null ? '' : ` (${noNginx})`}`, () => {
  describeCache('behind nginx', async () => {
    const store = await createPrivateStore();
    const nginx = await startNginx(join(store.folder, 'nginx'), { login });
    const { deps } = cacheSurroundings(store.nix, asCredentials);
    const destination = `${nginx.url}sub/cache?compression=zstd`;
    return {
      cache: createNixCopyCache({ id: 'web', destination, timeoutMs }, deps),
      makeChain: () => writeChain(store),
      lost: `${store.nix.storeDir}/${'0'.repeat(32)}-lost` as StorePath,
      remove: async () => {
        await nginx.stop();
        await store.remove();
      },
    };
  });

  it('gives back what was pushed and signed, to whoever trusts the key', async () => {
    const store = await createPrivateStore();
    const nginx = await startNginx(join(store.folder, 'nginx'), {
      login: { user: 'ci', password: 'secret' },
    });
    try {
      const keys = ['ours-1', 'other-1'].map((name) => ({ name, file: join(store.folder, name) }));
      for (const { name, file } of keys) {
        await runStore(store, ['--generate-binary-cache-key', name, file, `${file}.pub`]);
      }
      const [ours = '', other = ''] = await Promise.all(
        keys.map(({ file }) => readFile(`${file}.pub`, 'utf8')),
      );
      const secret = await readFile(join(store.folder, 'ours-1'), 'utf8');
      const { deps } = cacheSurroundings(store.nix, {
        HTTP_USERNAME: 'ci',
        HTTP_PASSWORD: 'secret',
        NIX_SIGNING_KEY: secret,
      });
      const cache = createNixCopyCache({ id: 'web', destination: nginx.url, timeoutMs }, deps);
      const { paths, root } = await buildChain(store);
      expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
      await dropPaths(store, paths.toReversed());
      const fetchBack = (publicKey: string) => {
        const host = new URL(nginx.url).host;
        const options = ['substituters', `http://ci:secret@${host}`, 'trusted-public-keys', publicKey.trim()];
        return runChild({
          command: store.nix.programs.store,
          args: [
            '--option',
            options[0] ?? '',
            options[1] ?? '',
            '--option',
            options[2] ?? '',
            options[3] ?? '',
            '--realise',
            root,
          ],
          env: store.nix.env,
        });
      };
      expect((await fetchBack(other)).code).not.toBe(0);
      expect(await fetchBack(ours)).toMatchObject({ code: 0, stdout: `${root}\n` });
    } finally {
      await nginx.stop();
      await store.remove();
    }
  }, 60_000);
});

describe('a cache over HTTP that', () => {
  let store: PrivateStore;
  let web: ScriptedCache;
  let chain: BuiltChain;
  beforeAll(async () => {
    store = await createPrivateStore();
    web = await startScriptedCache();
    chain = await buildChain(store, 200_000);
  });
  afterAll(async () => {
    await web.stop();
    await store.remove();
  });
  beforeEach(() => {
    web.files.clear();
    web.follow(() => 'keep');
  });

  const surroundings = (values: Record<string, string> = asCredentials) =>
    cacheSurroundings(store.nix, values);
  const cacheOf = (deps = surroundings().deps, limitMs = timeoutMs, destination = web.url) =>
    createNixCopyCache({ id: 'web', destination, timeoutMs: limitMs }, deps);
  const push = (cache = cacheOf(), signal = calm) => cache.push({ paths: [chain.root] }, signal);
  const uploads =
    (status: number, more: object = {}): Script =>
    ({ method }) =>
      method === 'PUT' ? { status, ...more } : 'keep';

  it.each([
    ['knows nobody', 401, { kind: 'refused', code: 'unauthorized' }],
    ['forbids it', 403, { kind: 'refused', code: 'read-only' }],
    ['takes no uploads', 405, { kind: 'refused', code: 'read-only' }],
    ['takes nothing so large', 413, { kind: 'refused', code: 'read-only' }],
    ['breaks', 500, { kind: 'passing' }],
    ['is behind one that does not reach it', 502, { kind: 'passing' }],
    ['is full', 507, { kind: 'passing', why: expect.stringContaining('full') as string }],
  ])('%s says so', async (_, status, outcome) => {
    web.follow(uploads(status));
    expect(await push()).toMatchObject(outcome);
    // What was there when it began may be in the middle of it: the first upload is not the only one that fails.
    web.follow((request) => (request.path.includes('/nar/') ? uploads(status)(request) : 'keep'));
    expect(await push()).toMatchObject(outcome);
  });

  it('has enough for now says when to come again', async () => {
    web.follow(uploads(429, { headers: { 'retry-after': '77' } }));
    expect(await push()).toMatchObject({ kind: 'passing', retryAfterMs: 77_000 });
  });

  it('sends uploads elsewhere gets none there', async () => {
    web.follow(uploads(307, { headers: { location: `${web.url}elsewhere` } }));
    expect(await push()).toMatchObject({ kind: 'refused', code: 'destination' });
    expect(web.requests.some(({ path }) => path.startsWith('/elsewhere'))).toBe(false);
  });

  it('takes everything and stores nothing is not believed', async () => {
    web.follow(uploads(200));
    expect(await push()).toMatchObject({
      kind: 'passing',
      why: expect.stringContaining('does not have') as string,
    });
    // Nor one that answers every question with a page.
    web.follow(() => ({ status: 200, body: '<html>Welcome</html>' }));
    expect(await cacheOf().present(chain.paths, calm)).toEqual(new Set());
    expect((await push()).kind).toBe('passing');
  });

  it('hangs up in the middle, or is not there, is tried again later', async () => {
    web.follow(({ method, path }) => (method === 'PUT' && path.includes('/nar/') ? 'break' : 'keep'));
    expect(await push()).toMatchObject({ kind: 'passing' });
    const down = cacheOf(surroundings().deps, timeoutMs, 'http://127.0.0.1:1/');
    expect(await push(down)).toMatchObject({
      kind: 'passing',
      why: expect.stringContaining('ECONNREFUSED') as string,
    });
    await expect(down.present(chain.paths, calm)).rejects.toMatchObject({
      code: 'CACHE_NOT_ANSWERING',
      outcome: { kind: 'passing' },
    });
    expect(await down.check(calm)).toMatchObject({ kind: 'faulty', isPassing: true });
  });

  it('hangs up in the middle of an answer is tried again later', async () => {
    web.follow(({ method }) => (method === 'GET' ? 'cut' : 'keep'));
    await expect(cacheOf().present(chain.paths, calm)).rejects.toMatchObject({
      code: 'CACHE_NOT_ANSWERING',
      outcome: { kind: 'passing' },
    });
    expect(await push()).toMatchObject({ kind: 'passing' });
  });

  it('does not answer is not waited for by one who gives up', async () => {
    web.follow(() => 'hang');
    const reason = new Error('enough');
    const abort = new AbortController();
    const asking = cacheOf().present(chain.paths, abort.signal);
    await expect.poll(() => web.requests.length).toBeGreaterThan(0);
    abort.abort(reason);
    await expect(asking).rejects.toBe(reason);
  });

  it('wants to speak of something else, and is not waited for', async () => {
    web.follow(() => 'upgrade');
    await expect(cacheOf().present(chain.paths, calm)).rejects.toMatchObject({
      outcome: { kind: 'passing' },
    });
    expect(await push()).toMatchObject({ kind: 'passing' });
  });

  it('breaks while it is asked what it has does not look as if it had nothing', async () => {
    web.follow(() => ({ status: 503, headers: { 'retry-after': '5' } }));
    await expect(cacheOf().present(chain.paths, calm)).rejects.toMatchObject({
      outcome: { kind: 'passing', retryAfterMs: 5000 },
    });
    expect(await push()).toMatchObject({ kind: 'passing', retryAfterMs: 5000 });
  });

  it('is of another store gets nothing', async () => {
    web.files.set('/nix-cache-info', Buffer.from('StoreDir: /elsewhere/store\n'));
    expect(await push()).toMatchObject({ kind: 'refused', code: 'destination' });
    expect(await cacheOf().check(calm)).toMatchObject({ kind: 'faulty', isPassing: false });
  });

  it('is too slow is given up, and cancelled at once, and neither leaves a process or a file', async () => {
    web.follow(({ method, path }) => (method === 'PUT' && path.includes('/nar/') ? 'hang' : 'keep'));
    const before = new Set(childrenOf(process.pid).map(({ pid }) => pid));
    expect(await push(cacheOf(surroundings().deps, 3000))).toMatchObject({
      kind: 'passing',
      why: expect.stringContaining('3 s') as string,
    });
    const abort = new AbortController();
    const reason = new Error('enough');
    const pushing = push(cacheOf(), abort.signal);
    pushing.catch(() => {});
    const child = () =>
      childrenOf(process.pid).find(({ pid, args }) => !before.has(pid) && args.includes('copy'));
    await expect.poll(child, { timeout: 20_000 }).toBeDefined();
    const home = child()?.env['HOME'] ?? '';
    expect(await readdir(home)).toContain('netrc');
    abort.abort(reason);
    await expect(pushing).rejects.toBe(reason);
    expect(child()).toBeUndefined();
    await expect(access(home)).rejects.toThrow('ENOENT');
  });

  it('is written with secrets that no other program could see', async () => {
    const file = join(store.folder, 'canary');
    await runStore(store, ['--generate-binary-cache-key', 'canary', file, `${file}.pub`]);
    const signing = (await readFile(file, 'utf8')).trim();
    const secrets = {
      HTTP_USERNAME: 'canary-user',
      HTTP_PASSWORD: 'canary-password',
      NIX_SIGNING_KEY: signing,
    };
    const { deps } = cacheSurroundings(
      { ...store.nix, env: { ...store.nix.env, NIX_CONFIG: 'access-tokens = canary-token' } },
      secrets,
    );
    const seen: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> }[] = [];
    web.follow(({ path }) => {
      if (path.includes('/nar/'))
        seen.push(...childrenOf(process.pid).filter(({ args }) => args.includes('copy')));
      return 'keep';
    });
    expect(await push(cacheOf(deps))).toMatchObject({ kind: 'pushed' });
    expect(seen.length).toBeGreaterThan(0);
    for (const { args, env } of seen) {
      const told = JSON.stringify([args, env]);
      expect(told).not.toMatch(/canary-/);
      expect(told).not.toContain(signing.slice('canary:'.length));
      expect(Object.keys(env).filter((name) => !/^(NIX_|XDG_|HOME$|TMPDIR$|PATH$|LANG$)/.test(name))).toEqual(
        [],
      );
    }
    const wanted = `Basic ${Buffer.from('canary-user:canary-password').toString('base64')}`;
    expect(new Set(web.requests.slice(-4).map(({ authorization }) => authorization))).toEqual(
      new Set([wanted]),
    );
    expect(JSON.stringify([...web.files.values()].map(String))).toMatch(/Sig: canary:/);
  });

  it('had its password changed is asked with the new one, next time', async () => {
    const { deps, set, forgotten } = surroundings({ HTTP_USERNAME: 'ci', HTTP_PASSWORD: 'old' });
    const good = `Basic ${Buffer.from('ci:new').toString('base64')}`;
    web.follow(({ authorization }) => (authorization === good ? 'keep' : { status: 401 }));
    set({ HTTP_USERNAME: 'ci', HTTP_PASSWORD: 'new' });
    const cache = cacheOf(deps);
    expect(await push(cache)).toMatchObject({ kind: 'refused', code: 'unauthorized' });
    expect(forgotten()).toBe(1);
    expect(await push(cache)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
  });

  it('leads questions to a private place is not followed, and told no password elsewhere', async () => {
    const other = await startScriptedCache();
    try {
      web.follow(({ path }) => ({ status: 302, headers: { location: `${other.url}there${path}` } }));
      expect(await cacheOf().present(chain.paths, calm)).toEqual(new Set());
      expect(other.requests.length).toBe(3);
      expect(other.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
      // The first of its hosts is public, the one it leads to is not.
      const strict = createDestinationGuard({ allowPrivate: false });
      const guard = {
        check: (url: string, signal: AbortSignal) =>
          url === web.url
            ? Promise.resolve({ kind: 'allowed' as const, addresses: [] })
            : strict.check(url, signal),
      };
      const { deps } = cacheSurroundings(store.nix, asCredentials, { guard });
      await expect(cacheOf(deps).present(chain.paths, calm)).rejects.toMatchObject({
        outcome: { kind: 'refused', code: 'destination' },
      });
      expect(other.requests.length).toBe(3);
    } finally {
      await other.stop();
    }
  });

  it('is known by a name is reached at the address that was judged, and not at another', async () => {
    const { port } = new URL(web.url);
    const guard = { check: async () => ({ kind: 'allowed' as const, addresses: ['127.0.0.1'] }) };
    const { deps } = cacheSurroundings(store.nix, asCredentials, { guard });
    const cache = cacheOf(deps, timeoutMs, `http://nobody-resolves-this.invalid:${port}/`);
    expect(await push(cache)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
  });

  it('is at a private address is not asked anything where the guard is on', async () => {
    const before = web.requests.length;
    const { deps } = cacheSurroundings(store.nix, asCredentials, {
      guard: createDestinationGuard({ allowPrivate: false }),
    });
    expect(await push(cacheOf(deps))).toMatchObject({ kind: 'refused', code: 'destination' });
    // Names mean what they mean when it is asked, and not before.
    const named = createDestinationGuard({ allowPrivate: false, lookup: async () => ['10.0.0.1'] });
    const rebound = cacheSurroundings(store.nix, asCredentials, { guard: named });
    const cache = cacheOf(rebound.deps, timeoutMs, 'https://cache.example.com/');
    expect(await push(cache)).toMatchObject({ kind: 'refused', code: 'destination' });
    expect(web.requests.length).toBe(before);
  });
});
