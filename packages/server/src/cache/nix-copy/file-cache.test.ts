import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { describeCache } from '../cache.contract.ts';
import { buildChain, dropPaths, runStore, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { createNixCopyCache } from './nix-copy-cache.ts';

const timeoutMs = 60_000;
const calm = new AbortController().signal;

for (const access of ['direct', 'daemon'] as const) {
  describeCache(`in a folder, from a store that is reached ${access}`, async () => {
    const store = await createPrivateStore({ daemon: access === 'daemon' });
    const destination = `file://${join(store.folder, 'cache')}?compression=zstd`;
    return {
      cache: createNixCopyCache({ id: 'disk', destination, timeoutMs }, cacheSurroundings(store.nix).deps),
      makeChain: () => writeChain(store),
      lost: `${store.nix.storeDir}/${'0'.repeat(32)}-lost` as StorePath,
      remove: () => store.remove(),
    };
  });
}

describe('a cache in a folder', () => {
  let store: PrivateStore;
  beforeAll(async () => {
    store = await createPrivateStore();
  });
  afterAll(() => store.remove());

  const makeKey = async (name: string): Promise<{ secret: string; publicKey: string }> => {
    const [secretFile, publicFile] = [
      join(store.folder, `${name}.secret`),
      join(store.folder, `${name}.public`),
    ];
    await runStore(store, ['--generate-binary-cache-key', name, secretFile, publicFile]);
    return { secret: await readFile(secretFile, 'utf8'), publicKey: await readFile(publicFile, 'utf8') };
  };

  it('gives back what was pushed and signed, to whoever trusts the key', async () => {
    const [ours, other] = [await makeKey('ours-1'), await makeKey('other-1')];
    const { deps } = cacheSurroundings(store.nix, { NIX_SIGNING_KEY: `${ours.secret}\n` });
    const plain = join(store.folder, 'signed');
    const cache = createNixCopyCache({ id: 'disk', destination: `file://${plain}`, timeoutMs }, deps);
    const { paths, root } = await buildChain(store);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
    await dropPaths(store, paths.toReversed());
    const fetchBack = (publicKey: string) =>
      runChild({
        command: store.nix.programs.store,
        args: [
          ...[
            '--option',
            'substituters',
            `file://${plain}`,
            '--option',
            'trusted-public-keys',
            publicKey.trim(),
          ],
          ...['--option', 'require-sigs', 'true', '--realise', root],
        ],
        env: store.nix.env,
      });
    expect((await fetchBack(other.publicKey)).code).not.toBe(0);
    expect(await fetchBack(ours.publicKey)).toMatchObject({ code: 0, stdout: `${root}\n` });
    expect((await runStore(store, ['--query', '--requisites', root])).split('\n').sort()).toEqual(
      [...paths].sort(),
    );
    expect((await readdir(plain)).filter((name) => name.endsWith('.narinfo'))).toHaveLength(3);
  });

  it.each([
    ['', 'zstd'],
    ['?compression=xz', 'xz'],
    ['?compression=none', 'none'],
  ])('with "%s" in its destination is written in %s', async (settings, compression) => {
    const folder = join(store.folder, `written-in-${compression}`);
    const { deps } = cacheSurroundings(store.nix);
    const cache = createNixCopyCache(
      { id: 'disk', destination: `file://${folder}${settings}`, timeoutMs },
      deps,
    );
    expect(await cache.push({ paths: [(await buildChain(store)).root] }, calm)).toMatchObject({
      kind: 'pushed',
    });
    const names = (await readdir(folder)).filter((name) => name.endsWith('.narinfo'));
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    const said = texts.map((text) => /^Compression: (?<how>\w+)$/m.exec(text)?.groups?.['how']);
    expect(said).toEqual([compression, compression, compression]);
  });

  it.each([
    ['no key', 'nonsense'],
    ['a public key', 'name:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
  ])('is not pushed to with %s for a signing key', async (_, key) => {
    const { deps } = cacheSurroundings(store.nix, { NIX_SIGNING_KEY: key });
    const destination = `file://${join(store.folder, 'unsigned')}`;
    const cache = createNixCopyCache({ id: 'disk', destination, timeoutMs }, deps);
    const outcome = await cache.push({ paths: [(await buildChain(store)).root] }, calm);
    expect(outcome).toMatchObject({ kind: 'refused', code: 'credentials' });
    expect(JSON.stringify(outcome)).not.toContain(key);
  });

  it('is not written where something is in its way', async () => {
    await writeFile(join(store.folder, 'a-file'), '');
    const destination = `file://${join(store.folder, 'a-file', 'cache')}`;
    const cache = createNixCopyCache(
      { id: 'disk', destination, timeoutMs },
      cacheSurroundings(store.nix).deps,
    );
    const outcome = await cache.push({ paths: [(await buildChain(store)).root] }, calm);
    expect(outcome).toMatchObject({ kind: 'passing', why: expect.stringContaining('a-file') as string });
  });

  it('is not written where the guard lets no file be', async () => {
    const guard = createDestinationGuard({ allowPrivate: false });
    const { deps } = cacheSurroundings(store.nix, {}, { guard });
    const folder = join(store.folder, 'guarded');
    const cache = createNixCopyCache({ id: 'disk', destination: `file://${folder}`, timeoutMs }, deps);
    const { root } = await buildChain(store);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'refused', code: 'destination' });
    await expect(cache.present([root], calm)).rejects.toMatchObject({ code: 'CACHE_NOT_ANSWERING' });
    expect(await cache.check(calm)).toMatchObject({ kind: 'faulty' });
    await expect(readdir(folder)).rejects.toThrow('ENOENT');
  });
});
