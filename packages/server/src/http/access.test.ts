// Who may do what: by a token, by the right that the forge says they have, as an admin, and from which pages.
import { ErrorBody } from '@eka-ci/protocol/error';
import { ApiTokens, KnownUser, NewApiToken, UserPage } from '@eka-ci/protocol/user';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StoredChange } from '../database/database.ts';
import { createFakeSignIn } from '../forge/forge-sign-in.fake.ts';
import type { HostedForgeFault } from '../forge/hosted-forge.ts';
import { createAccess } from './access.ts';
import { createHttpApp } from './app.ts';
import type { AuditedAction } from './operator-actions.ts';
import { type Browser, createBrowser } from './testing/browser.ts';
import {
  head,
  httpOptions,
  newChange,
  noRights,
  type Served,
  seesEverything,
  serve,
} from './testing/served.ts';

const repository = 'github.com/octo/pkgs';
const [writer, author, stranger, admin] = ['writer', 'author', 'stranger', 'admin'].map((login, index) => ({
  login,
  id: index + 1,
})) as [Who, Who, Who, Who]; // As many as there are names.
type Who = { readonly login: string; readonly id: number };

class Away extends Error implements HostedForgeFault {
  readonly code = 'FORGE_AWAY';
  readonly mayPass = true;
  readonly retryAtMs = null;
}

let nowMs = 1_700_000_000_000;
let isAway = false;
/** Users that were asked about. */
let asked: string[] = [];
let told: AuditedAction[] = [];
const forge = createFakeSignIn();
let served: Served;

beforeAll(async () => {
  served = await serve({
    forge,
    clock: () => nowMs,
    admins: ['github:Admin'],
    findRepository: ({ owner, name }) => `github.com${owner === 'evil' ? '.' : '/'}${owner}/${name}`,
    rights: {
      ...noRights,
      async mayWrite({ host, repository: name }, { id }) {
        asked.push(`${id} in ${host}/${name}`);
        if (isAway) throw new Away('away');
        return id === writer.id && `${host}/${name}` === repository;
      },
      maintains: async (_change, { id }, attrs) => id === author.id && attrs.every((attr) => attr === 'mine'),
    },
    actions: {
      stopJudging: () => {},
      wake: () => {},
      orderBuild: () => Promise.resolve({ kind: 'not-in-store' }),
      findOrder: () => null,
      audit: (action) => void told.push(action),
    },
    options: { ...httpOptions, origins: { allowed: ['https://ui.example'], own: 'https://ci.example' } },
  });
});
afterAll(() => served.close());
beforeEach(() => {
  isAway = false;
  asked = [];
  told = [];
});

const signedIn = async (user: Who): Promise<Browser> => {
  const browser = createBrowser(served.app);
  expect((await browser.signIn(forge, user)).statusCode).toBe(303);
  return browser;
};
const codeIn = (answer: LightMyRequestResponse): readonly [number, string] => [
  answer.statusCode,
  answer.statusCode < 300 ? 'OK' : ErrorBody.parse(answer.json()).error.code,
];
const makeToken = async (browser: Browser, body: object = { name: 'laptop' }): Promise<NewApiToken> => {
  const answer = await browser.send('POST', '/v1/users/me/tokens', { body });
  expect(answer.statusCode).toBe(201);
  return NewApiToken.parse(answer.json());
};
const byToken = (token: string, url: string, method: 'GET' | 'POST' | 'DELETE' = 'GET') =>
  served.app.inject({ url, method, headers: { authorization: `Bearer ${token}` } });

const request = JSON.stringify({
  ...{ host: 'github.com', repository: 'octo/pkgs', repositoryId: 1, isPrivate: false },
  ...{ defaultBranch: 'main', author, headBranch: 'topic', headRepository: 'octo/pkgs', isDraft: false },
});
let number = 0;
const save = async (more: Partial<StoredChange> = {}): Promise<string> => {
  number += 1;
  const change = {
    number,
    repository,
    kind: 'offered',
    requestJson: request,
    state: 'queued',
    approved: false,
  } as const;
  await served.database.changes.save(newChange(`of-access-${number}`, { ...change, ...more }));
  return `/v1/prs/github/octo/pkgs/${number}`;
};

