// Signing in with a browser, and everything that may come back in place of the right answer.
import { createHmac, hkdfSync } from 'node:crypto';
import { ErrorBody } from '@eka-ci/protocol/error';
import { Me } from '@eka-ci/protocol/user';
import * as fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuth } from '../auth/auth.ts';
import { parseReturnPath } from '../auth/return-path.ts';
import { sessionMs } from '../auth/sessions.ts';
import { ticketMs } from '../auth/sign-in.ts';
import { createFakeSignIn, type FakeSignIn } from '../forge/forge-sign-in.fake.ts';
import { createAccess } from './access.ts';
import { createHttpApp } from './app.ts';
import { type Browser, createBrowser } from './testing/browser.ts';
import {
  httpOptions,
  noRights,
  type Served,
  seesEverything,
  serve,
  sessionSecret,
} from './testing/served.ts';

const alice = { id: 7, login: 'Alice' };

let nowMs = 1_700_000_000_000;
const forge: FakeSignIn = createFakeSignIn();
let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve({ forge, clock: () => nowMs, admins: ['github:alice', 'gitlab:bob'] });
});
afterAll(() => served.close());
beforeEach(() => {
  served.faults.length = 0;
  browser = createBrowser(served.app);
});

const callback = (query: Readonly<Record<string, string>>, from = browser, headers = {}) =>
  from.get(`/github/auth/callback?${new URLSearchParams(query).toString()}`, headers);
const me = async (from = browser): Promise<Me> => Me.parse((await from.get('/github/auth/me')).json());
const codeIn = (answer: { json(): unknown; statusCode: number }): readonly [number, string] => [
  answer.statusCode,
  ErrorBody.parse(answer.json()).error.code,
];

