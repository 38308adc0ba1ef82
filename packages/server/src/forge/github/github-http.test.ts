// The client against a server that fails, limits, redirects, lies and hangs.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Secret } from '../../config/secret.ts';
import type { GithubCall } from './github-client.ts';
import { GithubError } from './github-error.ts';
import { createGithubHttp } from './github-http.ts';
import {
  createTestClock,
  type Scripted,
  startScene,
  startScriptedGithub,
  testHttpDeps,
  testIdentity,
  testToken,
} from './testing/scripted-github.ts';

const Ok = z.object({ ok: z.boolean() });
const get = (path = '/thing'): GithubCall<{ ok: boolean }> => ({
  operation: 'test.get',
  method: 'GET',
  path,
  schema: Ok,
});
const post = (more: Partial<GithubCall<{ ok: boolean }>> = {}): GithubCall<{ ok: boolean }> => ({
  operation: 'test.post',
  method: 'POST',
  path: '/thing',
  body: { a: 1 },
  schema: Ok,
  ...more,
});
const ok: Scripted = { json: { ok: true } };
const hangUp: Scripted = (response) => response.destroy();

/** What a call comes to: its value, or the error. */
const outcome = async (asked: Promise<unknown>): Promise<unknown> => {
  try {
    return await asked;
  } catch (error) {
    return error;
  }
};

describe('an answer', () => {
  it('is parsed, and asked for as GitHub wants to be asked', async () => {
    const { client, github } = await startScene(() => ({ json: { ok: true, more: 1 } }));
    expect(await client.call(post())).toEqual({ ok: true });
    expect(github.seen[0]).toMatchObject({
      method: 'POST',
      path: '/thing',
      body: { a: 1 },
      headers: {
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'EkaCI',
        authorization: `Bearer ${testToken}`,
      },
    });
  });

  it.each<[string, Scripted]>([
    ['no JSON', { text: '<html>' }],
    ['of another form', { json: { ok: testToken } }],
    ['empty', { status: 200 }],
    ['304 to what was asked without condition', { status: 304 }],
    ['larger than is read', { text: `{"ok":true}${' '.repeat(2000)}` }],
  ])('is refused where it is %s', async (_, answer) => {
    const { client, github } = await startScene(() => answer, { maxAnswerBytes: 1000 });
    expect(await outcome(client.call(get()))).toMatchObject({ code: 'GITHUB_ANSWER_INVALID' });
    expect(github.seen).toHaveLength(1);
  });

  it('keeps every digit of large numbers where that is asked for', async () => {
    const { client } = await startScene(() => ({ text: '{"id":9007199254740993,"n":1,"f":1e400}' }));
    const schema = z.object({ id: z.union([z.bigint(), z.number()]), n: z.number(), f: z.unknown() });
    const call = { ...get(), schema, exactIntegers: true };
    expect(await client.call(call)).toEqual({ id: 9007199254740993n, n: 1, f: Number.POSITIVE_INFINITY });
  });

  it('is kept, and asked about again for free', async () => {
    const { client, github, reports } = await startScene((seen) =>
      seen.headers['if-none-match'] === '"v1"' ? { status: 304 } : { ...ok, headers: { etag: '"v1"' } },
    );
    expect(await client.call(get())).toEqual({ ok: true });
    expect(await client.call(get())).toEqual({ ok: true });
    expect(await client.call(get('/other'))).toEqual({ ok: true });
    expect(github.seen.map(({ headers }) => headers['if-none-match'])).toEqual([
      undefined,
      '"v1"',
      undefined,
    ]);
    expect(reports.map((one) => one.outcome)).toEqual(['ok', 'not-modified', 'ok']);
  });

  it("is nobody else's: what one identity may see is not kept for another", async () => {
    const clock = createTestClock();
    const github = await startScriptedGithub(() => ({ ...ok, headers: { etag: '"v1"' } }));
    const http = createGithubHttp(testHttpDeps(github, clock));
    await http.as(testIdentity('one')).call(get());
    await http.as(testIdentity('other')).call(get());
    await http.as(testIdentity('one')).call(get());
    expect(github.seen.map(({ headers }) => headers['if-none-match'])).toEqual([
      undefined,
      undefined,
      '"v1"',
    ]);
  });

  it('leads to the next page of the same API alone', async () => {
    const link = { next: '' };
    const { client, github } = await startScene(() => ({
      ...ok,
      headers: { link: `<${link.next}>; rel="next", <x>; rel="last"` },
    }));
    link.next = `${github.url}/thing?page=2`;
    expect((await client.page(get())).next).toBe('/thing?page=2');
    link.next = 'https://evil.example/thing?page=2';
    expect(await outcome(client.page(get('/again')))).toMatchObject({ code: 'GITHUB_ANSWER_INVALID' });
  });
});

