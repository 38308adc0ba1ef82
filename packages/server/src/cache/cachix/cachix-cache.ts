// A cache at Cachix, written by `cachix push <name>`: it reads paths from standard input where its arguments name none, and
// its secrets from the environment (docs.cachix.org, "Pushing" and "Getting started").
import { basicAuthorization, revealedWord } from '../authorization.ts';
import { type Cache, CacheError } from '../cache.ts';
import type { CacheDeps, CacheSettings } from '../cache-deps.ts';
import { createHostedCache, type HostedKind } from '../hosted-cache.ts';
import { refused } from '../push-fault.ts';
import { readSigningKey } from '../signing-key.ts';

export interface CachixDeps extends CacheDeps {
  /** Of the cache, with a slash at its end. @default https://<name>.cachix.org/ */
  readonly base?: string;
}

type Values = Parameters<HostedKind['authorizeBy']>[0];

/** Cachix wants it without the name that Nix puts before it. */
const signingKeyOf = (values: Values): string | undefined => {
  const key = readSigningKey(values);
  return revealedWord(values, 'CACHIX_SIGNING_KEY') ?? key?.slice(key.indexOf(':') + 1);
};

const environmentOf = (values: Values): Record<string, string> => {
  const token = revealedWord(values, 'CACHIX_AUTH_TOKEN');
  const key = signingKeyOf(values);
  if (token === undefined && key === undefined) {
    throw new CacheError(
      refused('credentials', 'its credentials have neither CACHIX_AUTH_TOKEN nor CACHIX_SIGNING_KEY'),
    );
  }
  return {
    ...(token !== undefined && { CACHIX_AUTH_TOKEN: token }),
    ...(key !== undefined && { CACHIX_SIGNING_KEY: key }),
  };
};

/** @param settings their destination is the bare name of the cache */
export const createCachixCache = (settings: CacheSettings, deps: CachixDeps): Cache => {
  const name = settings.destination;
  return createHostedCache(settings, deps, {
    program: 'cachix',
    base: deps.base ?? `https://${name}.cachix.org/`,
    authorizeBy: (values) => {
      const token = environmentOf(values)['CACHIX_AUTH_TOKEN'];
      // A private cache is read with the token for a password, as from a netrc file.
      return token === undefined ? () => ({}) : basicAuthorization('', token);
    },
    runsFor: async ({ paths, values }) => [
      { args: ['push', name], env: environmentOf(values), stdin: `${paths.join('\n')}\n` },
    ],
  });
};
