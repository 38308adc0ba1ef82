// The disk guard: what it says of figures it is given, and of a real disk that fills and is emptied.
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { untilOpen } from '../builds/start-gate.ts';
import {
  createDiskGuard,
  type DiskEvent,
  type DiskGuard,
  type DiskGuardDeps,
  shortageOf,
} from './disk-guard.ts';

const mib = 1024 ** 2;
const store = { name: 'the Nix store', path: '/nix/store' };
const logs = { name: 'the build logs', path: '/logs' };

const guards: DiskGuard[] = [];
afterEach(() => {
  for (const guard of guards.splice(0)) guard.stop();
});

const guardOf = (more: Partial<DiskGuardDeps>) => {
  const events: DiskEvent[] = [];
  const guard = createDiskGuard({
    places: [store, logs],
    minFreeBytes: 2048 * mib,
    onEvent: (event) => events.push(event),
    recheckMs: 5,
    freshMs: 0,
    ...more,
  });
  guards.push(guard);
  return { guard, events, kinds: () => events.map(({ kind }) => kind) };
};

const forEver = new AbortController().signal;

it('names the first disk that is short, with what it has and what is asked for', () => {
  const minFreeBytes = 2048 * mib;
  const of = (...free: (number | null)[]) =>
    shortageOf(
      [store, logs].map((place, at) => ({ ...place, freeBytes: free[at] ?? null })),
      minFreeBytes,
    );
  expect(of(minFreeBytes, minFreeBytes)).toBeNull();
  expect(of(null, null)).toBeNull();
  expect(of(minFreeBytes, minFreeBytes - 1)).toBe(
    'the disk of the build logs has 1.9 GiB free, and disk.min_free_mib asks for 2 GiB',
  );
  expect(of(0, 0)).toMatch(/^the disk of the Nix store has 0 MiB free/);
});

describe('a guard', () => {
  it('holds back while there is no room, and opens by itself when there is, saying each once', async () => {
    let free = 100 * mib;
    let asked = 0;
    const { guard, kinds } = guardOf({
      readFreeBytes: async () => {
        asked += 1;
        return free;
      },
    });
    const told: string[] = [];
    const waiting = untilOpen(guard, forEver, (reason) => told.push(reason));
    await expect.poll(() => asked).toBeGreaterThan(6);
    expect(told).toHaveLength(1);
    free = 4096 * mib;
    await waiting;
    expect(kinds()).toEqual(['short', 'room-again']);
    expect(guard.readings().map(({ freeBytes }) => freeBytes)).toEqual([free, free]);
  });

  it('looks at nothing while nobody waits', async () => {
    let asked = 0;
    const { guard } = guardOf({ freshMs: 60_000, readFreeBytes: async () => (asked += 1) });
    const release = guard.watch(() => {});
    release();
    await guard.look();
    await Promise.all([guard.look(), guard.look()]);
    expect(asked).toBe(2);
  });

  it('lets nobody wait for a disk that cannot be read, or does not answer', async () => {
    const never = new Promise<number>(() => {});
    const { guard, events } = guardOf({
      patienceMs: 10,
      readFreeBytes: (path) => (path === logs.path ? never : Promise.reject(new Error('EIO: i/o error'))),
    });
    await untilOpen(guard, forEver, () => expect.unreachable());
    await guard.look();
    expect(events).toMatchObject([
      { kind: 'unreadable', place: store, fault: 'EIO: i/o error' },
      { kind: 'unreadable', place: logs, fault: 'the file system does not answer' },
    ]);
  });
});

const mounted = async (): Promise<string | null> => {
  const place = await mkdtemp(join(tmpdir(), 'eka-ci-disk-guard-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', place], { stdio: 'ignore' });
    return place;
  } catch {
    await rm(place, { recursive: true });
    return null;
  }
};

it('sees a real disk fill up and get room again', async (test) => {
  const disk = await mounted();
  if (disk === null) return test.skip('mounting needs more rights than this test has');
  try {
    const { guard, kinds } = guardOf({
      places: [{ name: 'a small disk', path: disk }],
      minFreeBytes: 4 * mib,
    });
    expect(await guard.look()).toBeNull();
    await writeFile(join(disk, 'file'), Buffer.alloc(6 * mib));
    expect(await guard.look()).toMatch(/^the disk of a small disk has [012] MiB free/);
    const waiting = untilOpen(guard, forEver, () => {});
    await rm(join(disk, 'file'));
    await waiting;
    expect(kinds()).toEqual(['short', 'room-again']);
  } finally {
    execFileSync('umount', [disk]);
    await rm(disk, { recursive: true });
  }
});