describe('a sign-in', () => {
  it('goes to the forge and back, and is known by the id that the forge has', async () => {
    expect(await me()).toEqual({ caller: 'anonymous', user: null, signIn: '/github/auth/login' });
    const location = await browser.begin('?return_to=/v1/docs%3Fa%3Db%23c');
    expect(location).toMatch(/^https:\/\/github\.com\/authorize\?state=[\w-]{43}&challenge=[\w-]{43}$/);
    const answer = await callback(forge.consent(location, alice));
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/v1/docs?a=b#c']);
    const session = String(answer.headers['set-cookie']);
    expect(session).toMatch(/ekaci-session=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=43200/);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect([...browser.cookies.keys()]).toEqual(['ekaci-session']);
    const user = { forge: 'github.com', id: 7, login: 'Alice', isAdmin: true };
    expect(await me()).toMatchObject({ caller: 'user', user });
    // Renamed, and somebody else takes the login: only the first is the admin that was meant.
    await browser.signIn(forge, { id: 7, login: 'alice-2' });
    const thief = createBrowser(served.app);
    await thief.signIn(forge, { id: 8, login: 'alice' });
    expect((await me()).user).toEqual({ ...user, login: 'alice-2' });
    expect((await me(thief)).user).toMatchObject({ id: 8, isAdmin: false });
  });

  it('is refused a second time, in another browser, too late, and without having been begun', async () => {
    const brought = forge.consent(await browser.begin(), alice);
    const other = createBrowser(served.app);
    expect(codeIn(await callback(brought, other))).toEqual([400, 'SIGN_IN_FAILED']);
    await other.begin();
    const foreign = await callback(brought, other);
    expect(codeIn(foreign)).toEqual([400, 'SIGN_IN_FAILED']);
    expect(foreign.body).toContain('another sign-in');
    // Whoever sent them here with it does not end what they have begun.
    expect([...other.cookies.keys()]).toEqual(['ekaci-sign-in']);
    const kept = new Map(browser.cookies);
    expect((await callback(brought)).statusCode).toBe(303);
    for (const [name, value] of kept) browser.cookies.set(name, value);
    const asked = forge.asked();
    const twice = await callback(brought);
    expect([codeIn(twice), twice.json<ErrorBody>().error.message]).toEqual([
      [400, 'SIGN_IN_FAILED'],
      expect.stringContaining('finished before') as string,
    ]);
    expect(forge.asked()).toBe(asked);
    const late = createBrowser(served.app);
    const lateBrought = forge.consent(await late.begin(), alice);
    nowMs += ticketMs + 1000;
    expect(codeIn(await callback(lateBrought, late))).toEqual([400, 'SIGN_IN_FAILED']);
    expect((await me(late)).caller).toBe('anonymous');
  });

  it('of two answers at the same time goes on with one', async () => {
    const asked = forge.asked();
    const brought = forge.consent(await browser.begin(), alice);
    const copy = createBrowser(served.app);
    for (const [name, value] of browser.cookies) copy.cookies.set(name, value);
    const answers = await Promise.all([callback(brought), callback(brought, copy)]);
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([303, 400]));
    expect(forge.asked()).toBe(asked + 1);
  });

  it('says so where they did not want, the code is none, or the forge is away', async () => {
    const state = new URL(await browser.begin()).searchParams.get('state') ?? '';
    expect(codeIn(await callback({ state, error: 'access_denied' }))).toEqual([403, 'SIGN_IN_DENIED']);
    const [word, html] = ['redirect_uri_mismatch', '<b>'];
    for (const error of [word, html]) {
      const own = new URL(await browser.begin()).searchParams.get('state') ?? '';
      const refused = await callback({ state: own, error });
      expect(codeIn(refused)).toEqual([400, 'SIGN_IN_FAILED']);
      expect(refused.body.includes(error)).toBe(error === word);
    }
    const second = new URL(await browser.begin()).searchParams.get('state') ?? '';
    expect(codeIn(await callback({ state: second, code: 'invented' }))).toEqual([400, 'SIGN_IN_FAILED']);
    // A code of somebody else's question: the verifier is not theirs.
    const third = new URL(await browser.begin()).searchParams.get('state') ?? '';
    const { code } = forge.consent(await createBrowser(served.app).begin(), alice);
    expect(codeIn(await callback({ state: third, code }))).toEqual([400, 'SIGN_IN_FAILED']);
    forge.fail(true);
    const away = await callback(forge.consent(await browser.begin(), alice));
    expect(codeIn(away)).toEqual([502, 'FORGE_UNAVAILABLE']);
    expect(served.faults).toMatchObject([
      { route: '/github/auth/callback', error: { message: 'it is away' } },
    ]);
    forge.fail(false);
    expect((await browser.signIn(forge, alice)).statusCode).toBe(303);
  });

  it('shows browsers a page, on which nothing of what came is markup', async () => {
    await browser.begin();
    const html = { accept: 'text/html,*/*;q=0.8' };
    const answer = await callback({ state: '<script>alert(1)</script>', error: '"><img>' }, browser, html);
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8']);
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
    expect(answer.body).toContain('<a href="/github/auth/login">');
    expect(answer.body).not.toMatch(/<script|<img/);
  });

  it('is there only where the server has an app for it', async () => {
    const without = await serve();
    const from = createBrowser(without.app);
    for (const url of ['/github/auth/login', '/github/auth/callback?code=x&state=y']) {
      expect(codeIn(await from.get(url))).toEqual([404, 'SIGN_IN_OFF']);
    }
    expect(await me(from)).toEqual({ caller: 'anonymous', user: null, signIn: null });
    await without.close();
  });

  it('is not to be had as often as anybody likes', async () => {
    const rateLimits = { readsPerMinute: 1e9, writesPerMinute: 1e9, signInsPerMinute: 2 };
    const limited = await serve({ forge, options: { ...httpOptions, rateLimits } });
    const answers = [];
    for (let count = 0; count < 3; count++) answers.push(await limited.app.inject('/github/auth/login'));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([303, 303, 429]);
    expect(answers[2]?.json<ErrorBody>().error.message).toContain('sign in 2 times a minute');
    expect((await limited.app.inject('/github/auth/me')).statusCode).toBe(200);
    await limited.close();
  });
});

