// Which app speaks for a repository, and how it proves who it is, also on a machine whose clock is wrong.
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Permissions } from '../../config/permissions.ts';
import { Secret } from '../../config/secret.ts';
import { type AppCredentials, createAppIdentity, pickAppCredentials } from './app-key.ts';
import { createGithubApps, describeMissingRights, describeNoApp } from './github-apps.ts';
import { createGithubHttp } from './github-http.ts';
import {
  createTestClock,
  type Scripted,
  type Seen,
  startScriptedGithub,
  testHttpDeps,
} from './testing/scripted-github.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs1 = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const credentials = (key = pkcs1, appId = '123'): AppCredentials => ({ appId, privateKey: new Secret(key) });
const everywhere: Permissions = { allow_all: true, allowed_repos: [], allowed_branches: [] };

/** What the GitHub of these tests thinks the time is. */
const claimsOf = async ({ headers }: Seen, nowMs: number) => {
  const jwt = headers.authorization?.replace('Bearer ', '') ?? '';
  const currentDate = new Date(nowMs);
  const { payload } = await jwtVerify(jwt, createPublicKey(privateKey), {
    algorithms: ['RS256'],
    currentDate,
  });
  return { iss: payload.iss, iat: payload.iat ?? 0, exp: payload.exp ?? 0 };
};

interface FakeOptions {
  /** GitHub's clock, less ours. */
  readonly skewMs?: number;
  /** By the app's number: what is installed where. */
  readonly installations?: Readonly<Record<string, { id: number; suspended?: boolean }>>;
  readonly answerToken?: (made: number) => Scripted;
  readonly answerOther?: (seen: Seen) => Scripted;
}

const start = async ({ skewMs = 0, installations = {}, answerToken, answerOther }: FakeOptions = {}) => {
  const clock = createTestClock();
  const claims: { iss: string | undefined; iat: number; exp: number }[] = [];
  let made = 0;
  const github = await startScriptedGithub(async (seen) => {
    const nowMs = clock.nowMs + skewMs;
    const headers = { date: new Date(nowMs).toUTCString() };
    if (!/installation$|access_tokens$/.test(seen.path)) return answerOther?.(seen) ?? { json: { ok: true } };
    const claim = await claimsOf(seen, nowMs).catch(() => null);
    if (claim === null || claim.exp * 1000 > nowMs + 600_000) {
      return {
        status: 401,
        headers,
        json: { message: "'Expiration time' claim ('exp') is in the wrong time" },
      };
    }
    claims.push(claim);
    if (seen.path.endsWith('/access_tokens')) {
      made += 1;
      const answer = answerToken?.(made);
      if (answer !== undefined) return answer;
      const endsAt = new Date(nowMs + 3_600_000).toISOString().replace('.000', '');
      return { status: 201, headers, json: { token: `ghs_${made}`, expires_at: endsAt } };
    }
    const found = installations[`${claim.iss} ${seen.path}`];
    if (found === undefined) return { status: 404, headers, json: { message: 'Not Found' } };
    const suspended = found.suspended === true ? '2026-01-01T00:00:00Z' : null;
    return {
      headers,
      json: { id: found.id, app_id: 1, permissions: { checks: 'write' }, suspended_at: suspended },
    };
  });
  const http = createGithubHttp(testHttpDeps(github, clock));
  return { clock, github, http, claims, ofTokens: () => made };
};

const call = { operation: 'test', method: 'GET', path: '/thing', schema: z.unknown() } as const;

