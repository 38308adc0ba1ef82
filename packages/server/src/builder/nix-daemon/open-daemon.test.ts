import type { StorePath } from '@eka-ci/core/ids';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterEach, describe, expect, it } from 'vitest';
import { openNixDaemon } from './open-daemon.ts';

describe('the store through a daemon', () => {
  let store: PrivateStore;
  afterEach(() => store.remove());

  const openWith = async (more: Record<string, string> = {}) => {
    const daemon = await openNixDaemon({ ...store.nix, env: { ...store.nix.env, ...more } });
    if (daemon.kind !== 'open') throw new Error(daemon.why);
    return daemon;
  };

  it.each([
    ['of our own', {}],
    ['at its socket', { daemon: true }],
  ])('%s answers as nix-store does', async (_, options) => {
    store = await createPrivateStore(options);
    const drvs = await store.instantiate(`rec {
      base = shell "base" "echo > $out" {}; top = shell "top" "echo > $out" { inherit base; };
    }`);
    const [base, top] = [drvs['base']!, drvs['top']!];
    const nowhere = `${store.nix.storeDir}/${'0'.repeat(32)}-nowhere` as StorePath;
    const [daemon, processes] = [await openWith(), createStoreQueries(store.nix)];
    try {
      const queries = daemon.queries();
      expect(await queries.queryValid([base, nowhere])).toEqual(new Set([base]));
      const [ours, theirs] = [await queries.queryMissing([top]), await processes.queryMissing([top])];
      expect(new Set(ours.willBuild)).toEqual(new Set([base, top]));
      expect({ ...ours, willBuild: new Set(ours.willBuild) }).toEqual({
        ...theirs,
        willBuild: new Set(theirs.willBuild),
      });
      const reason = new Error('no more');
      const stopped = daemon.queries({ signal: AbortSignal.abort(reason) });
      await expect(stopped.queryMissing([top])).rejects.toBe(reason);
    } finally {
      await daemon.close();
    }
    await expect(daemon.queries().queryMissing([top])).rejects.toMatchObject({
      code: 'NIX_STORE_QUERY_FAILED',
    });
  });

  it('is the one that the configuration names, whatever the environment says', async () => {
    store = await createPrivateStore({ daemon: true });
    const own = await openWith({ NIX_CONFIG: 'store = local' });
    expect(own.about).toMatchObject({ isOwn: true, trust: 'trusted', nix: store.nix.version });
    await own.close();
    const socket = await openWith({ NIX_REMOTE: 'local', NIX_CONFIG: 'store = daemon' });
    expect(socket.about).toMatchObject({
      isOwn: false,
      daemon: expect.stringMatching(/^unix:/) as string,
    });
    await socket.close();
  });
});
