import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import { afterEach, describe, expect, it } from 'vitest';
import { createPrivateStore, type PrivateStore, type PrivateStoreOptions } from '../testing/private-store.ts';
import { buildPathsWithResults, ensurePath, setOptions } from './build-operations.ts';
import { connectDaemon, type DaemonConnection } from './daemon-connection.ts';
import type { DaemonEvent } from './daemon-log.ts';
import {
  queryDerivationOutputMap,
  queryMissing,
  queryPathInfo,
  querySubstitutablePaths,
  queryValidPaths,
} from './query-operations.ts';
import { addToStoreNar, narFromPath } from './transfer-operations.ts';
import { unixSocketTransport } from './transport/unix-socket.ts';
import { findTrust } from './trust.ts';

describe('a daemon with other settings', () => {
  const ends: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  const start = async (options: PrivateStoreOptions): Promise<[PrivateStore, DaemonConnection]> => {
    const store = await createPrivateStore({ daemon: true, ...options });
    ends.push(() => store.remove());
    const connection = await connectDaemon(unixSocketTransport(store.nix.daemonSocket), {
      storeDir: store.nix.storeDir,
    });
    ends.push(() => connection.close());
    return [store, connection];
  };

  it('says, or lets find out, that this user is not trusted, and what that means', async () => {
    const [store, connection] = await start({ config: 'trusted-users = nobody\nallowed-users = *' });
    expect(await findTrust(connection)).toBe('not-trusted');
    const events: DaemonEvent[] = [];
    const onEvent = (event: DaemonEvent): void => void events.push(event);
    await setOptions(connection, { timeoutSeconds: 60, maxSilentSeconds: 30 }, { onEvent });
    expect(events).toEqual([]);
    await setOptions(connection, { verbosity: 6, overrides: { sandbox: 'false' } }, { onEvent });
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'message',
        text: expect.stringMatching(/'sandbox'.*restricted/) as string,
      }),
    );
    const { it: drvPath } = await store.instantiate('{ it = shell "it" "echo > $out" {}; }');
    const [result] = await buildPathsWithResults(connection, [{ drvPath: drvPath!, outputs: [] }]);
    expect(result).toMatchObject({ status: 'built' });
    const path = (await queryDerivationOutputMap(connection, drvPath!)).get('out')!;
    const info = (await queryPathInfo(connection, path))!;
    const pieces: Uint8Array[] = [];
    await narFromPath(connection, { info, take: (bytes) => void pieces.push(bytes) });
    const unsigned = { ...info, path: `${store.nix.storeDir}/${'0'.repeat(32)}-unsigned` as StorePath };
    const added = addToStoreNar(
      connection,
      { info: unsigned, sendNar: async (take) => take(Buffer.concat(pieces)) },
      { allowUnsigned: true },
    );
    await expect(added).rejects.toMatchObject({
      code: 'NIX_DAEMON_REFUSED',
      message: expect.stringContaining('signature') as string,
    });
    expect(await queryValidPaths(connection, { paths: [path] })).toEqual(new Set([path]));
  });

  it('fetches what a cache has', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-cache-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    const cache = `file://${folder}`;
    const [store, connection] = await start({
      config: `substituters = ${cache}?want-mass-query=true\nrequire-sigs = false\nexperimental-features = nix-command`,
    });
    const { kept, built } = (await store.instantiate(
      '{ kept = shell "kept" "echo > $out" {}; built = shell "built" "echo > $out" {}; }',
    )) as Record<'kept' | 'built', DrvPath>;
    await buildPathsWithResults(connection, [{ drvPath: kept, outputs: [] }]);
    const path = (await queryDerivationOutputMap(connection, kept)).get('out')!;
    const nix = (program: string, args: readonly string[]) =>
      runChild({ command: join(store.nix.programs.store, '..', program), args, env: store.nix.env });
    const copied = await nix('nix', ['copy', '--to', cache, path]);
    expect(copied).toMatchObject({ code: 0 });
    await connection.close();
    const next = await connectDaemon(unixSocketTransport(store.nix.daemonSocket), {
      storeDir: store.nix.storeDir,
    });
    ends.push(() => next.close());
    await expect.poll(async () => (await nix('nix-store', ['--delete', path])).code).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(await querySubstitutablePaths(next, [path])).toEqual(new Set([path]));
    const missing = await queryMissing(next, [
      { drvPath: kept, outputs: [] },
      { drvPath: built, outputs: [] },
    ]);
    expect(missing).toMatchObject({ willBuild: [built], willSubstitute: [path], unknown: [] });
    const events: DaemonEvent[] = [];
    const [result] = await buildPathsWithResults(next, [{ drvPath: kept, outputs: [] }], {
      onEvent: (event) => void events.push(event),
    });
    expect(result).toMatchObject({ kind: 'success', status: 'substituted' });
    expect(events).toContainEqual(expect.objectContaining({ kind: 'substitution-started', path }));
    await ensurePath(next, path);
    const nowhere = `${store.nix.storeDir}/${'0'.repeat(32)}-nowhere` as StorePath;
    await expect(ensurePath(next, nowhere)).rejects.toMatchObject({ code: 'NIX_DAEMON_REFUSED' });
    expect(await queryValidPaths(next, { paths: [nowhere, path], substitute: true })).toEqual(
      new Set([path]),
    );
  });
});
