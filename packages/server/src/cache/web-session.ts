// One conversation with a cache over HTTP: its credentials as they are now, its address as it is now.
import type { LoadedCredentials } from '../credentials/credentials.ts';
import type { CacheDeps } from './cache-deps.ts';
import { type Authorize, openWebClient, type WebClient } from './web-client.ts';

export interface WebPlace {
  /** Where narinfos are; with a slash at its end. */
  readonly base: string;
  /** @throws CacheError where the credentials lack something */
  authorizeBy(values: LoadedCredentials['values']): Authorize;
}

export interface WebSession {
  readonly client: WebClient;
  readonly values: LoadedCredentials['values'];
  readonly base: string;
  readonly storeDir: string;
}

export interface WebSessionDeps extends CacheDeps {
  readonly place: WebPlace;
  /** What the guard judges. */
  readonly destination: string;
}

/** @throws CacheError, CredentialError; the signal's reason; what `work` throws */
export const withWebSession = async <Result>(
  { nix, guard, credentials, place, destination }: WebSessionDeps,
  signal: AbortSignal,
  work: (session: WebSession) => Promise<Result>,
): Promise<Result> => {
  const { base } = place;
  const { values } = await credentials.load(signal);
  const client = await openWebClient(
    {
      guard,
      destination,
      origin: new URL(base).origin,
      authorize: place.authorizeBy(values),
      certificatesFile: nix.env['NIX_SSL_CERT_FILE'],
    },
    signal,
  );
  try {
    return await work({ client, values, base, storeDir: nix.storeDir });
  } finally {
    client.close();
  }
};
