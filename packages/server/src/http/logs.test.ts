import { once } from 'node:events';
import { mkdir, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { dirname, join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { ErrorBody } from '@eka-ci/protocol/error';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { newNode, newPath, step } from '../database/testing/samples.ts';
import { logFileOf } from '../pipeline/builds/run-attempt.ts';
import { createHttpApp } from './app.ts';
import { parseByteRange } from './byte-range.ts';
import { listen } from './listen.ts';
import { ask as askRaw } from './testing/raw-request.ts';
import { logText, recordLog, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const size = Buffer.byteLength(logText);
const ask = (headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  served.app.inject({ url: `/v1/logs/${served.drv}`, headers, method });
const codeOf = async (url: string) => {
  const answer = await served.app.inject(url);
  return [answer.statusCode, ErrorBody.parse(answer.json()).error.code];
};

describe('a log', () => {
  it('comes as text, byte by byte what the build printed', async () => {
    const answer = await ask();
    expect(answer.body).toBe(logText);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(size),
      'accept-ranges': 'bytes',
    });
    const head = await ask({}, 'HEAD');
    expect([head.body, head.headers['content-length']]).toEqual(['', String(size)]);
  });

  it('comes in parts, unless it changed since', async () => {
    const whole = await ask();
    const part = await ask({ range: 'bytes=4-9', 'if-range': String(whole.headers.etag) });
    expect([part.statusCode, part.body]).toEqual([206, logText.slice(4, 10)]);
    expect(part.headers['content-range']).toBe(`bytes 4-9/${size}`);
    expect((await ask({ range: 'bytes=-5' })).body).toBe('line\n');
    expect((await ask({ range: 'bytes=4-9', 'if-range': '"another"' })).body).toBe(logText);
    const beyond = await ask({ range: `bytes=${size}-` });
    expect([beyond.statusCode, beyond.headers['content-range']]).toEqual([416, `bytes */${size}`]);
    expect(ErrorBody.parse(beyond.json()).error.code).toBe('RANGE_NOT_SATISFIABLE');
    const known = await ask({ 'if-none-match': String(whole.headers.etag) });
    expect([known.statusCode, known.body]).toEqual([304, '']);
  });

  it('is of one attempt, and says so where there is none', async () => {
    const url = `/v1/logs/${served.drv}`;
    expect((await served.app.inject(`${url}?attempt=2`)).body).toBe(logText);
    expect(await codeOf(`${url}?attempt=1`)).toEqual([404, 'LOG_NOT_FOUND']);
    expect(await codeOf(`${url}?attempt=9`)).toEqual([404, 'ATTEMPT_NOT_FOUND']);
    expect(await codeOf(`${url}?attempt=0`)).toEqual([400, 'REQUEST_INVALID']);
    expect(await codeOf(`/v1/logs/${'0'.repeat(32)}-unknown.drv`)).toEqual([404, 'LOG_NOT_FOUND']);
  });

  it('comes as a page to who would rather have one, the same lines and nothing that runs', async () => {
    const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
    const answer = await ask({ ...browser, range: 'bytes=0-3' });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'; style-src 'self'");
    expect(answer.headers.vary).toBe('Accept');
    expect(answer.body).toContain('<span class="f1">fatal</span>: &lt;script&gt;alert(1)&lt;/script&gt;');
    expect(answer.body).not.toContain('<script');
    const [, textPath = ''] = /href="(\/v1\/logs[^"]+)"/.exec(answer.body) ?? [];
    expect((await served.app.inject({ url: textPath, headers: browser })).body).toBe(logText);
    expect((await ask({ accept: 'text/plain' })).body).toBe(logText);
    expect((await served.app.inject(`/v1/logs/${served.drv}?format=html`)).body).toBe(answer.body);
    const known = { ...browser, 'if-none-match': String(answer.headers.etag) };
    expect(await ask(known)).toMatchObject({ statusCode: 304, body: '' });
    expect((await ask({ 'if-none-match': String(answer.headers.etag) })).body).toBe(logText);
    expect((await ask(browser, 'HEAD')).body).toBe('');
  });

  it('is searched, in pages, by text without its colours', async () => {
    const lines = Array.from({ length: 30 }, (_, at) => `\u001b[3${at % 8}mline\u001b[0m ${at + 1}`);
    await writeFile(join(served.logsDir, 'searched.log'), lines.join('\n'));
    const url = `/v1/logs/${await recordLog(served, 'searched.log')}/search`;
    const first = (await served.app.inject(`${url}?q=LINE%202&limit=4`)).json<{ nextCursor: string }>();
    expect(first).toMatchObject({ lines: [2, 20, 21, 22].map((line) => ({ line, text: `line ${line}` })) });
    const rest = await served.app.inject(`${url}?q=line%202&cursor=${first.nextCursor}`);
    expect(rest.json()).toMatchObject({
      lines: [23, 24, 25, 26, 27, 28, 29].map((line) => ({ line })),
      nextCursor: null,
    });
    expect((await served.app.inject(`${url}?q=%5B31m`)).json()).toEqual({ lines: [], nextCursor: null });
    const beyond = Buffer.from('999999-1').toString('base64url');
    expect((await served.app.inject(`${url}?q=x&cursor=${beyond}`)).json()).toEqual({
      lines: [],
      nextCursor: null,
    });
    expect(await codeOf(`${url}?q=x&cursor=nonsense`)).toEqual([400, 'CURSOR_INVALID']);
    expect(await codeOf(`${url}?q=`)).toEqual([400, 'REQUEST_INVALID']);
  });

  it('may be empty, and may be gone', async () => {
    await writeFile(join(served.logsDir, 'empty.log'), '');
    const empty = await recordLog(served, 'empty.log');
    const answer = await served.app.inject(`/v1/logs/${empty}`);
    expect([answer.statusCode, answer.body, answer.headers['content-length']]).toEqual([200, '', '0']);
    expect((await served.app.inject(`/v1/logs/${empty}?format=html`)).body).toContain('<pre></pre>');
    expect((await served.app.inject(`/v1/logs/${empty}/search?q=x`)).json()).toMatchObject({ lines: [] });
    expect(await codeOf(`/v1/logs/${await recordLog(served, 'gone.log')}`)).toEqual([404, 'LOG_NOT_FOUND']);
  });

  it('is there while it is written', async () => {
    const path = newPath('running-1.0');
    await served.database.derivations.save([newNode([], { path })]);
    await served.database.builds.recordTransitions([
      step(path, null, 'queued'),
      step(path, 'queued', 'buildable'),
      step(path, 'buildable', 'building'),
    ]);
    const file = join(served.logsDir, logFileOf(path, 1));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, 'so far');
    const drv = path.slice('/nix/store/'.length);
    expect((await served.app.inject(`/v1/logs/${drv}`)).body).toBe('so far');
    expect((await served.app.inject(`/v1/drvs/${drv}`)).json()).toMatchObject({
      attempts: [{ state: 'building', logPath: `/v1/logs/${drv}?attempt=1` }],
    });
  });

  it('is asked from the store where others built it, and only of what an evaluation met', async () => {
    const asked: string[] = [];
    const logs = new Map([['fetched-1.0', 'built by others\n']]);
    const fetch = async (drv: DrvPath): Promise<boolean> => {
      asked.push(drv);
      const text = logs.get(derivationNameOf(drv));
      if (text === undefined) return false;
      const file = join(served.logsDir, logFileOf(drv, 0));
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
      return true;
    };
    const app = await createHttpApp({ ...served.deps, storeLogs: { fetch } });
    const add = async (name: string, cause: 'built' | 'substituted' | null): Promise<string> => {
      const path = newPath(name);
      await served.database.derivations.save([newNode([], { path })]);
      const logFile = logFileOf(path, 1);
      await mkdir(dirname(join(served.logsDir, logFile)), { recursive: true });
      await writeFile(join(served.logsDir, logFile), '');
      const steps = [
        step(path, null, 'queued'),
        step(path, 'queued', 'buildable'),
        step(path, 'buildable', 'building'),
        step(path, 'building', 'succeeded', { cause: cause ?? 'built', logFile }),
      ];
      if (cause !== null) await served.database.builds.recordTransitions(steps);
      return `/v1/logs/${path.slice('/nix/store/'.length)}`;
    };
    for (const cause of ['substituted', null] as const) {
      const url = await add('fetched-1.0', cause);
      for (const query of cause === null ? [''] : ['', '?attempt=1']) {
        const answer = await app.inject({ url: `${url}${query}`, headers: { range: 'bytes=0-4' } });
        expect([answer.statusCode, answer.body]).toEqual([206, 'built']);
      }
      expect((await app.inject(`${url}/search?q=others`)).json()).toMatchObject({ lines: [{ line: 1 }] });
      const none = await app.inject(await add('silent-1.0', cause));
      expect([none.statusCode, ErrorBody.parse(none.json()).error.message]).toEqual([
        404,
        expect.stringContaining('nobody built it here'),
      ]);
    }
    expect(asked).toHaveLength(4);
    expect((await app.inject(await add('built-1.0', 'built'))).statusCode).toBe(200);
    const unknown = await app.inject(`/v1/logs/${'0'.repeat(32)}-unknown.drv`);
    expect([unknown.statusCode, asked.length]).toEqual([404, 4]);
  });

  it.each(['text', 'html'])('is closed when the client goes in the middle of it, as %s', async (format) => {
    const file = join(served.logsDir, `long-${format}.log`);
    await writeFile(file, Buffer.alloc(8 * 1024 * 1024, 'x'));
    const drv = await recordLog(served, `long-${format}.log`);
    const app = await createHttpApp(served.deps);
    const path = join(served.folder, `closed-${format}.socket`);
    const listening = await listen(app, { tcp: null, socket: { path, mode: 0o600 }, closeTimeoutMs: 1000 });
    const isOpen = async () => {
      const opened = await readdir('/proc/self/fd');
      const targets = opened.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
      return (await Promise.all(targets)).includes(file);
    };
    const answer = await new Promise<IncomingMessage>((settle) => {
      request({ socketPath: path, path: `/v1/logs/${drv}?format=${format}` }, settle).end();
    });
    await once(answer, 'readable');
    expect(await isOpen()).toBe(true);
    answer.destroy();
    await vi.waitFor(async () => expect(await isOpen()).toBe(false));
    await listening.close();
  });

  it('is never a file outside the folder of logs, whatever name is stored or link lies there', async () => {
    await writeFile(join(served.folder, 'secret'), 'canary');
    await mkdir(join(served.logsDir, 'links'));
    await symlink(join(served.folder, 'secret'), join(served.logsDir, 'links', 'absolute'));
    await symlink('../../secret', join(served.logsDir, 'links', 'relative'));
    await symlink('..', join(served.logsDir, 'links', 'up'));
    const names = [
      'links/absolute',
      'links/relative',
      'links/up/../secret',
      '../secret',
      'links',
      'links/up/../../secret',
    ];
    for (const name of [...names, join(served.folder, 'secret')]) {
      const drv = await recordLog(served, name);
      const answer = await served.app.inject(`/v1/logs/${drv}`);
      expect([answer.statusCode, answer.body.includes('canary')], name).toEqual([404, false]);
    }
  });
});

