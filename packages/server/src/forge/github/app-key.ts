// How an app proves to GitHub who it is: a JWT that lives for minutes, signed with the app's private key.
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { Secret } from '../../config/secret.ts';
import type { GithubIdentity } from './github-client.ts';
import { GithubError } from './github-error.ts';

/** What the credentials of an app give. */
export interface AppCredentials {
  /** `GITHUB_APP_ID`: a number, or the client id. */
  readonly appId: string;
  /** `GITHUB_APP_PRIVATE_KEY`: PEM, PKCS#1 as GitHub makes it or PKCS#8. */
  readonly privateKey: Secret;
}

const keyInvalid = (app: string, what: string): GithubError =>
  new GithubError(
    'GITHUB_APP_KEY_INVALID',
    `github_apps ${JSON.stringify(app)}: ${what}: make a private key in the settings of the GitHub App, and name it whole`,
  );

/** What an app needs of the secrets that its credential source gives. @throws GithubError GITHUB_APP_KEY_INVALID */
export const pickAppCredentials = (app: string, values: ReadonlyMap<string, Secret>): AppCredentials => {
  const pick = (name: string): Secret => {
    const value = values.get(name);
    if (value === undefined) throw keyInvalid(app, `its credentials give no ${name}`);
    return value;
  };
  return { appId: pick('GITHUB_APP_ID').reveal().trim(), privateKey: pick('GITHUB_APP_PRIVATE_KEY') };
};

const leastBits = 2048;

const readKey = (app: string, pem: Secret): KeyObject => {
  let key: KeyObject;
  try {
    // Variables often carry the lines of a PEM as `\n`.
    key = createPrivateKey(pem.reveal().replaceAll(String.raw`\n`, '\n'));
  } catch {
    // What the parser says is of no help, and its cause could quote the key.
    throw keyInvalid(app, 'GITHUB_APP_PRIVATE_KEY is no private key in PEM');
  }
  if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < leastBits) {
    throw keyInvalid(app, `GITHUB_APP_PRIVATE_KEY is no RSA key of ${leastBits} bits or more`);
  }
  return key;
};

/** Back in time, as GitHub asks for, against clocks that differ a little. */
const issuedBeforeMs = 60_000;
/** GitHub takes at most 10 minutes, by its own clock. */
const lifeMs = 8 * 60_000;
/** One that ends sooner is not used any more. */
const leastLeftMs = 2 * 60_000;

export interface AppIdentityDeps {
  /** The app's id in ekaci.toml. */
  readonly app: string;
  /** Asked again for each JWT: credentials change while the server runs. */
  readonly loadCredentials: () => Promise<AppCredentials>;
  /** GitHub does not take them: what was kept of them is to be asked for again. */
  readonly forgetCredentials?: () => void;
  readonly clock: () => number;
}

/** Numbers are what the API calls an id; a client id begins with letters. */
const appIdForm = /^[A-Za-z0-9._-]{1,100}$/;

/** The app itself, for what needs no installation. */
export const createAppIdentity = ({
  app,
  loadCredentials,
  forgetCredentials,
  clock,
}: AppIdentityDeps): GithubIdentity => {
  /** By how much GitHub's clock is ahead of ours; what it said last. */
  let skewMs = 0;
  let held: { readonly jwt: Secret; readonly usableUntilMs: number } | null = null;
  const sign = async (): Promise<Secret> => {
    const { appId, privateKey } = await loadCredentials();
    if (!appIdForm.test(appId)) throw keyInvalid(app, 'GITHUB_APP_ID is no id of an app');
    const nowMs = clock() + skewMs;
    // Only a server with an app needs it.
    const { SignJWT } = await import('jose');
    const jwt = await new SignJWT()
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(appId)
      .setIssuedAt(Math.floor((nowMs - issuedBeforeMs) / 1000))
      .setExpirationTime(Math.floor((nowMs + lifeMs) / 1000))
      .sign(readKey(app, privateKey));
    held = { jwt: new Secret(jwt), usableUntilMs: clock() + lifeMs - leastLeftMs };
    return held.jwt;
  };
  return {
    name: `app ${app}`,
    token: async () => {
      // A clock that was set back makes it look younger than it is: no older one than a life is used.
      const leftMs = (held?.usableUntilMs ?? 0) - clock();
      return held !== null && leftMs > 0 && leftMs <= lifeMs ? held.jwt : await sign();
    },
    refused: (token, says, { skewMs: theirs }) => {
      const isNewer = held !== null && held.jwt !== token;
      held = isNewer ? held : null;
      // GitHub names the claim that it finds in the wrong time.
      if (/'?\b(?:exp|iat)\b'?/i.test(says) && theirs !== null) {
        skewMs = theirs;
        return true;
      }
      if (!isNewer) forgetCredentials?.();
      return isNewer;
    },
  };
};
