// A part of the composition root that is loaded without the rest of the server: names the drivers of caches.
import { createAtticCache } from './cache/attic/attic-cache.ts';
import type { Cache } from './cache/cache.ts';
import type { CacheDeps } from './cache/cache-deps.ts';
import { createCachixCache } from './cache/cachix/cachix-cache.ts';
import { createNixCopyCache } from './cache/nix-copy/nix-copy-cache.ts';
import type { ServerConfig } from './config/server-config.ts';
import { createCacheCredentials } from './credentials/cache-credentials.ts';
import type { Credentials } from './credentials/credentials.ts';

/** @param entry as ekaci.toml has it */
export const openCache = (
  entry: ServerConfig['caches'][number],
  { credentials, ...surroundings }: Omit<CacheDeps, 'credentials'> & { readonly credentials: Credentials },
): Cache => {
  const { id, destination, credentials: source } = entry;
  const settings = { id, destination, timeoutMs: entry.timeout_seconds * 1000 };
  const deps = { ...surroundings, credentials: createCacheCredentials(credentials, { source, destination }) };
  switch (entry.cache_type) {
    case 'nix-copy':
      return createNixCopyCache(settings, deps);
    case 'cachix':
      return createCachixCache(settings, deps);
    case 'attic':
      return createAtticCache(settings, deps);
  }
};
