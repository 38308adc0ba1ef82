// GitHub as a forge that people sign in with: its web flow for OAuth, with the proof that the code is ours (PKCE).
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#web-application-flow
import { z } from 'zod';
import { Secret } from '../../config/secret.ts';
import type { ForgeSignIn, Identification, SignInProof } from '../forge-sign-in.ts';
import { exchange, type WireRequest } from './exchange.ts';
import { GithubError } from './github-error.ts';
import { User } from './github-schema.ts';
import { judgeAnswer } from './judge-answer.ts';
import { readAnswer } from './read-answer.ts';

export interface GithubSignInDeps {
  /** Without a slash at the end: `https://github.com`. */
  readonly webUrl: string;
  readonly apiUrl: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** Where GitHub sends the browser back to. */
  readonly redirectUrl: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly fetch?: typeof globalThis.fetch;
  /** Of one request; somebody waits for it. @default 10,000 */
  readonly timeoutMs?: number;
}

const maxAnswerBytes = 1024 * 1024;

/** GitHub says 200 to what it refuses as well. */
const TokenAnswer = z.union([
  z.object({ error: z.string().max(200) }),
  z.object({ access_token: z.string().min(1).max(4096) }),
]);

/** https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors */
const advice: Readonly<Record<string, string>> = {
  incorrect_client_credentials: 'check oauth.client_id and oauth.client_secret',
  redirect_uri_mismatch: 'make oauth.redirect_url the callback URL that the app has at GitHub',
  application_suspended: 'GitHub has suspended the app that users sign in with: ask its support',
};

/** Errors of the code itself: whoever brought it has to begin anew. */
const codeErrors: ReadonlySet<string> = new Set(['bad_verification_code', 'unverified_user_email']);

interface Asking {
  readonly operation: string;
  readonly request: WireRequest;
  /** None of them is in any message. */
  readonly secrets: readonly string[];
}

/** Asks once. @throws GithubError; the signal's reason where that aborted */
const ask = async <T>(
  { fetch = globalThis.fetch, timeoutMs = 10_000, apiUrl, clock }: GithubSignInDeps,
  { operation, request, secrets }: Asking,
  { schema, signal }: { readonly schema: z.ZodType<T>; readonly signal: AbortSignal },
): Promise<T> => {
  const result = await exchange(request, { fetch, timeoutMs, maxAnswerBytes, signal });
  if (result.kind === 'no-answer') {
    const message = `${operation}: GitHub does not answer: is it reached from this machine?`;
    throw new GithubError('GITHUB_UNREACHABLE', message, { cause: result.cause });
  }
  const hide = (text: string): string =>
    secrets.reduce((shown, one) => shown.replaceAll(one, '[redacted]'), text);
  const judged = judgeAnswer(result, { operation, nowMs: clock(), hide });
  if (judged.kind !== 'taken') throw judged.error;
  return readAnswer({ operation, schema }, result, { apiUrl, kept: null, keep: () => {} }).value;
};

/** @returns null where the code is not taken */
const redeem = async (
  deps: GithubSignInDeps,
  { code, verifier }: SignInProof,
  signal: AbortSignal,
): Promise<Secret | null> => {
  const { webUrl, clientId, clientSecret, redirectUrl } = deps;
  const secret = clientSecret.reveal();
  const form = new URLSearchParams({
    ...{ client_id: clientId, client_secret: secret, redirect_uri: redirectUrl },
    ...{ code, code_verifier: verifier },
  });
  const request = {
    method: 'POST',
    url: `${webUrl}/login/oauth/access_token`,
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': 'EkaCI',
    },
    body: form.toString(),
  };
  const operation = 'sign-in.redeem';
  const asking = { operation, request, secrets: [secret, code, verifier] };
  const answer = await ask(deps, asking, { schema: TokenAnswer, signal });
  if ('access_token' in answer) return new Secret(answer.access_token);
  if (codeErrors.has(answer.error)) return null;
  const says = JSON.stringify(answer.error.replace(/[^\w-]/g, ' '));
  const todo = advice[answer.error] ?? 'check the app that users sign in with';
  throw new GithubError('GITHUB_UNAUTHORISED', `${operation}: GitHub says ${says}: ${todo}`);
};

const whoHas = (deps: GithubSignInDeps, token: Secret, signal: AbortSignal) =>
  ask(
    deps,
    {
      operation: 'sign-in.user',
      request: {
        method: 'GET',
        url: `${deps.apiUrl}/user`,
        headers: {
          accept: 'application/vnd.github+json',
          'x-github-api-version': '2022-11-28',
          'user-agent': 'EkaCI',
          authorization: `Bearer ${token.reveal()}`,
        },
      },
      secrets: [token.reveal()],
    },
    { schema: User, signal },
  );

export const createGithubSignIn = (deps: GithubSignInDeps): ForgeSignIn => {
  const { webUrl, clientId, redirectUrl } = deps;
  return {
    kind: 'github',
    host: new URL(webUrl).host.toLowerCase(),
    addressOf({ state, challenge }) {
      // No scope: who somebody is anybody may know, and nothing else is asked for in their name.
      const query = new URLSearchParams({
        ...{ client_id: clientId, redirect_uri: redirectUrl, state },
        ...{ code_challenge: challenge, code_challenge_method: 'S256' },
      });
      return `${webUrl}/login/oauth/authorize?${query.toString()}`;
    },
    async identify(proof, signal): Promise<Identification> {
      const token = await redeem(deps, proof, signal);
      if (token === null) return { kind: 'refused' };
      return { kind: 'known', user: await whoHas(deps, token, signal) };
    },
  };
};
