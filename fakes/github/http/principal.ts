// Who asks: an app by its signed token, an installation, a person, or nobody.
import { verify } from 'node:crypto';
import type { Account, App, Installation, Token } from '../state/entities.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';
import type { Requester } from './rate-limits.ts';

export type Principal =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'app'; readonly app: App }
  | {
      readonly kind: 'installation';
      readonly app: App;
      readonly installation: Installation;
      readonly token: Extract<Token, { kind: 'installation' }>;
    }
  | { readonly kind: 'user'; readonly user: Account; readonly app: App | null };

export const namePrincipal = (principal: Principal): string => {
  switch (principal.kind) {
    case 'nobody':
      return 'nobody';
    case 'app':
      return `app ${principal.app.id}`;
    case 'installation':
      return `installation ${principal.installation.id}`;
    case 'user':
      return `user ${principal.user.login}`;
  }
};

export const requesterOf = (principal: Principal): Requester => ({
  key: namePrincipal(principal),
  limit: principal.kind === 'nobody' ? 60 : 5000,
});

const badCredentials = (): Refusal => new Refusal(401, 'Bad credentials');
const undecodable = (): Refusal => new Refusal(401, 'A JSON web token could not be decoded');

interface Claims {
  readonly iss?: unknown;
  readonly iat?: unknown;
  readonly exp?: unknown;
}

const readPart = (part: string): unknown => {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    throw undecodable();
  }
};

/** GitHub bears clocks that differ by so much. */
const clockDriftS = 60;
const longestS = 600;

const checkTimes = ({ iat, exp }: Claims, nowS: number): void => {
  if (!Number.isInteger(exp) || Number(exp) <= nowS)
    throw new Refusal(
      401,
      `'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires`,
    );
  if (Number(exp) > nowS + longestS)
    throw new Refusal(401, `'Expiration time' claim ('exp') is too far in the future`);
  if (!Number.isInteger(iat) || Number(iat) > nowS + clockDriftS)
    throw new Refusal(
      401,
      `'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued`,
    );
};

/** @throws Refusal as GitHub words what is wrong with an app's token */
const readAppToken = (world: World, jwt: string): App => {
  const [head = '', payload = '', signature = ''] = jwt.split('.');
  const { alg } = (readPart(head) ?? {}) as { readonly alg?: unknown };
  const claims = (readPart(payload) ?? {}) as Claims;
  if (alg !== 'RS256') throw undecodable();
  const app = [...world.apps.values()].find(
    ({ id, clientId }) => String(claims.iss) === String(id) || claims.iss === clientId,
  );
  if (app === undefined) throw new Refusal(404, 'Integration not found');
  const signed = Buffer.from(`${head}.${payload}`);
  if (!verify('RSA-SHA256', signed, app.publicKey, Buffer.from(signature, 'base64url'))) throw undecodable();
  checkTimes(claims, Math.floor(world.clock.now() / 1000));
  return app;
};

/** Whoever a token was given to, if it still holds. */
export const resolveToken = (world: World, text: string): Principal => {
  const token = world.tokens.get(text);
  if (token === undefined) throw badCredentials();
  if (token.expiresAtMs !== null && token.expiresAtMs <= world.clock.now()) throw badCredentials();
  if (token.kind === 'user') {
    const app = token.appId === null ? null : mustGet(world.apps, token.appId);
    return { kind: 'user', user: mustGet(world.accounts, token.userId), app };
  }
  const installation = world.installations.get(token.installationId);
  if (installation === undefined) throw badCredentials();
  if (installation.suspended !== null) throw new Refusal(403, 'This installation has been suspended');
  return { kind: 'installation', app: mustGet(world.apps, installation.appId), installation, token };
};

export const readPrincipal = (world: World, authorization: string | undefined): Principal => {
  if (authorization === undefined) return { kind: 'nobody' };
  const [scheme = '', credentials = ''] = authorization.split(' ');
  switch (scheme.toLowerCase()) {
    case 'bearer':
    case 'token':
      return credentials.split('.').length === 3
        ? { kind: 'app', app: readAppToken(world, credentials) }
        : resolveToken(world, credentials);
    case 'basic': {
      const [user = '', password = ''] = Buffer.from(credentials, 'base64').toString('utf8').split(':');
      const app = [...world.apps.values()].find(({ clientId }) => clientId === user);
      if (app !== undefined && app.clientSecret === password) return { kind: 'app', app };
      return resolveToken(world, password === '' || password === 'x-oauth-basic' ? user : password);
    }
    default:
      throw badCredentials();
  }
};
