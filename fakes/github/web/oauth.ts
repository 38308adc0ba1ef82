// Signing in by GitHub: the web flow, with the proof that the code goes to whoever asked for it (PKCE).
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Account, App } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import type { World } from '../state/world.ts';

const codeLifeMs = 600_000;
const tokenLifeS = 28_800;
const refreshLifeS = 15_897_600;

interface Grant {
  readonly appId: number;
  readonly userId: number;
  readonly redirectUri: string | null;
  readonly challenge: string | null;
  readonly expiresAtMs: number;
}

/** What the browser gets: a redirect, or a page. */
export type Page =
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'page'; readonly status: number; readonly html: string };

export interface OAuth {
  /** Whose browser it is; null: the page asks. `deny`: they press *Cancel*. */
  setBrowser(user: Account | null, deny: boolean): void;
  /** `GET /login/oauth/authorize`; `as` is the login that the fake's own page adds. */
  authorize(query: URLSearchParams): Page;
  /** `POST /login/oauth/access_token`. Errors are 200 too, as GitHub has them. */
  exchange(form: URLSearchParams): JsonObject;
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const fail = (error: string, description: string): JsonObject => ({
  error,
  error_description: description,
  error_uri:
    'https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/',
});

/** The host and the port are the same, and the path is below the one that was registered. */
const isAllowed = (app: App, uri: string): boolean =>
  app.callbackUrls.some((registered) => {
    if (!URL.canParse(uri)) return false;
    const [wanted, known] = [new URL(uri), new URL(registered)];
    return wanted.origin === known.origin && wanted.pathname.startsWith(known.pathname);
  });

const sameText = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};

const provesChallenge = (challenge: string | null, verifier: string | null): boolean => {
  if (challenge === null) return true;
  if (verifier === null) return false;
  return sameText(createHash('sha256').update(verifier).digest('base64url'), challenge);
};

const choosePage = (world: World, query: URLSearchParams): Page => {
  const links = [...world.accounts.values()]
    .filter(({ kind }) => kind === 'User')
    .map(({ login }) => {
      const parameters = new URLSearchParams(query);
      parameters.set('as', login);
      return `<li><a href="/login/oauth/authorize?${escapeHtml(parameters.toString())}">${escapeHtml(login)}</a></li>`;
    });
  const html = `<!doctype html><title>Fake GitHub</title><h1>Sign in as</h1><ul>${links.join('')}</ul>`;
  return { kind: 'page', status: 200, html };
};

export const createOAuth = (world: World): OAuth => {
  const codes = new Map<string, Grant>();
  const refreshes = new Map<
    string,
    { readonly appId: number; readonly userId: number; readonly expiresAtMs: number }
  >();
  let browser: { readonly user: Account | null; readonly deny: boolean } = { user: null, deny: false };

  const findApp = (clientId: string | null): App | undefined =>
    [...world.apps.values()].find((app) => app.clientId === clientId);

  const issue = (appId: number, userId: number): JsonObject => {
    const now = world.clock.now();
    const token = `ghu_${randomBytes(18).toString('hex')}`;
    const refresh = `ghr_${randomBytes(38).toString('hex')}`;
    world.tokens.set(token, { kind: 'user', userId, appId, expiresAtMs: now + tokenLifeS * 1000 });
    refreshes.set(refresh, { appId, userId, expiresAtMs: now + refreshLifeS * 1000 });
    return {
      access_token: token,
      expires_in: tokenLifeS,
      refresh_token: refresh,
      refresh_token_expires_in: refreshLifeS,
      token_type: 'bearer',
      scope: '',
    };
  };

  const refresh = (app: App, text: string): JsonObject => {
    const known = refreshes.get(text);
    refreshes.delete(text);
    if (known === undefined || known.appId !== app.id || known.expiresAtMs <= world.clock.now())
      return fail('bad_refresh_token', 'The refresh token passed is incorrect or expired.');
    return issue(app.id, known.userId);
  };

  const redeem = (app: App, form: URLSearchParams): JsonObject => {
    const code = form.get('code') ?? '';
    const grant = codes.get(code);
    codes.delete(code); // Whatever comes of it: a code is good for one attempt.
    const isGood =
      grant !== undefined &&
      grant.appId === app.id &&
      grant.expiresAtMs > world.clock.now() &&
      provesChallenge(grant.challenge, form.get('code_verifier'));
    if (!isGood) return fail('bad_verification_code', 'The code passed is incorrect or expired.');
    const uri = form.get('redirect_uri');
    if (uri !== null && uri !== grant.redirectUri)
      return fail(
        'redirect_uri_mismatch',
        'The redirect_uri MUST match the registered callback URL for this application.',
      );
    return issue(app.id, grant.userId);
  };

  const grantCode = (app: App, user: Account, query: URLSearchParams): string => {
    const code = randomBytes(10).toString('hex');
    codes.set(code, {
      appId: app.id,
      userId: user.id,
      redirectUri: query.get('redirect_uri'),
      challenge: query.get('code_challenge'),
      expiresAtMs: world.clock.now() + codeLifeMs,
    });
    return code;
  };

  return {
    setBrowser: (user, deny) => {
      browser = { user, deny };
    },
    authorize: (query) => {
      const app = findApp(query.get('client_id'));
      if (app === undefined) return { kind: 'page', status: 404, html: 'Not Found' };
      const uri = query.get('redirect_uri') ?? app.callbackUrls[0] ?? null;
      if (uri === null || !isAllowed(app, uri))
        return {
          kind: 'page',
          status: 400,
          html: 'The redirect_uri is not associated with this application.',
        };
      const target = new URL(uri);
      const state = query.get('state');
      if (state !== null) target.searchParams.set('state', state);
      const method = query.get('code_challenge_method');
      if (query.has('code_challenge') && method !== 'S256')
        return { kind: 'page', status: 400, html: 'The code_challenge_method must be S256.' };
      if (browser.deny) {
        target.searchParams.set('error', 'access_denied');
        target.searchParams.set('error_description', 'The user has denied your application access.');
        return { kind: 'redirect', location: target.href };
      }
      const login = query.get('as');
      const named = [...world.accounts.values()].find((one) => one.kind === 'User' && one.login === login);
      const user = named ?? browser.user;
      if (user === null) return choosePage(world, query);
      target.searchParams.set('code', grantCode(app, user, query));
      return { kind: 'redirect', location: target.href };
    },
    exchange: (form) => {
      const app = findApp(form.get('client_id'));
      if (app === undefined || !sameText(form.get('client_secret') ?? '', app.clientSecret))
        return fail(
          'incorrect_client_credentials',
          'The client_id and/or client_secret passed are incorrect.',
        );
      return form.get('grant_type') === 'refresh_token'
        ? refresh(app, form.get('refresh_token') ?? '')
        : redeem(app, form);
    },
  };
};
