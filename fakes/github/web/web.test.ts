// What is not the API: git over HTTP, signing in, and the process itself.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunResult, readLines, runChild, startChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGit } from '../git/git.ts';
import { startFakeGitHub } from '../start.ts';
import { buildTown, type Town } from '../testing/town.ts';

let town: Town;
let folder: string;
const { env } = createGit(process.env['PATH'] ?? '');

beforeAll(async () => {
  town = await buildTown();
  folder = await mkdtemp(join(tmpdir(), 'fake-github-web-'));
  const files = { 'default.nix': '{ }\n' };
  await town.github.control.createRepository({ owner: 'octo', name: 'hidden', private: true, files });
});
afterAll(async () => {
  await town.close();
  await rm(folder, { recursive: true });
});

const git = (...args: readonly string[]): Promise<RunResult> =>
  runChild({ command: 'git', args: ['-C', folder, ...args], env });

const urlWith = (token: string, path: string): string =>
  `${town.github.url.replace('://', `://x-access-token:${token}@`)}/${path}.git`;

describe('git over HTTP', () => {
  it('clones what is public, and what is hidden with a token that may read it', async () => {
    const { url } = town.github;
    expect(await git('clone', '--quiet', `${url}/octo/pkgs.git`, 'public')).toMatchObject({ code: 0 });
    expect(await readFile(join(folder, 'public/a.nix'), 'utf8')).toBe('1\n');
    expect((await git('clone', '--quiet', `${url}/octo/hidden.git`, 'none')).code).not.toBe(0);
    expect((await git('clone', '--quiet', urlWith(town.tokens.bob, 'octo/hidden'), 'none')).code).not.toBe(0);
    const hidden = urlWith(town.tokens.installation, 'octo/hidden');
    expect(await git('clone', '--quiet', '--filter=blob:none', hidden, 'hidden')).toMatchObject({ code: 0 });
  });

  it('fetches a pull request by its refs and a commit by its id', async () => {
    const { control } = town.github;
    const repository = 'octo/pkgs';
    const { sha } = await control.push({ repository, branch: 'topic', files: { b: '1' }, by: 'alice' });
    await control.openPull({ repository, head: 'topic', by: 'alice' });
    const url = `${town.github.url}/octo/pkgs.git`;
    await git('init', '--quiet', 'fetching');
    const fetch = (what: string) => git('-C', 'fetching', 'fetch', '--quiet', '--depth=1', url, what);
    expect(await fetch('refs/pull/1/head')).toMatchObject({ code: 0 });
    expect((await git('-C', 'fetching', 'rev-parse', 'FETCH_HEAD')).stdout.trim()).toBe(sha);
    expect(await fetch('refs/pull/1/merge')).toMatchObject({ code: 0 });
    expect(await fetch(sha)).toMatchObject({ code: 0 });
  });

  it('takes pushes of those who may, and everything follows from them', async () => {
    const clone = join(folder, 'pushing');
    const url = urlWith(town.tokens.alice, 'octo/pkgs');
    await git('clone', '--quiet', url, 'pushing');
    await writeFile(join(clone, 'big'), 'x'.repeat(3_000_000));
    await git('-C', 'pushing', 'add', '.');
    await git('-C', 'pushing', 'commit', '--quiet', '-m', 'By git itself');
    expect(await git('-C', 'pushing', 'push', '--quiet', 'origin', 'HEAD:refs/heads/pushed')).toMatchObject({
      code: 0,
    });
    const branches = await town.github.control.readBranches({ repository: 'octo/pkgs' });
    expect(branches['pushed']).toBe((await git('-C', 'pushing', 'rev-parse', 'HEAD')).stdout.trim());
    const [pushed] = (await town.delivered('push')).slice(-1);
    expect(pushed).toMatchObject({ ref: 'refs/heads/pushed', created: true, sender: { login: 'alice' } });
    const other = urlWith(town.tokens.bob, 'octo/pkgs');
    expect((await git('-C', 'pushing', 'push', '--quiet', other, 'HEAD:refs/heads/bobs')).code).not.toBe(0);
    expect((await git('-C', 'pushing', 'push', '--quiet', 'origin', 'HEAD:refs/pull/9/head')).code).not.toBe(
      0,
    );
  });

  it('follows a repository to its new name', async () => {
    const { control } = town.github;
    await control.createRepository({ owner: 'octo', name: 'old' });
    await control.renameRepository({ repository: 'octo/old', name: 'new', by: 'alice' });
    expect(await git('ls-remote', `${town.github.url}/octo/old.git`)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/refs\/heads\/main/) as string,
    });
  });
});

