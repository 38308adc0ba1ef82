// Logs as they are asked for while they are compressed, and after.
import { once } from 'node:events';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { tailOf } from '../lib/stored-log.ts';
import { createLogCompression, type LogCompression } from '../pipeline/builds/log-compression.ts';
import { createHttpApp } from './app.ts';
import { listen } from './listen.ts';
import { recordLog, type Served, serve } from './testing/served.ts';

let served: Served;
let compression: LogCompression;
const faults: unknown[] = [];
beforeAll(async () => {
  served = await serve();
  compression = createLogCompression({
    folder: served.logsDir,
    onEvent: (event) => {
      if (event.kind === 'fault') faults.push(event);
    },
  });
});
afterAll(async () => {
  await compression.stop();
  await served.close();
});

const isCompressed = (name: string): Promise<boolean> =>
  stat(join(served.logsDir, `${name}.zst`)).then(
    () => true,
    () => false,
  );

/** Of some blocks, or of none. */
const logOf = (piece: string, sizeBytes: number): Buffer => {
  const lines: string[] = [];
  for (let [at, bytes] = [0, 0]; bytes < sizeBytes; at++) {
    const line = `${at} ${piece}\n`;
    bytes += Buffer.byteLength(line);
    lines.push(line);
  }
  return Buffer.from(lines.join('')).subarray(0, sizeBytes);
};

let count = 0;
const store = async (log: Buffer) => {
  const name = `log-${++count}.log`;
  await writeFile(join(served.logsDir, name), log);
  return { name, url: `/v1/logs/${await recordLog(served, name)}` };
};

it('is the same log with the same tag at every moment of its compression, in every part', async () => {
  const size = fc.oneof(
    fc.nat(20_000),
    fc.nat(3_000_000),
    fc.constantFrom(0, 4096, 4097, 524_288, 524_289, 1_048_576),
  );
  const part = fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'grapheme', maxLength: 80 }),
      size,
      fc.array(part, { minLength: 1, maxLength: 12 }),
      async (piece, sizeBytes, parts) => {
        const log = logOf(piece, sizeBytes);
        const { name, url } = await store(log);
        const tag = (await served.app.inject({ url, method: 'HEAD' })).headers.etag;
        const check = async ([one, other]: readonly [number, number]): Promise<void> => {
          const [from, to] = [one, other].map((at) => Math.floor(at * log.length)).toSorted((a, b) => a - b);
          const headers = { range: `bytes=${from}-${to}`, 'if-range': String(tag) };
          const answer = await served.app.inject({ url, headers });
          if (from === log.length) return expect(answer.statusCode).toBe(416);
          expect(answer.rawPayload.equals(log.subarray(from, (to ?? 0) + 1))).toBe(true);
          expect(answer.headers).toMatchObject({ etag: tag });
        };
        compression.writing(name)();
        let isOver = false;
        const askAllTheTime = async (): Promise<void> => {
          for (let at = 0; !isOver; at++) await check(parts[at % parts.length] ?? [0, 1]);
        };
        const asking = [askAllTheTime(), askAllTheTime()];
        await compression.idle();
        isOver = true;
        await Promise.all(asking);
        for (const one of parts) await check(one);
        expect(await isCompressed(name)).toBe(sizeBytes > 4096);
        const whole = await served.app.inject(url);
        expect(whole.rawPayload.equals(log)).toBe(true);
        expect(whole.headers).toMatchObject({ etag: tag, 'content-length': String(sizeBytes) });
      },
    ),
    { numRuns: 40 },
  );
  expect(faults).toEqual([]);
});

it('is a page, is searched and has a tail as before', async () => {
  const lines = Array.from(
    { length: 60_000 },
    (_, at) => `\u001b[3${at % 8}mline\u001b[0m ${at + 1} of <many>`,
  );
  const { name, url } = await store(Buffer.from(`${lines.join('\n')}\n`));
  const ask = async () => ({
    page: (await served.app.inject(`${url}?format=html`)).body,
    found: (await served.app.inject(`${url}/search?q=line%2059999`)).body,
    first: (await served.app.inject(`${url}/search?q=of&limit=3`)).json<{ nextCursor: string }>(),
    tail: await tailOf(join(served.logsDir, name), 3),
  });
  const before = await ask();
  compression.writing(name)();
  await compression.idle();
  expect(await isCompressed(name)).toBe(true);
  await expect(stat(join(served.logsDir, name))).rejects.toThrow('ENOENT');
  expect(await ask()).toEqual(before);
  expect(before.tail).toEqual(lines.slice(-3));
  const next = await served.app.inject(`${url}/search?q=of&limit=1&cursor=${before.first.nextCursor}`);
  expect(next.json()).toMatchObject({ lines: [{ line: 4 }] });
});

it.each(['text', 'html'])('is closed when the client goes in the middle of it, as %s', async (format) => {
  const { name, url } = await store(logOf('long', 12 * 1024 * 1024));
  compression.writing(name)();
  await compression.idle();
  const file = join(served.logsDir, `${name}.zst`);
  const path = join(served.folder, `compressed-${format}.socket`);
  const app = await createHttpApp(served.deps);
  const listening = await listen(app, { tcp: null, socket: { path, mode: 0o600 }, closeTimeoutMs: 1000 });
  const isOpen = async () => {
    const opened = await readdir('/proc/self/fd');
    const targets = opened.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
    return (await Promise.all(targets)).includes(file);
  };
  const answer = await new Promise<IncomingMessage>((settle) => {
    request({ socketPath: path, path: `${url}?format=${format}` }, settle).end();
  });
  await once(answer, 'readable');
  expect(await isOpen()).toBe(true);
  answer.destroy();
  await vi.waitFor(async () => expect(await isOpen()).toBe(false));
  await listening.close();
});

it('is a fault of the server when its disk has changed it, and no other log', async () => {
  const log = logOf('damaged', 1_200_000);
  for (const damage of [
    (bytes: Buffer) => bytes.subarray(0, bytes.length - 1),
    (bytes: Buffer) => bytes.subarray(1),
    () => Buffer.of(),
  ]) {
    const { name, url } = await store(log);
    compression.writing(name)();
    await compression.idle();
    const file = join(served.logsDir, `${name}.zst`);
    await writeFile(file, damage(await readFile(file)));
    const { statusCode } = await served.app.inject(url);
    expect(statusCode).toBe(500);
    expect(served.faults.pop()?.error).toMatchObject({ code: 'LOG_DAMAGED' });
  }
});