describe('a fault that passes', () => {
  it.each([500, 502, 503, 504, 408, 425, 409])('%i is asked again, later each time', async (status) => {
    const { client, clock } = await startScene((_, before) => (before < 3 ? { status } : ok));
    expect(await client.call(get())).toEqual({ ok: true });
    expect(clock.slept).toEqual([1000, 2000, 4000]);
  });

  it('ends in an error that says what to do', async () => {
    const { client, github, reports } = await startScene(() => ({
      status: 502,
      text: '<html>',
      headers: { 'x-github-request-id': 'AB:12' },
    }));
    expect(await outcome(client.call(get()))).toMatchObject({
      code: 'GITHUB_FAULT',
      status: 502,
      requestId: 'AB:12',
      isMaybeDone: true,
      message:
        'test.get: GitHub answers 502 (request AB:12): it is GitHub that fails; it is tried again later.',
    });
    expect(github.seen).toHaveLength(4);
    expect(reports.map((one) => one.outcome)).toEqual(['fault', 'fault', 'fault', 'fault']);
  });

  it.each<[string, Scripted]>([
    ['the connection breaks', hangUp],
    [
      'the answer stops halfway',
      (response) => response.writeHead(200, { 'content-length': '99' }).write('{', () => response.destroy()),
    ],
  ])('where %s: a GET is asked again, a POST may be done', async (_, broken) => {
    const { client, github } = await startScene((__, before) => (before === 0 || before === 2 ? broken : ok));
    expect(await client.call(get())).toEqual({ ok: true });
    expect(github.seen).toHaveLength(2);
    expect(await outcome(client.call(post()))).toMatchObject({
      code: 'GITHUB_UNREACHABLE',
      isMaybeDone: true,
    });
    expect(github.seen).toHaveLength(3);
  });

  it('where nobody answers in time, and where nobody listens', async () => {
    const { client } = await startScene(() => () => {}, { timeoutMs: 50 });
    expect(await outcome(client.call(post()))).toMatchObject({
      code: 'GITHUB_UNREACHABLE',
      isMaybeDone: true,
    });
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    const clock = createTestClock();
    const http = createGithubHttp(testHttpDeps({ url: `http://127.0.0.1:${port}`, seen: [] }, clock));
    const error = await outcome(http.as(testIdentity()).call(post()));
    expect(error).toMatchObject({ code: 'GITHUB_UNREACHABLE', isMaybeDone: false });
    expect(clock.slept).toHaveLength(3);
  });

  it('is not tried again where nobody may', async () => {
    const { client, github } = await startScene(() => ({
      status: 409,
      json: { message: 'Head branch was modified' },
    }));
    const call = { ...post(), method: 'PUT', repeat: 'never' } as const;
    expect(await outcome(client.call(call))).toMatchObject({ code: 'GITHUB_CONFLICT', status: 409 });
    expect(github.seen).toHaveLength(1);
  });
});

describe('what GitHub refuses', () => {
  it.each([
    [400, 'GITHUB_REFUSED'],
    [403, 'GITHUB_FORBIDDEN'],
    [404, 'GITHUB_NOT_FOUND'],
    [405, 'GITHUB_REFUSED'],
    [410, 'GITHUB_NOT_FOUND'],
    [422, 'GITHUB_REFUSED'],
  ])('%i is %s, with its words and the request, once', async (status, code) => {
    const { client, github } = await startScene(() => ({
      status,
      headers: { 'x-github-request-id': 'AB:12', 'x-accepted-github-permissions': 'checks=write' },
      json: {
        message: 'Validation\u202e Failed\n',
        errors: [{ resource: 'x', field: 'name', code: 'missing' }, 'y'],
      },
    }));
    const error = await outcome(client.call(get()));
    expect(error).toMatchObject({ code, status, requestId: 'AB:12', isMaybeDone: false });
    expect(error instanceof GithubError && error.message).toContain(
      `GitHub answers ${status} "Validation  Failed ; name missing; y" (request AB:12)`,
    );
    expect(error instanceof GithubError && error.message.includes('It takes checks=write')).toBe(
      status === 403,
    );
    expect(github.seen).toHaveLength(1);
  });

  it('shows the token in no message, whatever comes back', async () => {
    const answers: Scripted[] = [
      { status: 422, json: { message: `Bearer ${testToken}` } },
      { status: 403, json: { message: testToken }, headers: { 'x-accepted-github-permissions': testToken } },
      { status: 200, text: testToken },
      { status: 500, headers: { 'x-github-request-id': testToken } },
      { status: 302, headers: { location: `https://evil.example/${testToken}` } },
      { status: 401, json: { message: testToken } },
      hangUp,
    ];
    for (const answer of answers) {
      const { client } = await startScene(() => answer);
      const error = await outcome(client.call(get()));
      expect(error).toBeInstanceOf(GithubError);
      expect(inspect(error, { depth: null, showHidden: true })).not.toContain(testToken);
    }
  });
});