describe('the app for a repository', () => {
  it('is the first that is permitted and installed there, and not suspended', async () => {
    const scene = await start({
      installations: {
        '2 /repos/o/r/installation': { id: 20, suspended: true },
        '3 /repos/o/r/installation': { id: 30 },
        '4 /repos/o/r/installation': { id: 40 },
      },
    });
    const app = (id: string, permissions = everywhere) => ({
      id: `app-${id}`,
      permissions,
      http: scene.http,
      loadCredentials: async () => credentials(pkcs1, id),
    });
    const nowhere = { ...everywhere, allow_all: false };
    const apps = createGithubApps({
      apps: [app('4', nowhere), app('1'), app('2'), app('3'), app('4b')],
      clock: () => scene.clock.nowMs,
    });
    expect(await apps.choose('o/r', 'main')).toMatchObject({
      kind: 'installation',
      app: 'app-3',
      installationId: 30,
      rights: { checks: 'write' },
    });
    const none = await apps.choose('o/other', 'main');
    expect(none).toEqual({
      kind: 'none',
      reasons: [
        { app: 'app-4', reason: 'not-permitted' },
        ...['app-1', 'app-2', 'app-3', 'app-4b'].map((one) => ({ app: one, reason: 'not-installed' })),
      ],
    });
    if (none.kind === 'none') {
      expect(describeNoApp('o/other', none)).toMatch(
        /^no GitHub App serves o\/other: app-4 is not permitted there, app-1 /,
      );
    }
    expect(apps.isPermitted('o/r', 'main')).toBe(true);
    expect(apps.asApp('app-9')).toBeNull();
  });

  it('is held to its branches by the base, and to none where none is meant', async () => {
    const scene = await start();
    const permissions = { allow_all: false, allowed_repos: ['o/*'], allowed_branches: ['main'] };
    const loadCredentials = async () => credentials();
    const apps = createGithubApps({
      apps: [{ id: 'a', permissions, http: scene.http, loadCredentials }],
      clock: () => scene.clock.nowMs,
    });
    expect(['main', 'next', null].map((branch) => apps.isPermitted('O/r', branch))).toEqual([
      true,
      false,
      true,
    ]);
    expect(apps.isPermitted('other/r', null)).toBe(false);
  });

  it('is asked for once in a while, and anew where a webhook says that it changed', async () => {
    const scene = await start({ installations: { '123 /repos/o/r/installation': { id: 30 } } });
    const apps = createGithubApps({
      apps: [
        { id: 'a', permissions: everywhere, http: scene.http, loadCredentials: async () => credentials() },
      ],
      clock: () => scene.clock.nowMs,
    });
    await apps.choose('o/r', null);
    await apps.choose('O/R', null);
    await apps.choose('o/none', null);
    await apps.choose('o/none', null);
    expect(scene.github.seen).toHaveLength(2);
    scene.clock.nowMs += 61_000;
    await apps.choose('o/r', null);
    await apps.choose('o/none', null);
    expect(scene.github.seen).toHaveLength(3);
    apps.forgetInstallations();
    await apps.choose('o/r', null);
    expect(scene.github.seen).toHaveLength(4);
    // Set back, the clock makes nothing last longer.
    scene.clock.nowMs -= 86_400_000;
    await apps.choose('o/r', null);
    expect(scene.github.seen).toHaveLength(5);
  });

  it('is refused no name that could lead elsewhere in the API', async () => {
    const scene = await start();
    const apps = createGithubApps({
      apps: [
        { id: 'a', permissions: everywhere, http: scene.http, loadCredentials: async () => credentials() },
      ],
      clock: () => scene.clock.nowMs,
    });
    await expect(apps.choose('../app', null)).rejects.toMatchObject({ code: 'GITHUB_NAME_INVALID' });
    await apps.choose('a?b/c#d', null);
    expect(scene.github.seen.map(({ path }) => path)).toEqual(['/repos/a%3Fb/c%23d/installation']);
  });

  it('says which of its permissions are missing', () => {
    const rights = {
      checks: 'write',
      contents: 'read',
      pull_requests: 'write',
      issues: 'admin',
      actions: 'write',
    };
    expect(describeMissingRights(rights)).toEqual([
      'the permission contents: write is missing',
      'the permission workflows: write is missing; without it a merge that touches .github/workflows is refused',
      'the permission merge_queues: read is missing',
      'the permission members: read is missing; without it only direct collaborators of organisations are known',
      'the permission metadata: read is missing',
    ]);
  });
});

