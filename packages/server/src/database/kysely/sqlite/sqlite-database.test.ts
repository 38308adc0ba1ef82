// The embedded driver: the port's contract, and what only a file can suffer.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { readLines, startChild } from '@eka-ci/process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeDatabase } from '../../database.contract.ts';
import type { Database } from '../../database.ts';
import { newNode, newPath, step } from '../../testing/samples.ts';
import { mountSmallDisk } from '../../testing/small-disk.ts';
import { packNodes } from '../packed-nodes.ts';
import { openSqliteConnection } from './sqlite-connection.ts';
import { openSqliteDatabase } from './sqlite-database.ts';
import { openWarmDatabase } from './testing/warm-database.ts';

let folder: string;
let path: string;
const opened: Database[] = [];

const open = async (file = path): Promise<Database> => {
  const database = await openSqliteDatabase({ path: file, durability: 'power-loss' });
  opened.push(database);
  return database;
};

describeDatabase('SQLite, in memory', () =>
  openWarmDatabase({ path: ':memory:', durability: 'process-death' }),
);

describe('SQLite in a file', () => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'eka-ci-database-'));
    path = join(folder, 'state', 'sqlite.db');
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((database) => database.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  it('makes its directory, and has everything again after it was closed', async () => {
    const node = newNode();
    const first = await open();
    await first.derivations.save([node]);
    await first.builds.recordTransitions([step(node.path, null, 'queued')]);
    await first.close();
    const second = await open();
    expect(await second.derivations.find(node.path)).toEqual(node);
    expect(await second.builds.unfinished()).toMatchObject([{ drv: node.path, state: 'queued' }]);
    const more = await second.builds.recordTransitions([step(node.path, 'queued', 'building')]);
    expect(more).toMatchObject([{ sequence: 2 }]);
  });

  it('refuses a second server, by whatever name it calls the file', async () => {
    const first = await open();
    const alias = join(folder, 'alias.db');
    symlinkSync(path, alias);
    for (const name of [path, alias]) {
      await expect(open(name)).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
    }
    await first.close();
    await open(alias);
  });

  it('loses nothing it acknowledged to kill -9, and lets go of the file', async () => {
    const child = await startChild({
      command: process.execPath,
      args: [join(import.meta.dirname, 'testing/record-until-killed.ts'), path],
      env: {},
    });
    let acknowledged = 0;
    for await (const line of readLines(child.stdout)) {
      acknowledged = Number(line);
      if (acknowledged === 3) await expect(open()).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
      if (acknowledged === 20) child.end('SIGKILL');
    }
    expect((await child.exited).signal).toBe('SIGKILL');
    const { builds } = await open();
    // However many it came to write while this process was busy.
    const events = await builds.eventsSince(0, 1_000_000);
    // One more may be there: on disk, but killed before it could say so.
    expect(events.length - acknowledged).toBeGreaterThanOrEqual(0);
    expect(events.map((event) => event.sequence)).toEqual(events.map((_, index) => index + 1));
    expect(await builds.unfinished()).toMatchObject([{ attempt: events.length, sequence: events.length }]);
  });

  it('copies itself as of one moment while it is written to, and never over a file', async () => {
    const database = await open();
    const nodes = Array.from({ length: 200 }, () => newNode());
    await database.derivations.save(nodes);
    const record = (node: (typeof nodes)[number]) =>
      database.builds.recordTransitions([step(node.path, null, 'queued')]);
    for (const node of nodes.slice(0, 100)) await record(node);
    const copy = join(folder, 'copy.db');
    await Promise.all([database.backup(copy), ...nodes.slice(100).map(record)]);
    await expect(database.backup(copy)).rejects.toMatchObject({ code: 'DATABASE_BACKUP_EXISTS' });
    await expect(database.backup(join(folder, 'nowhere', 'x.db'))).rejects.toMatchObject({
      code: 'DATABASE_CANNOT_OPEN',
    });
    const restored = await open(copy);
    const events = await restored.builds.eventsSince(0, 1000);
    expect(events.length).toBeGreaterThanOrEqual(100);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(await restored.builds.unfinished()).toHaveLength(events.length);
    expect(await database.builds.unfinished()).toHaveLength(200);
  });

  it('drops what a killed server had written of a jobset', async () => {
    const connection = await openSqliteConnection({ path, durability: 'power-loss' });
    await connection.transaction(async ({ jobsets }) => {
      const id = await jobsets.beginDraft('digest', '{}');
      await jobsets.appendChunk(id, 0, '[]');
    });
    connection.close();
    await (await open()).close();
    const file = new DatabaseSync(path);
    expect(file.prepare('select count(*) as count from jobset_chunks').get()).toMatchObject({ count: 0 });
    expect(file.prepare('select count(*) as count from jobsets').get()).toMatchObject({ count: 0 });
    file.close();
  });

  it('says when a newer server wrote the file, and changes nothing', async () => {
    await (await open()).close();
    const file = new DatabaseSync(path);
    file.exec(`insert into kysely_migration values ('9999-from-the-future', '2030')`);
    file.close();
    const before = readFileSync(path);
    const opening = open();
    await expect(opening).rejects.toMatchObject({ code: 'DATABASE_TOO_NEW' });
    await expect(opening).rejects.toThrow('9999-from-the-future');
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("refuses another program's database, and what is none", async () => {
    const foreign = join(folder, 'foreign.db');
    const file = new DatabaseSync(foreign);
    file.exec('create table theirs (a)');
    file.close();
    await expect(open(foreign)).rejects.toMatchObject({ code: 'DATABASE_FOREIGN' });
    const text = join(folder, 'text.db');
    writeFileSync(text, 'not a database, but longer than the header of one. '.repeat(100));
    await expect(open(text)).rejects.toMatchObject({ code: 'DATABASE_CORRUPT' });
    expect(readFileSync(text, 'utf8')).toContain('not a database');
    const directory = join(folder, 'directory');
    mkdirSync(directory);
    await expect(open(directory)).rejects.toMatchObject({ code: 'DATABASE_CANNOT_OPEN' });
  });

  it('says when the file is damaged inside', async () => {
    const first = await open();
    const nodes = Array.from({ length: 2000 }, () => newNode());
    await first.derivations.save(nodes);
    await first.close();
    const bytes = readFileSync(path);
    bytes.fill(0x5a, Math.floor(bytes.length / 4));
    writeFileSync(path, bytes);
    const read = open().then(({ derivations }) => derivations.known(nodes.map((node) => node.path)));
    await expect(read).rejects.toMatchObject({ code: 'DATABASE_CORRUPT' });
  });

  it('keeps all it had, and goes on, when there is no more room', async () => {
    const kept = newNode();
    const connection = await openSqliteConnection({ path, durability: 'power-loss' });
    const save = (count: number) => {
      const nodes = Array.from({ length: count }, () => newNode());
      return connection.transaction(({ derivations }) => derivations.save(packNodes(nodes)));
    };
    await connection.transaction(({ derivations }) => derivations.save(packNodes([kept])));
    const { page_count } = connection.database.prepare('pragma page_count').get() ?? {};
    connection.database.exec(`pragma max_page_count = ${Number(page_count) + 10}`);
    await expect(save(1000)).rejects.toMatchObject({ code: 'DATABASE_FULL' });
    const count = connection.database.prepare('select count(*) as count from derivations').get();
    expect(count).toMatchObject({ count: 1 });
    await save(1);
    connection.database.exec('pragma max_page_count = 1000000');
    await save(1000);
    connection.close();
    expect(await (await open()).derivations.find(kept.path)).toEqual(kept);
  });
});

describe('SQLite on a small disk', () => {
  it('says when the disk is full or read-only, keeping what it had', async (test) => {
    const disk = mountSmallDisk('2m');
    if (disk === null) return test.skip('mounting needs more rights than this test has');
    try {
      const file = join(disk.folder, 'sqlite.db');
      const full = await openSqliteDatabase({ path: file, durability: 'power-loss' });
      const kept = newNode();
      await full.derivations.save([kept]);
      const many = Array.from({ length: 20_000 }, () => newNode([], { path: newPath('large-1.0') }));
      await expect(full.derivations.save(many)).rejects.toMatchObject({ code: 'DATABASE_FULL' });
      expect(await full.derivations.find(kept.path)).toEqual(kept);
      await full.close();
      disk.makeReadOnly();
      const readOnly = openSqliteDatabase({ path: file, durability: 'power-loss' });
      await expect(readOnly).rejects.toMatchObject({ code: 'DATABASE_READ_ONLY' });
    } finally {
      disk.remove();
    }
  });
});