describe('a refused token', () => {
  it('is replaced once', async () => {
    const tokens = ['old', 'new', 'newer'];
    const identity = testIdentity('x', {
      token: async () => new Secret(tokens[0] ?? ''),
      refused: () => {
        tokens.shift();
        return true;
      },
    });
    const { client, github } = await startScene(
      ({ headers }) =>
        headers.authorization === 'Bearer new' ? ok : { status: 401, json: { message: 'Bad credentials' } },
      { identity },
    );
    expect(await client.call(post())).toEqual({ ok: true });
    tokens.splice(0, 3, 'a', 'b', 'c');
    expect(await outcome(client.call(get()))).toMatchObject({ code: 'GITHUB_UNAUTHORISED' });
    expect(github.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old',
      'Bearer new',
      'Bearer a',
      'Bearer b',
    ]);
  });
});

describe('a redirect', () => {
  it('is followed within the API, with method and body', async () => {
    const { client, github } = await startScene(({ path }) =>
      path === '/thing' ? { status: 307, headers: { location: '/repositories/1/thing' } } : ok,
    );
    expect(await client.call(post())).toEqual({ ok: true });
    expect(github.seen[1]).toMatchObject({ method: 'POST', path: '/repositories/1/thing', body: { a: 1 } });
  });

  it.each(['https://evil.example/', '//evil.example/', 'http://127.0.0.1:1/', 'http://[', ''])(
    'to %j is not',
    async (location) => {
      const { client, github } = await startScene(() => ({ status: 301, headers: { location } }));
      const error = await outcome(client.call(get()));
      // An empty location is the same address again, for as long as redirects are followed.
      expect(error).toMatchObject({ code: location === '' ? 'GITHUB_REFUSED' : 'GITHUB_REDIRECTED' });
      expect(github.seen).toHaveLength(location === '' ? 4 : 1);
    },
  );
});