const startApp = async (options: FakeOptions, load: () => AppCredentials = credentials) => {
  const scene = await start(options);
  const apps = createGithubApps({
    apps: [{ id: 'a', permissions: everywhere, http: scene.http, loadCredentials: async () => load() }],
    clock: () => scene.clock.nowMs,
  });
  const client = apps.asInstallation('a', 7);
  if (client === null) throw new Error('the app is not there');
  return { ...scene, client };
};

describe('an app', () => {
  it.each([
    ['PKCS#1, as GitHub makes it', pkcs1],
    ['PKCS#8', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['lines as \\n, as variables carry them', pkcs1.replaceAll('\n', String.raw`\n`)],
  ])('signs with a key in %s', async (_, key) => {
    const scene = await startApp({}, () => credentials(key));
    await scene.client.call(call);
    const [claim] = scene.claims;
    expect(claim?.iss).toBe('123');
    expect((claim?.iat ?? 0) * 1000).toBe(scene.clock.nowMs - 60_000);
    expect((claim?.exp ?? 0) * 1000).toBeLessThanOrEqual(scene.clock.nowMs + 600_000);
  });

  it.each([
    ['no PEM', 'canary-key'],
    ['a public key', createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString()],
    [
      'too short',
      generateKeyPairSync('rsa', { modulusLength: 1024 })
        .privateKey.export({ type: 'pkcs1', format: 'pem' })
        .toString(),
    ],
    [
      'of another kind',
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
  ])('refuses a key that is %s, without showing it', async (_, key) => {
    const scene = await startApp({}, () => credentials(key));
    const error: unknown = await scene.client.call(call).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'GITHUB_APP_KEY_INVALID',
      message: expect.stringContaining('github_apps "a"') as unknown,
    });
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(key.split('\n')[1] ?? key);
  });

  it.each([
    ['behind by a day', 86_400_000],
    ['ahead by a day', -86_400_000],
    ['ahead by ten minutes', -600_000],
    ['ahead by half a minute', -30_000],
  ])('goes on where the clock of the machine is %s', async (_, skewMs) => {
    const scene = await startApp({ skewMs });
    await scene.client.call(call);
    const refusals = Math.abs(skewMs) > 60_000 ? 1 : 0;
    expect(scene.github.seen).toHaveLength(2 + refusals);
    scene.clock.nowMs += 3_600_000;
    await scene.client.call(call);
    // What it learnt of the time it keeps.
    expect(scene.github.seen).toHaveLength(4 + refusals);
  });

  it('takes its id and its key out of what its credential source gives', () => {
    const values = new Map([
      ['GITHUB_APP_ID', new Secret('123\n')],
      ['OTHER', new Secret('x')],
    ]);
    expect(() => pickAppCredentials('a', values)).toThrow(
      'github_apps "a": its credentials give no GITHUB_APP_PRIVATE_KEY',
    );
    values.set('GITHUB_APP_PRIVATE_KEY', new Secret(pkcs1));
    expect(pickAppCredentials('a', values)).toEqual({
      appId: '123',
      privateKey: values.get('GITHUB_APP_PRIVATE_KEY'),
    });
  });

  it('gives up where a new JWT is refused too, and where it is not about time', async () => {
    let forgotten = 0;
    const identity = createAppIdentity({
      app: 'a',
      loadCredentials: async () => credentials(),
      forgetCredentials: () => {
        forgotten += 1;
      },
      clock: Date.now,
    });
    const token = await identity.token();
    expect(identity.refused(token, "'exp' claim", { skewMs: 5 })).toBe(true);
    expect(forgotten).toBe(0);
    const next = await identity.token();
    expect(identity.refused(token, 'Bad credentials', { skewMs: 5 })).toBe(true);
    expect(forgotten).toBe(0);
    // A key that was exchanged is there at the next try.
    expect(identity.refused(next, 'Bad credentials', { skewMs: 5 })).toBe(false);
    expect(forgotten).toBe(1);
    const other = await startApp({}, () =>
      credentials(
        generateKeyPairSync('rsa', { modulusLength: 2048 })
          .privateKey.export({ type: 'pkcs1', format: 'pem' })
          .toString(),
      ),
    );
    await expect(other.client.call(call)).rejects.toMatchObject({ code: 'GITHUB_UNAUTHORISED' });
    expect(other.github.seen).toHaveLength(2);
  });
});

