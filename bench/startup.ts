// startup: the server's process from its start to ready, and what it then holds, with much left to do and with nothing.
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createPrivateStore } from '@eka-ci/nix/testing/private-store';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { assertSameWork, type Benchmark, type Figure, summarize, within } from './measure.ts';
import { residentBytes, startServerProcess } from './server-process.ts';
import { type StateSize, storeState } from './stored-state.ts';

interface Started {
  readonly startMs: number;
  readonly bytes: number;
}

const mib = 1024 * 1024;

/** After it has done what a start leaves to do: two looks in a row that find the same. */
const idleBytes = async (look: () => Promise<number>): Promise<number> => {
  let before = await look();
  for (let looks = 0; looks < 20; looks++) {
    await sleep(500);
    const now = await look();
    if (Math.abs(now - before) < mib) return now;
    before = now;
  }
  return before;
};

/** On a copy: a start changes what it finds. */
const startOn = async (database: string, nix: NixInstallation): Promise<Started> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-startup-'));
  try {
    await cp(database, join(folder, 'db.sqlite'));
    const server = await startServerProcess({ folder, nix });
    const bytes = await idleBytes(() => residentBytes(server));
    await server.stop();
    return { startMs: server.startMs, bytes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const countUnfinished = async (path: string): Promise<number> => {
  const database = await openSqliteDatabase({ path, durability: 'process-death' });
  try {
    return (await database.builds.unfinished()).length;
  } finally {
    await database.close();
  }
};

const figuresOf = (much: readonly Started[], nothing: readonly Started[]): Figure[] => {
  const ms = (starts: readonly Started[]) => summarize(starts.map(({ startMs }) => startMs));
  const memory = (starts: readonly Started[]) => summarize(starts.map(({ bytes }) => bytes / mib));
  const beside = (figure: Figure, samples: Figure['ours']): Figure => ({
    ...figure,
    baseline: { name: 'empty database', samples },
    ratio: figure.ours.median / samples.median,
  });
  return [
    beside(within({ name: 'start to ready', unit: 'ms', ours: ms(much), atMost: 2000 }), ms(nothing)),
    beside(
      within({ name: 'resident when idle', unit: 'MiB', ours: memory(much), atMost: 150 }),
      memory(nothing),
    ),
  ];
};

export const startup: Benchmark = {
  name: 'startup',
  what: 'the server from its start to ready, and its memory, with 100,000 derivations left to build against an empty database',
  run: async ({ smoke, repetitions }) => {
    const derivations = smoke ? 1000 : 100_000;
    const store = await createPrivateStore();
    const { storeDir } = store.nix;
    const size: StateSize = { storeDir, derivations, builds: 'waiting', changes: smoke ? 5 : 100 };
    try {
      const [much, nothing] = [
        join(store.folder, 'much', 'db.sqlite'),
        join(store.folder, 'nothing', 'db.sqlite'),
      ];
      for (const name of ['much', 'nothing']) await mkdir(join(store.folder, name));
      await storeState(much, size);
      await storeState(nothing, { ...size, derivations: 0, changes: 0 });
      assertSameWork('derivations left to build', {
        stored: await countUnfinished(much),
        asked: derivations,
      });
      // The first of all starts compiles the sources, and keeps that.
      await startOn(nothing, store.nix);
      const [muchStarts, nothingStarts]: [Started[], Started[]] = [[], []];
      for (let round = 0; round < repetitions; round++) {
        muchStarts.push(await startOn(much, store.nix));
        nothingStarts.push(await startOn(nothing, store.nix));
      }
      const notes = [
        `${size.changes} changes queued; the whole process: Node, its database thread, its sources as TypeScript`,
      ];
      return { kind: 'measured', figures: figuresOf(muchStarts, nothingStarts), notes };
    } finally {
      await store.remove();
    }
  },
};
