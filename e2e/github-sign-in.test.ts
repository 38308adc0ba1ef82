// Signing in with GitHub, what a token of it may do from the command line, and the end of both.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunResult } from '@eka-ci/process';
import { Me, NewApiToken } from '@eka-ci/protocol/user';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestBrowser, type TestBrowser } from './testing/browser.ts';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import type { TestServer } from './testing/server.ts';

const jwtSecret = 'canary-of-the-session-secret-0123456789';

let town: GithubTown;
let server: TestServer;
/** What earlier servers logged. */
let logs = '';
const tokens: string[] = [];

beforeAll(async () => {
  town = await createGithubTown({
    signIn: true,
    settings: ['require_approval = true', 'admins = ["github:alice"]'],
    env: { JWT_SECRET: jwtSecret, EKA_CI_LOG: 'debug' },
  });
  server = await town.start();
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const at = (path: string): string => `${server.address}${path}`;
const meOf = async (browser: TestBrowser): Promise<Me> =>
  Me.parse(JSON.parse((await browser.open(at('/github/auth/me'))).body));
const codeOf = (text: string): unknown => (JSON.parse(text) as { error: { code: unknown } }).error.code;

/** The whole way through GitHub's pages. */
const signIn = async (login: string, browser = createTestBrowser()): Promise<TestBrowser> => {
  await town.control.signIn({ user: login });
  const answer = await browser.open(at('/github/auth/login?return_to=/v1/healthz'));
  expect([answer.status, answer.url]).toEqual([200, at('/v1/healthz')]);
  expect(await meOf(browser)).toMatchObject({ caller: 'user', user: { login } });
  return browser;
};

const makeToken = async (browser: TestBrowser): Promise<string> => {
  const answer = await browser.send('POST', at('/v1/users/me/tokens'), { name: 'the test' });
  expect(answer.status).toBe(201);
  const { token } = NewApiToken.parse(JSON.parse(answer.body));
  tokens.push(token);
  return token;
};

const ekaciAs = async (token: string, ...args: readonly string[]): Promise<RunResult> => {
  const file = join(town.world.folder, 'token');
  await writeFile(file, token);
  return town.world.ekaci(...args, '--server', server.address, '--token-file', file);
};
const ekaciOnSocket = (...args: readonly string[]): Promise<RunResult> =>
  town.world.ekaci(...args, '--socket', join(town.world.folder, 'ekaci.socket'));

it('lets who may write to the repository approve a change, and nobody else', {
  timeout: 120_000,
}, async () => {
  const { control } = town;
  const { sha } = await control.push({
    ...{ repository: 'bob/pkgs', branch: 'main', by: 'bob' },
    files: { 'beta.sh': 'echo beta by bob > $out' },
  });
  const { number } = await control.openPull({ repository, head: 'main', from: 'bob/pkgs', by: 'bob' });
  await town.untilShown(sha, { EkaCI: 'action_required' });
  const [bob, carol] = [await makeToken(await signIn('bob')), await makeToken(await signIn('carol'))];
  const change = ['github.com', repository].join('/');
  const host = new URL(town.github.url).host;
  const approve = ['approve', change.replace('github.com', host), String(number)];
  const anonymous = await town.world.ekaci(...approve, '--server', server.address);
  expect(anonymous).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ekaci: SIGN_IN_REQUIRED: /) as string,
  });
  const refused = await ekaciAs(bob, ...approve);
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ekaci: WRITE_ACCESS_REQUIRED: /) as string,
  });
  expect(await town.changeOf(number)).toMatchObject({ state: 'awaiting-approval', approved: false });
  expect(await ekaciAs(carol, ...approve)).toMatchObject({ code: 0, stderr: '' });
  expect(await town.untilShown(sha, green)).toEqual(green);
  expect(server.log()).toContain('carol (');
  // What concerns the whole server was never hers.
  const drain = await ekaciAs(carol, 'drain');
  expect(drain).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ekaci: OPERATOR_REQUIRED: /) as string,
  });
});