describe('the token of an installation', () => {
  it('is made once for all who wait, kept, and replaced before it ends', async () => {
    const scene = await startApp({});
    await Promise.all(Array.from({ length: 20 }, () => scene.client.call(call)));
    expect(scene.ofTokens()).toBe(1);
    scene.clock.nowMs += 54 * 60_000;
    await scene.client.call(call);
    expect(scene.ofTokens()).toBe(1);
    scene.clock.nowMs += 2 * 60_000;
    await scene.client.call(call);
    expect(scene.ofTokens()).toBe(2);
    expect(scene.github.seen.at(-1)?.headers.authorization).toBe('Bearer ghs_2');
  });

  it('is made anew where the clock went back behind the moment at which it was made', async () => {
    const scene = await startApp({});
    await scene.client.call(call);
    scene.clock.nowMs -= 86_400_000;
    await scene.client.call(call);
    expect(scene.ofTokens()).toBe(2);
  });

  it('is dropped where GitHub does not take it any more', async () => {
    const answerOther = ({ headers }: Seen): Scripted =>
      headers.authorization === 'Bearer ghs_1'
        ? { status: 401, json: { message: 'Bad credentials' } }
        : { json: {} };
    const scene = await startApp({ answerOther });
    await Promise.all([scene.client.call(call), scene.client.call(call)]);
    expect(scene.ofTokens()).toBe(2);
  });

  it.each<[string, Scripted, string]>([
    [
      'suspended',
      { status: 403, json: { message: 'This installation has been suspended' } },
      'GITHUB_INSTALLATION_SUSPENDED',
    ],
    ['removed', { status: 404, json: { message: 'Not Found' } }, 'GITHUB_INSTALLATION_GONE'],
  ])('is not to be had where the installation is %s, and is asked for again', async (_, answer, code) => {
    const scene = await startApp({
      answerToken: (made) =>
        made === 1 ? answer : { json: { token: 'x', expires_at: '2030-01-01T00:00:00Z' } },
    });
    await expect(scene.client.call(call)).rejects.toMatchObject({ code });
    expect(await scene.client.call(call)).toEqual({ ok: true });
  });

  it('outlives the one who asked for it first', async () => {
    const held = Promise.withResolvers<Scripted>();
    const scene = await start({});
    const github = await startScriptedGithub(async (seen) =>
      seen.path.endsWith('access_tokens') ? await held.promise : { json: { ok: true } },
    );
    const apps = createGithubApps({
      apps: [
        {
          id: 'a',
          permissions: everywhere,
          http: createGithubHttp(testHttpDeps(github, scene.clock)),
          loadCredentials: async () => credentials(),
        },
      ],
      clock: () => scene.clock.nowMs,
    });
    const client = apps.asInstallation('a', 7);
    const ending = new AbortController();
    const first = client?.call(call, ending.signal).catch((error: unknown) => error);
    const second = client?.call(call);
    await expect.poll(() => github.seen.length).toBe(1);
    ending.abort(new Error('stop'));
    held.resolve({ json: { token: 'x', expires_at: '2026-01-01T01:00:00Z' } });
    expect(await first).toMatchObject({ message: 'stop' });
    expect(await second).toEqual({ ok: true });
    expect(github.seen.filter(({ path }) => path.endsWith('access_tokens'))).toHaveLength(1);
  });
});
