// What happens to builds when the store of this machine fails them: its daemon is restarted, or somebody holds its lock.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { type Child, startChild } from '@eka-ci/process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openNixDaemon } from '../../builder/nix-daemon/open-daemon.ts';
import { buildOnNix } from '../testing/builds-on-nix.ts';
import type { BuildEvent } from './build-outcome.ts';

let store: PrivateStore;
const leftOvers: (() => Promise<void>)[] = [];
beforeEach(async () => {
  store = await createPrivateStore();
});
afterEach(async () => {
  for (const end of leftOvers.splice(0).toReversed()) await end();
  await store.remove();
});

/** As a machine's own daemon is, but without the socket that systemd keeps open for it. */
const startDaemon = async (): Promise<Child> => {
  const daemon = await startChild({
    command: join(store.nix.programs.store, '..', 'nix-daemon'),
    args: ['--option', 'store', 'local'],
    env: store.nix.env,
  });
  daemon.stdout.resume();
  daemon.stderr.resume();
  leftOvers.push(async () => {
    daemon.end('SIGKILL');
    await daemon.exited;
  });
  return daemon;
};

const open = async (nix: NixInstallation) => {
  const daemon = await openNixDaemon(nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  leftOvers.push(() => daemon.close());
  return daemon.builder;
};

const throughSocket = async (): Promise<NixInstallation> => {
  const nix = await findNix({ ...store.nix.env, NIX_REMOTE: 'daemon' });
  return { ...nix, env: { ...nix.env, XDG_CACHE_HOME: join(store.folder, 'cache') } };
};

/** Ten that write the process of Nix that they are children of into a file, and go on when another one is there. */
const tenThatWait = (begun: string, goOn: string): string => `builtins.listToAttrs (map (n: rec {
  name = "waits-\${toString n}";
  value = shell name "echo $PPID >> ${begun}; until [ -e ${goOn} ]; do sleep 0.05; done; echo > $out" {};
}) [ 1 2 3 4 5 6 7 8 9 10 ])`;

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1);

it('builds to their end the ten that a restart of the daemon interrupts', { timeout: 90_000 }, async () => {
  const [begun, goOn] = [join(store.folder, 'begun'), join(store.folder, 'go-on')];
  const daemon = await startDaemon();
  const nix = await throughSocket();
  await expect.poll(async () => (await openNixDaemon(nix)).kind, { timeout: 20_000 }).toBe('open');
  const builder = await open(nix);
  const retried: string[] = [];
  const onEvent = (event: BuildEvent): void => {
    if (event.kind === 'retried') retried.push(event.cause);
  };
  const ended = buildOnNix({ store, builder, expression: tenThatWait(begun, goOn), onEvent });
  await expect.poll(() => linesOf(begun), { timeout: 20_000 }).toHaveLength(10);
  daemon.end('SIGKILL');
  await daemon.exited;
  // Those that serve a connection outlive it, unless they are ended as well.
  for (const pid of await linesOf(begun)) process.kill(Number(pid), 'SIGKILL');
  // Nobody ends their builders.
  await writeFile(goOn, '');
  await expect.poll(() => retried, { timeout: 20_000 }).toHaveLength(10);
  await startDaemon();
  const { outcomes } = await ended;
  expect(retried).toEqual(Array(10).fill('lost-builder'));
  const states = [...outcomes.values()].map(({ state, cause, message }) => ({ state, cause, message }));
  expect(states).toEqual(Array(10).fill({ state: 'succeeded', cause: 'built', message: null }));
});

it('waits for whoever locks the database of the store', { timeout: 60_000 }, async () => {
  const [begun, goOn] = [join(store.folder, 'begun'), join(store.folder, 'go-on')];
  const builder = await open(store.nix);
  const ended = buildOnNix({
    ...{ store, builder, expression: tenThatWait(begun, goOn) },
    // The time that they wait for their store is none of theirs.
    limits: { silenceTimeoutMs: 60_000 },
  });
  await expect.poll(() => linesOf(begun), { timeout: 20_000 }).toHaveLength(10);
  const holder = new DatabaseSync(join(store.nix.stateDir, 'db', 'db.sqlite'));
  leftOvers.push(async () => (holder.isOpen ? holder.close() : undefined));
  holder.exec('begin exclusive');
  await writeFile(goOn, '');
  // Each is done but for the row that says that it is valid.
  const outputs = `ls ${store.nix.storeDir} | grep -c -- '-waits-[0-9]*$'`;
  const made = async (): Promise<string> => {
    const listing = await startChild({ command: '/bin/sh', args: ['-c', outputs], env: store.nix.env });
    listing.stderr.resume();
    return (await listing.stdout.toArray()).join('').trim();
  };
  await expect.poll(made, { timeout: 20_000 }).toBe('10');
  expect(
    holder.prepare('select count(*) as count from ValidPaths where path like ?').get('%-waits-_'),
  ).toMatchObject({ count: 0 });
  holder.exec('rollback');
  const { outcomes } = await ended;
  expect([...outcomes.values()].map(({ state, cause }) => `${state} ${cause}`)).toEqual(
    Array(10).fill('succeeded built'),
  );
});