it('makes admins of those who are listed or promoted', { timeout: 120_000 }, async () => {
  const alice = await makeToken(await signIn('alice'));
  expect(await ekaciAs(alice, 'drain')).toMatchObject({ code: 0 });
  expect(await ekaciAs(alice, 'drain', '--undo')).toMatchObject({ code: 0 });
  const carol = await makeToken(await signIn('carol'));
  expect(await ekaciAs(carol, 'admin', 'list')).toMatchObject({ code: 1 });
  const promoted = await ekaciOnSocket('admin', 'promote', 'github:carol');
  expect(promoted).toMatchObject({ code: 0, stdout: 'carol is an admin now.\n' });
  const { stdout } = await ekaciAs(carol, 'admin', 'list');
  expect(stdout).toMatch(/ alice +\d+ +admin, listed /);
  expect(stdout).toMatch(/ carol +\d+ +admin, promoted /);
  expect(await ekaciOnSocket('admin', 'demote', 'github:carol')).toMatchObject({
    stdout: 'carol is no admin now.\n',
  });
  expect(await ekaciAs(carol, 'admin', 'list')).toMatchObject({ code: 1 });
  expect(await ekaciOnSocket('admin', 'demote', 'github:alice')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ekaci: ADMIN_LISTED: /) as string,
  });
  const nobody = await ekaciOnSocket('admin', 'promote', 'github:nobody');
  expect(nobody).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('has not signed in so far') as string,
  });
});

it('ends a session at logout, for good, and tokens when they are removed', { timeout: 120_000 }, async () => {
  const [stays, goes] = [await signIn('carol'), await signIn('carol')];
  const token = await makeToken(goes);
  const cookies = goes.cookiesOf(server.address);
  expect((await goes.send('POST', at('/github/auth/logout'))).status).toBe(200);
  expect((await meOf(goes)).caller).toBe('anonymous');
  goes.setCookies(server.address, cookies);
  const refused = await goes.send('POST', at('/v1/users/me/tokens'), { name: 'x' });
  expect([refused.status, codeOf(refused.body)]).toEqual([401, 'SIGN_IN_REQUIRED']);
  logs += server.log();
  await server.kill();
  server = await town.start();
  expect((await meOf(goes)).caller).toBe('anonymous');
  expect((await meOf(stays)).user).toMatchObject({ login: 'carol' });
  expect(await ekaciAs(token, 'status')).toMatchObject({ code: 0 });
  const listed = await stays.open(at('/v1/users/me/tokens'));
  const { tokens: mine } = JSON.parse(listed.body) as { tokens: { id: string }[] };
  expect(listed.body).not.toContain('ekaci_');
  for (const { id } of mine) await stays.send('DELETE', at(`/v1/users/me/tokens/${id}`));
  const gone = await ekaciAs(token, 'status');
  expect(gone).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ekaci: API_TOKEN_UNKNOWN: /) as string,
  });
});

it('says so where somebody does not want, and where GitHub is away', { timeout: 60_000 }, async () => {
  const { control } = town;
  const browser = createTestBrowser();
  await control.signIn({ user: null, deny: true });
  const denied = await browser.open(at('/github/auth/login'));
  expect(denied.status).toBe(403);
  expect(denied.body).toContain('nobody is signed in');
  await control.signIn({ user: 'bob' });
  await control.addFault({
    ...{ method: 'GET', path: '^/user$', times: 1 },
    fault: { kind: 'status', status: 503 },
  });
  const away = await browser.open(at('/github/auth/login'));
  expect(away.status).toBe(502);
  expect(away.body).toContain('begin anew in a moment');
  expect((await meOf(browser)).caller).toBe('anonymous');
  await signIn('bob', browser);
});

it('keeps its secrets to itself', { timeout: 60_000 }, async () => {
  await server.stop();
  logs += server.log();
  const { folder } = town.world;
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile() && !entry.parentPath.startsWith(join(folder, 'nix')) && entry.name !== 'token',
  );
  expect(files.map(({ name }) => name)).toContain('sqlite.db');
  const texts = await Promise.all(
    files.map(
      async ({ parentPath, name }) => [name, await readFile(join(parentPath, name), 'latin1')] as const,
    ),
  );
  expect(tokens.length).toBeGreaterThan(3);
  const requests = JSON.stringify(await town.control.readRequests({}));
  for (const secret of [town.app.clientSecret, jwtSecret, ...tokens.map((token) => token.slice(6))]) {
    expect(logs).not.toContain(secret);
    expect(requests).not.toContain(secret);
    expect(texts.filter(([, text]) => text.includes(secret)).map(([name]) => name)).toEqual([]);
  }
  // Nor what GitHub gave for a moment.
  expect(logs).not.toMatch(/ghu_|access_token|code_verifier/);
  expect(texts.filter(([, text]) => text.includes('ghu_')).map(([name]) => name)).toEqual([]);
});
