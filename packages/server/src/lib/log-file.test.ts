import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogFile } from './log-file.ts';
import { tailOf } from './stored-log.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-log-'));
});
afterAll(() => rm(folder, { recursive: true }));

const newPath = (() => {
  let count = 0;
  return () => join(folder, 'ab', `${count++}.log`);
})();

const writeAll = async (path: string, maxBytes: number, lines: readonly string[]) => {
  const log = createLogFile({ path, maxBytes });
  for (const [index, line] of lines.entries()) {
    log.write(index % 2 === 0 ? line : Buffer.from(line));
    if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { log, end: await log.close() };
};

describe('a log file', () => {
  it('keeps everything within its limit, and head and tail beyond it, with the gap named', async () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 300 }).map((text) => text.replaceAll('\n', ' '));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 60 }),
        fc.integer({ min: 1024, max: 4000 }),
        async (lines, max) => {
          const path = newPath();
          const whole = Buffer.from(lines.map((text) => `${text}\n`).join(''));
          const { end } = await writeAll(path, max, lines);
          const kept = await readFile(path);
          expect(kept.length).toBeLessThanOrEqual(max);
          expect(end).toMatchObject({ totalBytes: whole.length, fault: null });
          if (whole.length <= max - 200) expect(kept).toEqual(whole);
          if (end.omittedBytes === 0) {
            expect(kept).toEqual(whole);
          } else {
            const gap = /\n?\[EkaCI left out (\d+) bytes[^\n]*\n/.exec(kept.toString('latin1'));
            const [text, omitted] = [gap?.[0] ?? '', Number(gap?.[1])];
            const head = kept.subarray(0, gap?.index ?? 0);
            const tail = kept.subarray((gap?.index ?? 0) + text.length);
            expect(omitted).toBe(end.omittedBytes);
            // The line feed before the gap is the head's own or ours; either way head and tail are the whole's ends.
            expect(whole.subarray(0, head.length)).toEqual(head);
            expect(whole.subarray(whole.length - tail.length)).toEqual(tail);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is there while it is being written', async () => {
    const path = newPath();
    const log = createLogFile({ path, maxBytes: 100_000 });
    log.write('first');
    await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('first\n');
    log.write('second');
    await expect.poll(() => readFile(path, 'utf8')).toBe('first\nsecond\n');
    await log.close();
    log.write('too late');
    expect(await log.close()).toEqual({ totalBytes: 13, omittedBytes: 0, fault: null });
  });

  it('holds a line of 50 MB and 200,000 lines within its limit', async () => {
    const path = newPath();
    const log = createLogFile({ path, maxBytes: 3_000_000 });
    log.write(Buffer.alloc(50_000_000, 'x'));
    for (let index = 0; index < 200_000; index++) log.write(`line ${index}`);
    expect(log.lastLines(2)).toEqual(['line 199998', 'line 199999']);
    await log.close();
    expect((await stat(path)).size).toBeLessThanOrEqual(3_000_000);
    expect(await tailOf(path, 2)).toEqual(['line 199998', 'line 199999']);
  });

  it('says when more waits than should, and when what was written is in the file, however much follows', async () => {
    const path = newPath();
    const log = createLogFile({ path, maxBytes: 200_000_000 });
    log.write('first');
    expect(log.pressure()).toBeNull();
    const block = 'x'.repeat(999_999);
    for (let count = 0; count < 30; count++) log.write(block);
    const pressure = log.pressure();
    expect(pressure).not.toBeNull();
    const written = log.written();
    for (let count = 0; count < 30; count++) log.write(block);
    await Promise.all([pressure, written]);
    expect((await stat(path)).size).toBeGreaterThanOrEqual(6 + 30_000_000);
    await log.written();
    expect([(await stat(path)).size, log.pressure()]).toEqual([6 + 60_000_000, null]);
    await log.close();
    await log.written();
  });

  it('survives a full disk and says so', async () => {
    const { log, end } = await writeAll('/dev/full', 10_000, ['one', 'two']);
    expect(end.fault).toBe('no space left on the disk of the log');
    await log.written();
    expect(log.lastLines(20)).toEqual(['one', 'two']);
  });

  it('survives a path that cannot be written', async () => {
    const path = newPath();
    await writeAll(path, 10_000, ['a file, not a folder']);
    const { end } = await writeAll(join(path, 'x.log'), 10_000, ['one']);
    expect(end.fault).toMatch(/EEXIST|ENOTDIR/);
  });

  it('gives the last lines of a file, none of a missing one', async () => {
    const path = newPath();
    const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index} \u001b[1mbold`);
    await writeAll(path, 10_000_000, lines);
    expect(await tailOf(path, 20)).toEqual(lines.slice(-20));
    expect(await tailOf(path, 0)).toEqual([]);
    expect(await tailOf(newPath(), 20)).toEqual([]);
  });
});