describe('a limit', () => {
  const date = (clock: { nowMs: number }, aheadMs = 0): string =>
    new Date(clock.nowMs + aheadMs).toUTCString();
  const secondary: Scripted = { status: 403, json: { message: 'You have exceeded a secondary rate limit.' } };

  it("that is used up holds the next request back until it is reset, by GitHub's clock", async () => {
    const { client, clock } = await startScene(() => ({
      ...ok,
      headers: {
        date: date(clock, 3_600_000),
        'x-ratelimit-remaining': clock.slept.length === 0 ? '0' : '10',
        'x-ratelimit-reset': String((clock.nowMs + 3_600_000) / 1000 + 30),
        'x-ratelimit-resource': 'core',
      },
    }));
    await client.call(get());
    await client.call(get());
    expect(clock.slept).toEqual([30_000]);
  });

  it.each<[string, Scripted, number]>([
    ['403 with a time', { status: 403, headers: { 'retry-after': '7' }, json: { message: 'x' } }, 7000],
    ['429 with a time', { status: 429, headers: { 'retry-after': '7' } }, 7000],
    ['429 without one', { status: 429 }, 60_000],
    ['429 that is over at once', { status: 429, headers: { 'retry-after': '0' } }, 1000],
    ['403 of a secondary limit', secondary, 60_000],
  ])('%s is waited for, also by a POST', async (_, answer, waitMs) => {
    const { client, clock, reports } = await startScene((__, before) => (before === 0 ? answer : ok));
    expect(await client.call(post())).toEqual({ ok: true });
    expect(clock.slept).toEqual([waitMs]);
    expect(reports.map((one) => one.outcome)).toEqual(['limited', 'ok']);
  });

  it('that lasts longer than anybody waits is an error with the time, and holds others back too', async () => {
    const { client, clock, github } = await startScene(() => ({
      status: 429,
      headers: { 'retry-after': '600' },
    }));
    const untilMs = clock.nowMs + 600_000;
    expect(await outcome(client.call(get()))).toMatchObject({
      code: 'GITHUB_RATE_LIMITED',
      retryAtMs: untilMs,
    });
    expect(await outcome(client.call(get()))).toMatchObject({
      code: 'GITHUB_RATE_LIMITED',
      retryAtMs: untilMs,
    });
    expect(github.seen).toHaveLength(1);
  });

  it('holds nobody back for as long as the clock was set back', async () => {
    const { client, clock } = await startScene((_, before) =>
      before === 0 ? { status: 429, headers: { 'retry-after': '600' } } : ok,
    );
    await outcome(client.call(post({ creates: true })));
    clock.nowMs -= 86_400_000;
    expect(await client.call(post({ creates: true }))).toEqual({ ok: true });
    expect(clock.slept).toEqual([]);
  });

  it('is waited for longer each time that GitHub complains again, and no longer after that', async () => {
    const { client, clock } = await startScene((_, before) => ([0, 1, 3].includes(before) ? secondary : ok), {
      patienceMs: 1_000_000,
    });
    await client.call(get());
    await client.call(get('/other'));
    expect(clock.slept).toEqual([60_000, 120_000, 60_000]);
  });

  it('is not what a plain 403 is', async () => {
    const { client, clock } = await startScene(() => ({
      status: 403,
      headers: { 'x-ratelimit-remaining': '4999', 'x-ratelimit-reset': '9999999999' },
      json: { message: 'Resource not accessible by integration' },
    }));
    expect(await outcome(client.call(get()))).toMatchObject({ code: 'GITHUB_FORBIDDEN' });
    expect(clock.slept).toEqual([]);
  });

  it('of 80 creations a minute and 500 an hour is kept, one at a time', async () => {
    const moments: number[] = [];
    const open = { now: 0, most: 0 };
    const { client, clock } = await startScene(
      async () => {
        open.now += 1;
        open.most = Math.max(open.most, open.now);
        moments.push(clock.nowMs);
        await new Promise(setImmediate);
        open.now -= 1;
        return ok;
      },
      { patienceMs: 7_200_000 },
    );
    await Promise.all(Array.from({ length: 81 }, () => client.call(post({ creates: true }))));
    expect(open.most).toBe(1);
    expect(moments[80]).toBe((moments[0] ?? 0) + 60_000);
    expect(client.contentBudget()).toEqual({ leftThisMinute: 79, leftThisHour: 419 });
    for (let index = 81; index < 501; index++) await client.call(post({ creates: true }));
    expect((moments[500] ?? 0) - (moments[0] ?? 0)).toBe(3_600_000);
    for (let index = 80; index < moments.length; index++) {
      expect((moments[index] ?? 0) - (moments[index - 80] ?? 0)).toBeGreaterThanOrEqual(60_000);
    }
  });

  it('of 100 requests at once is kept', async () => {
    const waiting: (() => void)[] = [];
    const { client, github } = await startScene(
      () => new Promise((resolve) => waiting.push(() => resolve(ok))),
    );
    const calls = Promise.all(Array.from({ length: 150 }, (_, index) => client.call(get(`/${index}`))));
    await expect.poll(() => github.seen.length).toBe(100);
    while (waiting.length > 0) waiting.pop()?.();
    await expect.poll(() => github.seen.length).toBe(150);
    for (const goOn of waiting) goOn();
    expect(await calls).toHaveLength(150);
  });
});

it('ends at once where its caller does not want it any more, and leaves its turn to others', async () => {
  const ending = new AbortController();
  const { client, github } = await startScene((_, before) => (before === 0 ? () => {} : ok));
  const first = outcome(client.call(post({ creates: true }), ending.signal));
  await expect.poll(() => github.seen.length).toBe(1);
  const second = outcome(client.call(post({ creates: true }), ending.signal));
  const third = client.call(post({ creates: true }));
  // Both others wait for their turn by now.
  await new Promise(setImmediate);
  ending.abort(new Error('stop'));
  expect(await first).toMatchObject({ message: 'stop' });
  expect(await second).toMatchObject({ message: 'stop' });
  expect(await third).toEqual({ ok: true });
  expect(github.seen).toHaveLength(2);
});
