// Who may what: signed tokens, installation tokens, people; and what moved, was suspended or is hidden.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JsonObject, wordOf } from '../state/json.ts';
import { buildTown, sendAs, signJwt, type Town } from '../testing/town.ts';

let town: Town;
const R = '/repos/octo/pkgs';

beforeAll(async () => {
  town = await buildTown();
  await town.github.control.createRepository({ owner: 'octo', name: 'hidden', private: true });
});
afterAll(() => town.close());

const nowS = (): number => Math.floor(Date.now() / 1000);

const askAsApp = async (claims: JsonObject): Promise<[number, unknown]> => {
  const { privateKey, id } = town.app;
  const { status, body } = await town.as(signJwt(privateKey, id, claims))('GET', '/app');
  return [status, body['message']];
};

const tokenFor = async (body: JsonObject): Promise<string> => {
  const made = await town.sendApp('POST', `/app/installations/${town.installation}/access_tokens`, { body });
  return wordOf(made.body['token']);
};

describe('a signed token of an app', () => {
  it('holds by its key, its issuer and its times', async () => {
    expect(await askAsApp({})).toEqual([200, undefined]);
    expect(await askAsApp({ iss: town.app.clientId })).toEqual([200, undefined]);
    expect(await askAsApp({ iss: 1 })).toEqual([404, 'Integration not found']);
    expect(await askAsApp({ exp: nowS() - 1 })).toEqual([
      401,
      expect.stringMatching(/'exp'\) must be a numeric/),
    ]);
    expect(await askAsApp({ exp: nowS() + 700 })).toEqual([
      401,
      expect.stringMatching(/too far in the future/),
    ]);
    expect(await askAsApp({ iat: nowS() + 120 })).toEqual([401, expect.stringMatching(/'Issued at' claim/)]);
    const other = signJwt(town.app.privateKey, town.app.id).split('.').with(2, 'AAAA').join('.');
    expect((await town.as(other)('GET', '/app')).body['message']).toBe(
      'A JSON web token could not be decoded',
    );
  });

  it('is judged by the clock of the fake', async () => {
    await town.github.control.setClock({ skewMs: 3_600_000 });
    expect((await askAsApp({}))[0]).toBe(401);
    const { headers } = await town.sendNobody('GET', R);
    expect(Date.parse(headers.get('date') ?? '') - Date.now()).toBeGreaterThan(3_500_000);
    await town.github.control.setClock({ skewMs: 0 });
  });
});

describe('an installation token', () => {
  it('lasts an hour', async () => {
    const send = town.as(await tokenFor({}));
    expect((await send('GET', '/repos/octo/hidden')).status).toBe(200);
    await town.github.control.setClock({ skewMs: 3_601_000 });
    expect((await send('GET', '/repos/octo/hidden')).body['message']).toBe('Bad credentials');
    await town.github.control.setClock({ skewMs: 0 });
  });

  it('reaches its repositories, with its permissions', async () => {
    const send = town.as(
      await tokenFor({ repositories: ['pkgs'], permissions: { checks: 'read', contents: 'read' } }),
    );
    expect((await send('GET', '/repos/octo/hidden')).status).toBe(404);
    expect((await send('GET', `${R}/commits/main/check-runs`)).status).toBe(200);
    const run = { body: { name: 'x', head_sha: town.repository.head } };
    expect(await send('POST', `${R}/check-runs`, run)).toMatchObject({
      status: 403,
      body: { message: 'Resource not accessible by integration' },
    });
    expect((await send('GET', `${R}/commits/main/status`)).status).toBe(403);
  });

  it('is nothing while the installation is suspended, and after it was removed', async () => {
    const { control } = town.github;
    const app = await control.createApp({ slug: 'short', owner: 'octo', permissions: { contents: 'read' } });
    const { id } = await control.install({ app: app.id, account: 'octo' });
    const sendApp = town.as(signJwt(app.privateKey, app.id));
    const { body } = await sendApp('POST', `/app/installations/${id}/access_tokens`);
    const send = town.as(wordOf(body['token']));
    await control.suspendInstallation({ installation: id, suspended: true, by: 'alice' });
    expect((await send('GET', R)).body['message']).toBe('This installation has been suspended');
    expect((await sendApp('POST', `/app/installations/${id}/access_tokens`)).status).toBe(403);
    await control.suspendInstallation({ installation: id, suspended: false, by: 'alice' });
    expect((await send('GET', R)).status).toBe(200);
    await control.removeInstallation({ installation: id, by: 'alice' });
    expect((await send('GET', R)).status).toBe(401);
    expect((await sendApp('POST', `/app/installations/${id}/access_tokens`)).status).toBe(404);
  });
});

describe('people', () => {
  it('read what is public, write where they may, and do not see the rest', async () => {
    expect((await town.sendNobody('GET', R)).status).toBe(200);
    expect((await town.sendNobody('GET', '/repos/octo/hidden')).status).toBe(404);
    expect((await town.sendBob('GET', '/repos/octo/hidden')).status).toBe(404);
    expect((await town.sendAlice('GET', '/repos/octo/hidden')).status).toBe(200);
    const run = { body: { name: 'x', head_sha: town.repository.head } };
    expect((await town.sendAlice('POST', `${R}/check-runs`, run)).body['message']).toBe(
      'You must authenticate via a GitHub App.',
    );
    const status = { body: { state: 'success' } };
    expect((await town.sendBob('POST', `${R}/statuses/${town.repository.head}`, status)).status).toBe(403);
  });

  it('have the permission that all that they are gives them', async () => {
    const { control } = town.github;
    const permission = async (login: string, name = 'hidden'): Promise<unknown> =>
      (await town.send('GET', `/repos/octo/${name}/collaborators/${login}/permission`)).body['permission'];
    expect([await permission('alice'), await permission('bob'), await permission('bob', 'pkgs')]).toEqual([
      'admin',
      'none',
      'read',
    ]);
    await control.setRole({ repository: 'octo/hidden', user: 'bob', role: 'maintain' });
    expect(await permission('bob')).toBe('write');
    await control.setRole({ repository: 'octo/hidden', user: 'bob', role: null });
    await control.setMember({ organization: 'octo', user: 'bob', role: 'member' });
    expect(await permission('bob')).toBe('read');
    await control.setMember({ organization: 'octo', user: 'bob', role: null });
    const bot = await town.send('GET', `${R}/collaborators/eka[bot]/permission`);
    expect([bot.status, bot.body['message']]).toEqual([404, 'eka[bot] is not a user']);
  });
});

describe('a repository that moved', () => {
  it('is found under its old name by a redirect, until another takes the name', async () => {
    const { control } = town.github;
    await control.createRepository({ owner: 'octo', name: 'before' });
    await control.renameRepository({ repository: 'octo/before', name: 'after', by: 'alice' });
    const moved = await town.send('GET', '/repos/octo/before/branches');
    expect(moved.status).toBe(301);
    const location = moved.headers.get('location') ?? '';
    const followed = await sendAs('', town.tokens.installation)('GET', location);
    expect([followed.status, followed.list[0]?.['name']]).toEqual([200, 'main']);
    await control.createRepository({ owner: 'octo', name: 'before' });
    expect((await town.send('GET', '/repos/octo/before/branches')).status).toBe(200);
  });
});

it('no answer and no request here was against the document', async () => {
  expect(await town.github.control.readViolations({})).toEqual([]);
});