describe('paths from outside', () => {
  /** Every character as itself, or encoded in small or capital digits, once or twice. */
  const disguise = (text: string, how: number): string =>
    [...text]
      .map((character) => {
        const code = `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
        return [character, code, code.toUpperCase(), code.replace('%', '%25')][how] ?? character;
      })
      .join('');
  const routes = ['/v1/logs/', '/v1/drvs/'];
  // Nothing sends a bare NUL: neither the client nor the parser lets it pass.
  const escape = fc.oneof(
    fc.tuple(fc.constant('..'), fc.nat(3)),
    fc.tuple(fc.constantFrom('\0', 'a\0b'), fc.integer({ min: 1, max: 3 })),
  );
  const harmless = fc.tuple(fc.constantFrom('etc', 'passwd', 'own', '.', ''), fc.nat(3));
  const separator = fc.constantFrom('/', '%2f', '%2F', '%252f', '\\', '%5c', '//');

  it('are refused with 400 where one part of the address is any text that is no derivation', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...routes),
        fc.string({ minLength: 1, unit: 'binary' }),
        async (route, text) => {
          const url = route + encodeURIComponent(text.toWellFormed());
          const answer = await served.app.inject(url);
          const { code } = ErrorBody.parse(answer.json()).error;
          expect([answer.statusCode, code], url).toEqual([
            400,
            expect.stringMatching(/^(DRV|PATH)_INVALID$/),
          ]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('are refused with 400 in every disguise, and open nothing', async () => {
    const path = join(served.folder, 'paths.socket');
    const listening = await listen(await createHttpApp(served.deps), {
      tcp: null,
      socket: { path, mode: 0o600 },
      closeTimeoutMs: 1000,
    });
    const part = fc.tuple(fc.oneof(escape, harmless), separator);
    const parts = fc.tuple(fc.array(part, { maxLength: 3 }), escape, fc.array(part, { maxLength: 2 }));
    const write = ([[text, how], after]: [[string, number], string]) =>
      (text === 'own' ? served.drv : disguise(text, how)) + after;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), parts, async (route, [before, [text, how], behind]) => {
        const rest = behind.map(([one, sign]) => sign + write([one, ''])).join('');
        const url = route + before.map(write).join('') + disguise(text, how) + rest;
        const answer = await askRaw({ socketPath: path }, url);
        const { code } = ErrorBody.parse(JSON.parse(answer.body)).error;
        expect([answer.status, code], url).toEqual([400, expect.stringMatching(/^(DRV|PATH)_INVALID$/)]);
      }),
      { numRuns: 300 },
    );
    await listening.close();
  });
});

it('reads ranges as slicing does', () => {
  const bytes = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(bytes, bytes, bytes, (total, from, to) => {
      const all = Array.from({ length: total }, (_, index) => index);
      const read = (header: string) => {
        const range = parseByteRange(header, total);
        return range.kind === 'part' ? all.slice(range.start, range.end + 1) : range.kind;
      };
      const open = all.slice(from);
      expect(read(`bytes=${from}-`)).toEqual(open.length > 0 ? open : 'unsatisfiable');
      const closed = to < from ? 'whole' : all.slice(from, to + 1);
      expect(read(`bytes=${from}-${to}`)).toEqual(closed.length > 0 ? closed : 'unsatisfiable');
      const last = to === 0 ? [] : all.slice(-to);
      expect(read(`bytes=-${to}`)).toEqual(last.length > 0 ? last : 'unsatisfiable');
    }),
  );
  for (const odd of [
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=0-1,3-4',
    'lines=0-1',
    'bytes=a-b',
    'bytes=0x1-2',
  ]) {
    expect(parseByteRange(odd, 10)).toEqual({ kind: 'whole' });
  }
});
