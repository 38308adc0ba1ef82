import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newPath } from '../../database/testing/samples.ts';
import { tailOf } from '../../lib/stored-log.ts';
import { chooseOldLogs, findLogs, removeLogs } from '../upkeep/old-logs.ts';
import { type CompressionEvent, createLogCompression, type LogCompression } from './log-compression.ts';
import { logFileOf } from './run-attempt.ts';

let folder: string;
let events: CompressionEvent[];
let compression: LogCompression;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-compression-'));
  events = [];
  compression = createLogCompression({ folder, onEvent: (event) => events.push(event) });
});
afterEach(async () => {
  await compression.stop();
  await rm(folder, { recursive: true });
});

const text = Array.from({ length: 20_000 }, (_, at) => `line ${at} of a log\n`).join('');
const at = (file: string): string => join(folder, file);
const write = async (file: string, content = text): Promise<void> => {
  await mkdir(dirname(at(file)), { recursive: true });
  await writeFile(at(file), content);
};
const formsOf = async (file: string): Promise<string[]> => {
  const all = await readdir(dirname(at(file)));
  return all
    .filter((name) => at(file).endsWith(name.replace(/\.log.*/s, '.log')))
    .map((name) => name.replace(/^.*\.log/s, ''));
};

describe('compression of logs', () => {
  it('takes up what an earlier life left at any moment: text alone, both, half of a copy', async () => {
    const [alone, both, half, done, small] = Array.from({ length: 5 }, (_, at) =>
      logFileOf(newPath(`left-${at}`), 1),
    );
    if (!alone || !both || !half || !done || !small) throw new Error('there are five');
    for (const file of [alone, both, half, done]) await write(file);
    await write(small, 'short\n');
    await write(`${both}.zst`, 'whatever: the text is the truth');
    await write(`${half}.zst.part`, 'half');
    await write(`${small}.part`, 'half');
    for (const part of [`${half}.zst.part`, `${small}.part`]) await utimes(at(part), 1000, 1000);
    compression.writing(done)();
    await compression.idle();
    const before = await readFile(at(`${done}.zst`));
    compression.start();
    await compression.idle();
    for (const file of [alone, both, half, done]) {
      expect(await formsOf(file), file).toEqual(['.zst']);
      expect(await tailOf(at(file), 1)).toEqual(['line 19999 of a log']);
    }
    expect(await readFile(at(`${done}.zst`))).toEqual(before);
    expect([await formsOf(small), await tailOf(at(small), 5)]).toEqual([[''], ['short']]);
    expect(events.map(({ kind }) => kind)).toEqual(Array.from({ length: 4 }, () => 'compressed'));
  });

  it('leaves a log alone while somebody writes to it, and is at it once the last has gone', async () => {
    const file = logFileOf(newPath('written'), 1);
    await write(file);
    const [one, other] = [compression.writing(file), compression.writing(file)];
    compression.start();
    await compression.idle();
    one();
    one();
    await compression.idle();
    expect(await formsOf(file)).toEqual(['']);
    other();
    await compression.idle();
    expect(await formsOf(file)).toEqual(['.zst']);
  });

  it('ends between two blocks, with the text in its place and no half of a copy', async () => {
    const file = logFileOf(newPath('large'), 1);
    await write(file, text.repeat(20));
    compression.writing(file)();
    await compression.stop();
    expect(await formsOf(file)).toEqual(['']);
  });

  it('follows no link, and survives what is gone or cannot be written', async () => {
    const [link, gone, blocked] = [newPath('link'), newPath('gone'), newPath('blocked')].map((drv) =>
      logFileOf(drv, 1),
    );
    if (!link || !gone || !blocked) throw new Error('there are three');
    await writeFile(join(folder, 'secret'), text);
    await mkdir(dirname(at(link)), { recursive: true });
    await symlink(join(folder, 'secret'), at(link));
    await write(blocked);
    await mkdir(at(`${blocked}.zst/not-empty`), { recursive: true });
    for (const file of [link, gone, blocked]) compression.writing(file)();
    await compression.idle();
    expect(events.map((event) => [event.kind, event.file])).toEqual([
      ['fault', link],
      ['fault', blocked],
    ]);
    expect((await formsOf(blocked)).toSorted()).toEqual(['', '.zst']);
    expect(await readdir(folder)).toContain('secret');
  });

  it('keeps the age of a log, so that it is removed when its text would have been', async () => {
    const [old, young, live] = [newPath('old'), newPath('young'), newPath('live')].map((drv) =>
      logFileOf(drv, 2),
    );
    if (!old || !young || !live) throw new Error('there are three');
    const nowMs = Date.now();
    for (const file of [old, young, live]) await write(file);
    for (const file of [old, live]) await utimes(at(file), 1000, 1000.123);
    const { mtimeMs } = await stat(at(young));
    for (const file of [old, young, live]) compression.writing(file)();
    await compression.idle();
    expect(Math.trunc((await stat(at(`${young}.zst`))).mtimeMs)).toBe(Math.trunc(mtimeMs));
    const tree = await findLogs(folder);
    const age = { nowMs, maxAgeMs: 60_000, live: new Set([live]) };
    const removed: number[] = [];
    await removeLogs(folder, chooseOldLogs(tree, age), (sizeBytes) => removed.push(sizeBytes));
    expect(removed).toHaveLength(1);
    expect([await formsOf(young), await formsOf(live)]).toEqual([['.zst'], ['.zst']]);
    await expect(stat(at(`${old}.zst`))).rejects.toThrow('ENOENT');
  });

  it('is read by whoever reads the format', async () => {
    const file = logFileOf(newPath('plain'), 1);
    await write(file, text.repeat(4));
    compression.writing(file)();
    await compression.idle();
    const bytes = await readFile(at(`${file}.zst`));
    expect(bytes.length).toBeLessThan(text.length);
    expect(zstdDecompressSync(bytes).toString('utf8')).toBe(text.repeat(4));
  });
});
