// Signing in with GitHub: against a server that answers as GitHub does, and as it should not.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { startFakeGitHub } from '@eka-ci/fakes/github';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { createGithubSignIn } from './oauth.ts';

const redirectUrl = 'http://127.0.0.1:9/github/auth/callback';
const { signal } = new AbortController();

const createChallenge = () => {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
};

type FakeGitHub = Awaited<ReturnType<typeof startFakeGitHub>>;
let github: FakeGitHub;
let app: { readonly clientId: string; readonly clientSecret: string };
let aliceId: number;
beforeAll(async () => {
  github = await startFakeGitHub();
  aliceId = (await github.control.createUser({ login: 'alice' })).id;
  await github.control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
  app = await github.control.createApp({ slug: 'ci', owner: 'octo', callbackUrls: [redirectUrl] });
});
afterAll(async () => {
  expect(await github.control.readViolations({})).toEqual([]);
  await github.stop();
});

const signInWith = (more: { readonly clientSecret?: string; readonly redirectUrl?: string } = {}) =>
  createGithubSignIn({
    ...{ webUrl: github.url, apiUrl: github.apiUrl, redirectUrl, clock: Date.now },
    ...{ clientId: app.clientId, clientSecret: new Secret(more.clientSecret ?? app.clientSecret) },
    ...(more.redirectUrl !== undefined && { redirectUrl: more.redirectUrl }),
  });

/** What the browser of whoever signs in brings back. */
const bring = async (challenge: string): Promise<{ readonly code: string; readonly state: string }> => {
  const answer = await fetch(signInWith().addressOf({ state: 'the state', challenge }), {
    redirect: 'manual',
  });
  const query = new URL(answer.headers.get('location') ?? '').searchParams;
  return { code: query.get('code') ?? '', state: query.get('state') ?? '' };
};

describe('who signs in with GitHub', () => {
  it('is known by the id that GitHub has, once for each code', async () => {
    await github.control.signIn({ user: 'alice' });
    const { verifier, challenge } = createChallenge();
    const { code, state } = await bring(challenge);
    expect(state).toBe('the state');
    const signIn = signInWith();
    expect(signIn.host).toBe(new URL(github.url).host);
    expect(await signIn.identify({ code, verifier }, signal)).toEqual({
      kind: 'known',
      user: { id: aliceId, login: 'alice', isPerson: true },
    });
    expect(await signIn.identify({ code, verifier }, signal)).toEqual({ kind: 'refused' });
  });

  it('is nobody with the verifier of another question', async () => {
    const { code } = await bring(createChallenge().challenge);
    const { verifier } = createChallenge();
    expect(await signInWith().identify({ code, verifier }, signal)).toEqual({ kind: 'refused' });
  });

  it('is not asked for while the app is not set up right, and the message says what to do', async () => {
    const { verifier, challenge } = createChallenge();
    const { code } = await bring(challenge);
    const wrong = signInWith({ clientSecret: 'canary-of-the-secret' }).identify({ code, verifier }, signal);
    const error: unknown = await wrong.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'GITHUB_UNAUTHORISED', mayPass: false });
    expect(String(error)).toContain('check oauth.client_id and oauth.client_secret');
    expect(inspect(error, { depth: null })).not.toContain('canary');
    const elsewhere = signInWith({ redirectUrl: 'http://127.0.0.1:9/other' });
    await expect(elsewhere.identify({ code, verifier }, signal)).rejects.toMatchObject({
      message: expect.stringContaining('oauth.redirect_url') as string,
    });
  });

  it('waits for nobody who does not answer', async () => {
    const closed = createGithubSignIn({
      ...{ webUrl: 'http://127.0.0.1:9', apiUrl: 'http://127.0.0.1:9', clientId: 'a', redirectUrl },
      ...{ clientSecret: new Secret('s'), clock: Date.now },
    });
    const proof = { code: 'c', verifier: 'v' };
    await expect(closed.identify(proof, signal)).rejects.toMatchObject({
      code: 'GITHUB_UNREACHABLE',
      mayPass: true,
    });
  });
});

describe('a server that is no GitHub', () => {
  /** @param answer the body for the token, then for the user */
  const scripted = async (...answers: readonly (readonly [status: number, body: string])[]) => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      text(request).then(
        (body) => {
          const [status, answer] = answers[seen.length] ?? [500, ''];
          seen.push(`${request.method} ${request.url} ${body}`);
          response.writeHead(status, { 'content-type': 'application/json' }).end(answer);
        },
        (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const deps = { webUrl: url, apiUrl: `${url}/api`, clientId: 'a', redirectUrl, clock: Date.now };
    const signIn = createGithubSignIn({ ...deps, clientSecret: new Secret('canary-secret') });
    const outcome = await signIn
      .identify({ code: 'canary-code', verifier: 'canary-verifier' }, signal)
      .catch((error: unknown) => error);
    return { seen, outcome };
  };
  const token = [200, '{"access_token":"canary-token","token_type":"bearer"}'] as const;

  it.each([
    ['a page of a proxy', [[200, '<html>canary']], 'GITHUB_ANSWER_INVALID'],
    ['a token that is none', [[200, '{"access_token":7}']], 'GITHUB_ANSWER_INVALID'],
    ['a fault', [[502, 'canary']], 'GITHUB_FAULT'],
    ['a limit', [[429, '{"message":"canary-secret canary-code"}']], 'GITHUB_RATE_LIMITED'],
    ['an error of its own', [[200, '{"error":"canary\\u001b[31m"}']], 'GITHUB_UNAUTHORISED'],
    ['a user without an id', [token, [200, '{"login":"canary-token"}']], 'GITHUB_ANSWER_INVALID'],
    [
      'a token that it does not take itself',
      [token, [401, '{"message":"canary-token"}']],
      'GITHUB_UNAUTHORISED',
    ],
    ['an id that is a text', [token, [200, '{"login":"x","id":"7"}']], 'GITHUB_ANSWER_INVALID'],
  ] as const)('is told apart: %s; and nothing secret is told of it', async (_name, answers, code) => {
    const { outcome, seen } = await scripted(...answers);
    expect(outcome).toMatchObject({ code });
    expect(inspect(outcome, { depth: null })).not.toMatch(/canary-(?:secret|code|verifier|token)/);
    // A code is good once: nothing is asked twice.
    expect(seen).toHaveLength(answers.length);
  });

  it('is sent what belongs to it, and the secret in no address', async () => {
    const { outcome, seen } = await scripted(token, [200, '{"login":"x","id":7,"type":"User"}']);
    expect(outcome).toMatchObject({ kind: 'known', user: { id: 7 } });
    expect(seen[0]).toMatch(/^POST \/login\/oauth\/access_token client_id=a&client_secret=canary-secret&/);
    expect(seen[1]).toBe('GET /api/user ');
  });
});