describe('where it goes on', () => {
  it.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/a\tb',
    'a',
    '',
    '/github/auth/login',
  ])('is never %j', async (path) => {
    const answer = await browser.get(`/github/auth/login?return_to=${encodeURIComponent(path)}`);
    expect(codeIn(answer)).toEqual([400, 'REQUEST_INVALID']);
  });

  it('property: is a page of this server, as every browser reads it', () => {
    const piece = fc.constantFrom(
      '/',
      '//',
      '\\',
      '.',
      '..',
      '@',
      ':',
      '?',
      '#',
      '%2f',
      '%5c',
      'a',
      '\t',
      '\n',
      ' ',
      'é',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 8 }), (pieces) => {
        const path = parseReturnPath(`/${pieces.join('')}`);
        if (path === null) return;
        expect(path).toMatch(/^\/(?!\/)[!-~]*$/);
        expect(path).not.toContain('\\');
        expect(new URL(path, 'https://ci.example').origin).toBe('https://ci.example');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the page of an account', () => {
  const page = '/github/auth/account';
  const form = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
    served.app.inject({
      ...{ method: 'POST', url: path, payload: new URLSearchParams(fields).toString() },
      headers: {
        cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        'content-type': 'application/x-www-form-urlencoded',
        'sec-fetch-site': 'same-origin',
        ...headers,
      },
    });

  it('is where a browser lands, and makes, shows once and removes tokens', async () => {
    expect((await browser.get(page)).body).toContain('Nobody is signed in');
    const landed = await browser.signIn(forge, { id: 20, login: 'page' });
    expect(landed.headers.location).toBe(page);
    const shown = await browser.get(page);
    expect(shown.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("form-action 'self'") as string,
    });
    expect(shown.body).toContain('You are page of github.com.');
    const made = await form(`${page}/make-token`, { name: '<img src=x>"', expiresInDays: '7' });
    const token = /ekaci_[\w-]{43}/.exec(made.body)?.[0] ?? '';
    const authorization = `Bearer ${token}`;
    const known = await served.app.inject({ url: '/github/auth/me', headers: { authorization } });
    expect(known.json()).toMatchObject({ user: { login: 'page' } });
    const again = (await browser.get(page)).body;
    expect(again).toContain('&lt;img src=x&gt;&quot;');
    expect(again).not.toMatch(/ekaci_|<img/);
    const id = /name="id" value="([^"]+)"/.exec(again)?.[1] ?? '';
    const removed = await form(`${page}/remove-token`, { id });
    expect([removed.statusCode, removed.headers.location]).toEqual([303, page]);
    expect((await browser.get(page)).body).not.toContain('&lt;img');
    const out = await form(`${page}/sign-out`, {}, { origin: 'null' });
    expect(out.headers.location).toBe(page);
    expect((await me()).caller).toBe('anonymous');
  });

  it('does nothing for another site, for a token, and for a form that is none', async () => {
    await browser.signIn(forge, { id: 21, login: 'careful' });
    const url = `${page}/make-token`;
    const elsewhere = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    expect(codeIn(await form(url, { name: 'x' }, elsewhere))).toEqual([403, 'ORIGIN_REFUSED']);
    const unnamed = { origin: 'null', 'sec-fetch-site': 'cross-site' };
    expect(codeIn(await form(url, { name: 'x' }, unnamed))).toEqual([403, 'ORIGIN_REFUSED']);
    expect(codeIn(await form(`${page}/sign-out`, {}, elsewhere))).toEqual([403, 'ORIGIN_REFUSED']);
    expect(codeIn(await form('/v1/users/me/tokens', { name: 'x' }))).toEqual([415, 'MEDIA_TYPE_UNSUPPORTED']);
    for (const fields of [
      {},
      { name: '' },
      { name: 'x', expiresInDays: '0' },
      { name: 'x', expiresInDays: 'y' },
    ]) {
      expect(codeIn(await form(url, fields))).toEqual([400, 'REQUEST_INVALID']);
    }
    expect(codeIn(await form(`${page}/remove-token`, { id: 'x' }))).toEqual([400, 'REQUEST_INVALID']);
    expect(codeIn(await form(url, { name: 'x'.repeat(5000) }))).toEqual([413, 'BODY_TOO_LARGE']);
    const { auth } = served.deps;
    const made = await auth.apiTokens.make(
      { host: 'github.com', id: 21 },
      { name: 'n', expiresInDays: null },
    );
    const byToken = { authorization: `Bearer ${made?.text ?? ''}` };
    expect(codeIn(await form(url, { name: 'x' }, byToken))).toEqual([403, 'SESSION_REQUIRED']);
    expect(await auth.users.tokensOf({ host: 'github.com', id: 21 })).toHaveLength(1);
    expect((await me()).caller).toBe('user');
  });
});

/** A server that was started anew on the same database. */
const restart = (secret: typeof sessionSecret | null): Promise<FastifyInstance> => {
  const { users } = served.database;
  const clock = () => nowMs;
  const auth = createAuth({ users, forge, secret, admins: [], clock });
  const origins = { allowed: [], own: null };
  const limits = { tokenFailuresPerMinute: 1, writesPerMinute: 1 };
  const access = createAccess({
    auth,
    rights: noRights,
    readers: seesEverything,
    origins,
    behindTls: false,
    ...limits,
    clock,
  });
  return createHttpApp({ ...served.deps, auth, access });
};

/** Who they are to it, with the cookies that they have. */
const after = async (secret: typeof sessionSecret | null): Promise<Me['caller']> => {
  const app = await restart(secret);
  const from = createBrowser(app);
  for (const [name, value] of browser.cookies) from.cookies.set(name, value);
  const { caller } = await me(from);
  await app.close();
  return caller;
};