describe('archives', () => {
  const listed = async (url: string, token: string | null, to: string): Promise<string> => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}`, 'user-agent': 'test' };
    const answer = await fetch(url, { headers });
    if (!answer.ok) return `${answer.status}`;
    const file = join(folder, to);
    await writeFile(file, Buffer.from(await answer.arrayBuffer()));
    return (await runChild({ command: 'tar', args: ['-tzf', file], env })).stdout;
  };

  it('are there for everybody of what is public, and of what is hidden for who may read it', async () => {
    const { url, apiUrl } = town.github;
    const installation = town.tokens.installation;
    expect(await listed(`${url}/octo/pkgs/archive/refs/heads/main.tar.gz`, null, 'a')).toMatch(
      /^octo-pkgs-[0-9a-f]{7}\/\n.*a\.nix$/ms,
    );
    expect(await listed(`${url}/octo/hidden/archive/main.tar.gz`, null, 'b')).toBe('404');
    expect(await listed(`${apiUrl}/repos/octo/hidden/tarball/main`, town.tokens.bob, 'b')).toBe('404');
    expect(await listed(`${apiUrl}/repos/octo/hidden/tarball/main`, installation, 'b')).toMatch(
      /default\.nix$/m,
    );
    expect(await listed(`${apiUrl}/repos/octo/hidden/tarball/none`, installation, 'b')).toBe('404');
    const { main } = await town.github.control.readBranches({ repository: 'octo/hidden' });
    for (const word of ['', '?token=', '?token=x']) {
      expect(
        await listed(`${url}/_codeload/octo/hidden/legacy.tar.gz/${main}${word}`, installation, 'b'),
      ).toBe('404');
    }
  });
});

describe('signing in', () => {
  const callback = 'http://127.0.0.1:1/callback';
  const verifier = 'a verifier that is long enough to be one, so to say';
  const challenge = createHash('sha256').update(verifier).digest('base64url');

  const authorize = async (more: Readonly<Record<string, string>> = {}): Promise<Response> => {
    const query = new URLSearchParams({
      client_id: town.app.clientId,
      redirect_uri: callback,
      state: 'ours',
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...more,
    });
    return fetch(`${town.github.url}/login/oauth/authorize?${query.toString()}`, { redirect: 'manual' });
  };
  const codeOf = (answer: Response): string =>
    new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? '';
  const exchange = async (form: Readonly<Record<string, string>>): Promise<Record<string, unknown>> => {
    const client = { client_id: town.app.clientId, client_secret: town.app.clientSecret };
    const answer = await fetch(`${town.github.url}/login/oauth/access_token`, {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams({ ...client, ...form }),
    });
    return (await answer.json()) as Record<string, unknown>;
  };

  it('gives a code to the browser and a token for the code, once, to who holds the proof', async () => {
    await town.github.control.signIn({ user: 'alice' });
    const answer = await authorize();
    expect(answer.headers.get('location')).toMatch(/^http:\/\/127\.0\.0\.1:1\/callback\?state=ours&code=/);
    const code = codeOf(answer);
    const granted = await exchange({ code, code_verifier: verifier, redirect_uri: callback });
    expect(granted).toMatchObject({ token_type: 'bearer', expires_in: 28_800, scope: '' });
    const send = town.as(String(granted['access_token']));
    expect((await send('GET', '/user')).body['login']).toBe('alice');
    const installed = await send('GET', '/user/installations');
    expect(installed.body).toMatchObject({ total_count: 1, installations: [{ id: town.installation }] });
    const seen = await send('GET', `/user/installations/${town.installation}/repositories`);
    expect(seen.body['total_count']).toBeGreaterThan(1);
    expect(await exchange({ code, code_verifier: verifier })).toMatchObject({
      error: 'bad_verification_code',
    });
    const refreshed = await exchange({
      grant_type: 'refresh_token',
      refresh_token: String(granted['refresh_token']),
    });
    expect(refreshed).toMatchObject({ token_type: 'bearer' });
    await town.github.control.setClock({ skewMs: 28_801_000 });
    expect((await send('GET', '/user')).status).toBe(401);
    await town.github.control.setClock({ skewMs: 0 });
  });

  it('lets an app do for a person only what it may do itself', async () => {
    const { control } = town.github;
    const callbackUrls = [callback];
    const lonely = await control.createApp({ slug: 'lonely', owner: 'octo', callbackUrls });
    await control.signIn({ user: 'alice' });
    const client = { client_id: lonely.clientId, client_secret: lonely.clientSecret };
    const code = codeOf(await authorize(client));
    const { access_token: token } = await exchange({ ...client, code, code_verifier: verifier });
    const send = town.as(String(token));
    expect((await send('GET', '/repos/octo/pkgs')).status).toBe(200);
    expect((await send('GET', '/repos/octo/hidden')).status).toBe(404);
    const status = { body: { state: 'success' } };
    expect((await send('POST', `/repos/octo/pkgs/statuses/${town.repository.head}`, status)).status).toBe(
      403,
    );
  });

  it('can be checked and taken back by the app', async () => {
    await town.github.control.signIn({ user: 'bob' });
    const { access_token: token } = await exchange({
      code: codeOf(await authorize()),
      code_verifier: verifier,
    });
    const basic = Buffer.from(`${town.app.clientId}:${town.app.clientSecret}`).toString('base64');
    const given = { body: { access_token: String(token) }, headers: { authorization: `Basic ${basic}` } };
    const path = `/applications/${town.app.clientId}/token`;
    expect((await town.sendNobody('POST', path, given)).body['user']).toMatchObject({ login: 'bob' });
    expect((await town.sendNobody('DELETE', path, given)).status).toBe(204);
    expect((await town.sendNobody('POST', path, given)).status).toBe(404);
  });

  it('is refused without the proof, for another address, too late, and by who presses Cancel', async () => {
    const { control } = town.github;
    await control.signIn({ user: 'alice' });
    const bad = { error: 'bad_verification_code' };
    expect(await exchange({ code: codeOf(await authorize()) })).toMatchObject(bad);
    expect(await exchange({ code: codeOf(await authorize()), code_verifier: 'other' })).toMatchObject(bad);
    const late = codeOf(await authorize());
    await control.setClock({ skewMs: 601_000 });
    expect(await exchange({ code: late, code_verifier: verifier })).toMatchObject(bad);
    await control.setClock({ skewMs: 0 });
    expect(await exchange({ code: 'x', client_secret: 'y' })).toMatchObject({
      error: 'incorrect_client_credentials',
    });
    expect((await authorize({ redirect_uri: 'http://evil.example/' })).status).toBe(400);
    expect((await authorize({ code_challenge_method: 'plain' })).status).toBe(400);
    await control.signIn({ user: null, deny: true });
    expect((await authorize()).headers.get('location')).toMatch(/error=access_denied/);
    await control.signIn({ user: null });
    expect(await (await authorize()).text()).toMatch(/as=bob/);
    expect(codeOf(await authorize({ as: 'bob' }))).not.toBe('');
    expect(await control.readViolations({})).toEqual([]);
  });
});

describe('the process', () => {
  it('has the API below another path where that is asked for', async () => {
    const github = await startFakeGitHub({ apiPrefix: '/api/v3' });
    expect(github.apiUrl).toBe(`${github.url}/api/v3`);
    const answer = await fetch(`${github.apiUrl}/rate_limit`, { headers: { 'user-agent': 'x' } });
    expect(answer.status).toBe(200);
    expect((await fetch(`${github.url}/rate_limit`)).status).toBe(404);
    await expect(github.control.createRepository({ owner: 'nobody', name: 'x' })).rejects.toThrow(
      /no account nobody/,
    );
    await github.stop();
    await expect(fetch(github.url)).rejects.toThrow(/fetch failed/);
  });

  it('ends when its owner is gone, and leaves no folder behind', async () => {
    const start = new URL('../start.ts', import.meta.url).href;
    const script = `import { startFakeGitHub } from ${JSON.stringify(start)};
      const { control, url } = await startFakeGitHub();
      await control.createUser({ login: 'a' });
      const { folder } = await control.createRepository({ owner: 'a', name: 'b' });
      console.log(JSON.stringify({ url, folder }));
      setInterval(() => {}, 60_000);`;
    const owner = await startChild({
      command: process.execPath,
      args: ['--input-type=module', '--eval', script],
      env: { PATH: process.env['PATH'] ?? '', TMPDIR: folder },
    });
    owner.stderr.resume();
    const first = await readLines(owner.stdout).next();
    const ready = JSON.parse(String(first.value)) as { readonly url: string; readonly folder: string };
    expect(await readFile(join(ready.folder, 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
    owner.end('SIGKILL');
    await owner.exited;
    const isUp = (): Promise<boolean> =>
      fetch(ready.url).then(
        () => true,
        () => false,
      );
    await expect.poll(isUp, { timeout: 20_000 }).toBe(false);
    const isThere = (): Promise<boolean> =>
      readFile(join(ready.folder, 'HEAD')).then(
        () => true,
        () => false,
      );
    await expect.poll(isThere, { timeout: 20_000 }).toBe(false);
  });
});