describe('an action on a change', () => {
  it('is for who may write to its repository, as the forge says it now', async () => {
    const path = await save();
    const [may, mayNot] = [await signedIn(writer), await signedIn(stranger)];
    expect(codeIn(await served.app.inject({ method: 'POST', url: `${path}/approve` }))).toEqual([
      401,
      'SIGN_IN_REQUIRED',
    ]);
    expect(asked).toEqual([]);
    expect(codeIn(await mayNot.send('POST', `${path}/approve`))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect(await served.database.changes.find(`of-access-${number}`)).toMatchObject({ approved: false });
    expect(told.map(({ action }) => action)).toEqual(['sign-in', 'sign-in']);
    const moved = `${path}/approve?head=${'0'.repeat(40)}`;
    expect(codeIn(await may.send('POST', moved))).toEqual([409, 'CHANGE_NOT_READY']);
    asked = asked.slice(0, 1);
    expect(codeIn(await may.send('POST', `${path}/approve?head=${head}`))).toEqual([200, 'OK']);
    expect(asked).toEqual([`${stranger.id} in ${repository}`, `${writer.id} in ${repository}`]);
    const subject = { subject: `${repository} ${number}`, effective: true };
    expect(told.filter(({ action }) => action === 'approve')).toEqual([
      { who: 'writer (github.com 1)', action: 'approve', ...subject },
    ]);
    isAway = true;
    expect(codeIn(await may.send('POST', `${path}/rejudge`))).toEqual([502, 'FORGE_UNAVAILABLE']);
    expect(codeIn(await (await signedIn(admin)).send('POST', `${path}/rejudge`))).toEqual([200, 'OK']);
  });

  it('asks nobody about changes that no forge knows: those are for admins', async () => {
    const [may, boss] = [await signedIn(writer), await signedIn(admin)];
    for (const kind of ['branch', 'submitted'] as const) {
      const path = await save({ kind });
      expect(codeIn(await may.send('POST', `${path}/cancel`)), kind).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
      expect(codeIn(await boss.send('POST', `${path}/cancel`)), kind).toEqual([200, 'OK']);
    }
    // A forge whose name only begins like theirs.
    await save({ repository: 'github.com.evil/pkgs' });
    const elsewhere = await may.send('POST', `/v1/prs/github/evil/pkgs/${number}/cancel`);
    expect(codeIn(elsewhere)).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect(asked).toEqual([]);
  });

  it('is the author’s where it ends what is theirs, and a maintainer’s where it concerns theirs alone', async () => {
    const path = await save();
    const browser = await signedIn(author);
    expect(codeIn(await browser.send('POST', `${path}/approve`))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    const other = await signedIn(stranger);
    expect(codeIn(await other.send('POST', `${path}/cancel`))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect(codeIn(await browser.send('POST', `${path}/cancel`))).toEqual([200, 'OK']);
    const rebuild = async (body: object) => codeIn(await browser.send('POST', `${path}/rebuild`, { body }));
    expect(await rebuild({ attrs: ['mine', 'other'] })).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect(await rebuild({ failed: true })).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect((await rebuild({ attrs: ['mine'] }))[0]).not.toBe(403);
  });
});

describe('what concerns the whole server', () => {
  it('is for admins alone, from the moment on that they are one', async () => {
    const [user, boss] = [await signedIn(stranger), await signedIn(admin)];
    const promote = '/v1/admin/users/github/STRANGER/promote';
    expect(codeIn(await user.send('POST', promote))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect(codeIn(await user.send('POST', '/v1/drain'))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect(codeIn(await user.get('/v1/metrics'))).toEqual([401, 'TOKEN_REQUIRED']);
    const promoted = await boss.send('POST', promote);
    expect(KnownUser.parse(promoted.json())).toMatchObject({
      login: 'stranger',
      isAdmin: true,
      adminBy: 'promoted',
    });
    expect(told.at(-1)).toEqual({
      ...{ who: `admin (github.com ${admin.id})`, action: 'promote' },
      ...{ subject: `stranger (github.com ${stranger.id})`, effective: true },
    });
    expect(codeIn(await user.send('POST', '/v1/drain'))).toEqual([200, 'OK']);
    expect(codeIn(await user.send('DELETE', '/v1/drain'))).toEqual([200, 'OK']);
    expect((await user.get('/v1/metrics')).statusCode).toBe(200);
    const demote = '/v1/admin/users/github.com/stranger/demote';
    expect(codeIn(await boss.send('POST', demote))).toEqual([200, 'OK']);
    expect(codeIn(await user.send('POST', '/v1/drain'))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect(codeIn(await boss.send('POST', '/v1/admin/users/github/admin/demote'))).toEqual([
      409,
      'ADMIN_LISTED',
    ]);
    expect(codeIn(await boss.send('POST', '/v1/admin/users/github/nobody/promote'))).toEqual([
      404,
      'USER_NOT_FOUND',
    ]);
    expect(codeIn(await boss.send('POST', '/v1/admin/users/gitlab/admin/promote'))).toEqual([
      404,
      'USER_NOT_FOUND',
    ]);
  });

  it('shows admins who signed in, a page at a time', async () => {
    for (const user of [writer, author, stranger]) await signedIn(user);
    const boss = await signedIn(admin);
    const ids: number[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = UserPage.parse(
        (await boss.get(`/v1/admin/users?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`)).json(),
      );
      ids.push(...page.users.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(ids).toEqual([1, 2, 3, 4]);
    expect(codeIn(await boss.get('/v1/admin/users?cursor=x'))).toEqual([400, 'CURSOR_INVALID']);
    expect(codeIn(await (await signedIn(stranger)).get('/v1/admin/users'))).toEqual([
      403,
      'OPERATOR_REQUIRED',
    ]);
  });
});

describe('an API token', () => {
  it('is shown once, kept as a hash, does what its owner may, and makes no others', async () => {
    const browser = await signedIn(writer);
    const made = await makeToken(browser);
    expect(made.token).toMatch(/^ekaci_[\w-]{43}$/);
    const listed = await browser.get('/v1/users/me/tokens');
    expect(ApiTokens.parse(listed.json()).tokens).toContainEqual({
      ...{ id: made.id, name: 'laptop', createdAtMs: nowMs, expiresAtMs: null, usedAtMs: null },
    });
    const backup = `${served.folder}/copy.db`;
    await served.database.backup(backup);
    const { readFile } = await import('node:fs/promises');
    expect((await readFile(backup, 'latin1')).includes(made.token.slice(6))).toBe(false);
    const me = await byToken(made.token, '/github/auth/me');
    expect(me.json()).toMatchObject({ caller: 'user', user: { login: 'writer', isAdmin: false } });
    // A program is on no page.
    expect(codeIn(await byToken(made.token, `${await save()}/approve`, 'POST'))).toEqual([200, 'OK']);
    const payload = { name: 'more' };
    const headers = { authorization: `Bearer ${made.token}` };
    const more = await served.app.inject({ method: 'POST', url: '/v1/users/me/tokens', headers, payload });
    expect(codeIn(more)).toEqual([403, 'SESSION_REQUIRED']);
    await browser.send('POST', '/github/auth/logout');
    const used = ApiTokens.parse((await byToken(made.token, '/v1/users/me/tokens')).json()).tokens;
    expect(used.find(({ id }) => id === made.id)).toMatchObject({ usedAtMs: nowMs });
  });

  it('is refused when it was removed, has expired, or never was', async () => {
    const browser = await signedIn(stranger);
    const [gone, short] = [
      await makeToken(browser),
      await makeToken(browser, { name: 'short', expiresInDays: 1 }),
    ];
    expect(short.expiresAtMs).toBe(nowMs + 86_400_000);
    const other = await signedIn(writer);
    expect(codeIn(await other.send('DELETE', `/v1/users/me/tokens/${gone.id}`))).toEqual([
      404,
      'API_TOKEN_NOT_FOUND',
    ]);
    expect(codeIn(await browser.send('DELETE', `/v1/users/me/tokens/${gone.id}`))).toEqual([200, 'OK']);
    expect(codeIn(await browser.send('DELETE', `/v1/users/me/tokens/${gone.id}`))).toEqual([
      404,
      'API_TOKEN_NOT_FOUND',
    ]);
    expect((await byToken(short.token, '/v1/healthz')).statusCode).toBe(200);
    nowMs += 86_400_000;
    for (const text of [gone.token, short.token, `${short.token}x`, `ekaci_${'A'.repeat(43)}`]) {
      const answer = await byToken(text, '/v1/healthz');
      expect(codeIn(answer)).toEqual([401, 'API_TOKEN_UNKNOWN']);
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
    for (const body of [
      {},
      { name: '' },
      { name: 'a\u0000b' },
      { name: 'x', expiresInDays: 0 },
      { name: 'x', is: 1 },
    ]) {
      const answer = await (await signedIn(stranger)).send('POST', '/v1/users/me/tokens', { body });
      expect(codeIn(answer)).toEqual([400, 'REQUEST_INVALID']);
    }
  });

  it('may be wrong a few times a minute, and holds nobody up who has a right one', async () => {
    const good = await makeToken(await signedIn(writer));
    nowMs += 120_000;
    const wrong = async () => (await byToken(`ekaci_${'B'.repeat(43)}`, '/v1/healthz')).statusCode;
    const answers: number[] = [];
    for (let count = 0; count < 7; count++) answers.push(await wrong());
    expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429]);
    expect((await byToken(good.token, '/v1/healthz')).statusCode).toBe(200);
    nowMs += 60_000;
    expect(await wrong()).toBe(401);
  });

  it('changes no more in a minute than one user may, from however many addresses', async () => {
    const { auth } = served.deps;
    const limits = { tokenFailuresPerMinute: 1, writesPerMinute: 2 };
    const origins = { allowed: [], own: null };
    const access = createAccess({
      auth,
      rights: noRights,
      readers: seesEverything,
      origins,
      behindTls: false,
      ...limits,
      clock: () => nowMs,
    });
    const app = await createHttpApp({ ...served.deps, access });
    const { token } = await makeToken(await signedIn(admin));
    const drain = (remoteAddress: string) =>
      app.inject({
        method: 'DELETE',
        url: '/v1/drain',
        remoteAddress,
        headers: { authorization: `Bearer ${token}` },
      });
    const statuses: number[] = [];
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
      statuses.push((await drain(address)).statusCode);
    expect(statuses).toEqual([200, 200, 429]);
    await app.close();
  });

  it('is not looked for at all once its address has asked too often', async () => {
    const rateLimits = { readsPerMinute: 2, writesPerMinute: 2 };
    const app = await createHttpApp({ ...served.deps, options: { ...served.deps.options, rateLimits } });
    nowMs += 120_000;
    const answers: unknown[] = [];
    for (let count = 0; count < 3; count++) {
      const headers = { authorization: `Bearer ekaci_${'C'.repeat(43)}` };
      answers.push(codeIn(await app.inject({ url: '/v1/healthz', headers }))[1]);
    }
    expect(answers).toEqual(['API_TOKEN_UNKNOWN', 'API_TOKEN_UNKNOWN', 'RATE_LIMITED']);
    await app.close();
  });

  it('is had by one user a hundred times at most', async () => {
    const browser = await signedIn({ login: 'many', id: 50 });
    for (let count = 0; count < 100; count++) await makeToken(browser);
    const answer = await browser.send('POST', '/v1/users/me/tokens', { body: { name: 'one more' } });
    expect(codeIn(answer)).toEqual([409, 'API_TOKENS_EXCEEDED']);
  });
});

describe('a page of another site', () => {
  it.each([
    [{ 'sec-fetch-site': 'same-origin' }, true],
    [{ origin: 'https://ci.example', 'sec-fetch-site': 'same-origin' }, true],
    [{ origin: 'http://localhost:3030' }, true],
    [{ origin: 'https://ui.example', 'sec-fetch-site': 'cross-site' }, true],
    [{ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, false],
    [{ origin: 'https://evil.example' }, false],
    [{ origin: 'https://sub.ci.example', 'sec-fetch-site': 'same-site' }, false],
    [{ origin: 'https://ui.example.evil', 'sec-fetch-site': 'same-origin' }, false],
    [{ origin: 'null' }, false],
    [{ 'sec-fetch-site': 'same-site' }, false],
    [{ 'sec-fetch-site': 'none' }, false],
    [{ 'sec-fetch-site': 'cross-site' }, false],
    [{}, false],
  ] as const)('writes in nobody’s name unless it is allowed to: %j', async (headers, isAllowed) => {
    const browser = await signedIn(writer);
    const path = await save();
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    for (const url of [`${path}/approve`, '/github/auth/logout']) {
      const answer = await served.app.inject({
        ...{ method: 'POST', url },
        headers: { host: 'localhost:3030', cookie, ...headers },
      });
      expect(codeIn(answer)).toEqual(isAllowed ? [200, 'OK'] : [403, 'ORIGIN_REFUSED']);
    }
    expect((await browser.get('/github/auth/me')).json()).toMatchObject({
      caller: isAllowed ? 'anonymous' : 'user',
    });
    expect(await served.database.changes.find(`of-access-${number}`)).toMatchObject({ approved: isAllowed });
  });

  it('reads what its scripts ask for only where it is allowed', async () => {
    const from = (origin: string, more: object = {}) =>
      served.app.inject({ url: '/v1/healthz', headers: { origin, ...more } });
    const allowed = await from('https://ui.example');
    expect(allowed.headers).toMatchObject({
      ...{ vary: 'Origin', 'access-control-allow-origin': 'https://ui.example' },
      'access-control-allow-credentials': 'true',
    });
    const log = await served.app.inject({
      url: `/v1/logs/${served.drv}`,
      headers: { origin: 'https://ui.example' },
    });
    expect(log.headers.vary).toBe('Accept, Origin');
    const nothing = await served.app.inject({
      url: '/v1/nothing',
      headers: { origin: 'https://ui.example' },
    });
    expect([nothing.statusCode, nothing.headers['access-control-allow-origin']]).toEqual([
      404,
      'https://ui.example',
    ]);
    for (const origin of ['https://evil.example', 'https://ui.example:444', 'http://ui.example', 'null']) {
      const { headers } = await from(origin);
      expect([headers['access-control-allow-origin'], headers.vary], origin).toEqual([undefined, 'Origin']);
    }
    const preflight = (origin: string) =>
      served.app.inject({
        ...{ method: 'OPTIONS', url: '/v1/users/me/tokens' },
        headers: { origin, 'access-control-request-method': 'DELETE' },
      });
    const answer = await preflight('https://ui.example');
    expect([answer.statusCode, answer.body]).toEqual([204, '']);
    expect(answer.headers['access-control-allow-methods']).toContain('DELETE');
    expect((await preflight('https://evil.example')).statusCode).toBe(405);
  });
});