const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');

describe('a session', () => {
  it('ends with its time, and a restart with the same secret does not end it', async () => {
    await browser.signIn(forge, alice);
    expect(await after(sessionSecret)).toBe('user');
    expect(await after(null)).toBe('anonymous');
    nowMs += sessionMs - 1000;
    expect((await me()).caller).toBe('user');
    nowMs += 1000;
    expect((await me()).caller).toBe('anonymous');
  });

  it('ends at logout, also a copy of it, also after a restart; and twice is fine', async () => {
    await browser.signIn(forge, alice);
    const copy = [...browser.cookies];
    const out = await browser.send('POST', '/github/auth/logout');
    expect([out.statusCode, out.json<Me>().caller]).toEqual([200, 'anonymous']);
    expect(browser.cookies.size).toBe(0);
    for (const [name, value] of copy) browser.cookies.set(name, value);
    expect((await me()).caller).toBe('anonymous');
    expect(await after(sessionSecret)).toBe('anonymous');
    expect((await browser.send('POST', '/github/auth/logout')).statusCode).toBe(200);
    expect((await browser.get('/v1/users/me/tokens')).statusCode).toBe(401);
  });

  it('is nothing that somebody made up, and nothing that was made for something else', async () => {
    await browser.begin();
    const ticket = browser.cookies.get('ekaci-sign-in') ?? '';
    await browser.signIn(forge, alice);
    const token = browser.cookies.get('ekaci-session') ?? '';
    const [head = '', body = '', signature = ''] = token.split('.');
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string; alg: string };
    expect(header).toMatchObject({ alg: 'HS256', kid: expect.stringMatching(/^[\w-]{12}$/) as string });
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
    expect(Object.keys(claims).toSorted()).toEqual(['aud', 'exp', 'host', 'iat', 'iss', 'jti', 'user']);
    const other = part({ ...claims, user: 8 });
    const signed = createHmac('sha256', sessionSecret.reveal())
      .update(`${head}.${other}`)
      .digest('base64url');
    const key = Buffer.from(hkdfSync('sha256', sessionSecret.reveal(), '', 'eka-ci session', 32));
    const sign = (text: string): string =>
      `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
    expect(sign(`${head}.${body}`)).toBe(token);
    const made = [
      // What the right key has signed under another name, for something else, or without an end.
      sign(`${part({ ...header, kid: 'other' })}.${body}`),
      sign(`${head}.${part({ ...claims, aud: 'sign-in' })}`),
      sign(`${head}.${part({ ...claims, iss: 'other' })}`),
      sign(`${head}.${part({ ...claims, exp: undefined })}`),
      sign(`${head}.${part({ ...claims, user: '7' })}`),
      ticket,
      `${head}.${other}.${signature}`,
      // The secret itself signs nothing: keys are made of it.
      `${head}.${other}.${signed}`,
      `${part({ alg: 'none', kid: header.kid })}.${body}.`,
      `${part({ ...header, kid: 'other' })}.${body}.${signature}`,
      `${token}x`,
      '',
      '..',
      'x'.repeat(9000),
    ];
    for (const text of made) {
      browser.cookies.set('ekaci-session', text);
      expect((await me()).caller, text.slice(0, 80)).toBe('anonymous');
    }
    browser.cookies.set('ekaci-session', token);
    expect((await me()).caller).toBe('user');
    expect(served.faults).toEqual([]);
  });

  it('is bound to TLS where people come by it', async () => {
    const secure = await serve({ forge, options: { ...httpOptions, behindTls: true } });
    const from = createBrowser(secure.app);
    const answer = await from.signIn(forge, alice);
    expect(String(answer.headers['set-cookie'])).toMatch(
      /__Host-ekaci-session=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax; Secure; /,
    );
    expect((await me(from)).caller).toBe('user');
    // What a site beside this one sets is not read.
    const planted = createBrowser(secure.app);
    planted.cookies.set('ekaci-session', from.cookies.get('__Host-ekaci-session') ?? '');
    expect((await me(planted)).caller).toBe('anonymous');
    await secure.close();
    const proxied = await serve({ forge, options: { ...httpOptions, trustedProxies: ['127.0.0.0/8'] } });
    const headers = { 'x-forwarded-proto': 'https' };
    const { headers: answered } = await proxied.app.inject({ url: '/github/auth/login', headers });
    expect(String(answered['set-cookie'])).toMatch(/^__Host-ekaci-sign-in=.*; Secure/);
    await proxied.close();
  });
});
