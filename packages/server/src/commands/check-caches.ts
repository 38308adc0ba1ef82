// The caches of ekaci.toml, as `--check-config` shows them: whether each answers, and whether what pushes to it is installed.
// Nothing is sent.
import { findNix, type NixInstallation, NixNotFoundError } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createDestinationGuard } from '../config/destination-guard.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { CredentialError } from '../credentials/credential-error.ts';
import type { Credentials } from '../credentials/credentials.ts';
import type { ConfigReport } from './config-report.ts';

type Listed = Pick<ServerConfig, 'caches' | 'security'>;

export interface CacheSurroundings {
  readonly credentials: Credentials;
  readonly env: NodeJS.ProcessEnv;
}

const nothing: ConfigReport = { found: '', warnings: [], errors: [] };

const checkCache = async (
  nix: NixInstallation,
  entry: Listed['caches'][number],
  { config, credentials }: { readonly config: Listed; readonly credentials: Credentials },
): Promise<ConfigReport> => {
  const name = `caches ${JSON.stringify(entry.id)}`;
  const { signal } = new AbortController();
  const { openCache } = await import('../open-cache.ts');
  try {
    await credentials.load(entry.credentials, signal);
  } catch (error) {
    // What its source lacks is told where sources are.
    if (error instanceof CredentialError) return nothing;
    throw error;
  }
  const guard = createDestinationGuard({ allowPrivate: config.security.allow_private_cache_hosts });
  const cache = openCache(entry, {
    nix,
    queries: (asking) => createStoreQueries(nix, asking),
    credentials,
    guard,
  });
  const health = await cache.check(signal);
  if (health.kind === 'faulty') {
    const told = [`${name}: ${health.why}`];
    return health.isPassing ? { ...nothing, warnings: told } : { ...nothing, errors: told };
  }
  return { ...nothing, found: `${name}: ${entry.cache_type} to ${entry.destination}: ${health.about}\n` };
};

export const checkCaches = async (
  config: Listed,
  { credentials, env }: CacheSurroundings,
): Promise<ConfigReport> => {
  if (config.caches.length === 0) return nothing;
  let nix: NixInstallation;
  try {
    nix = await findNix(env);
  } catch (error) {
    if (!(error instanceof NixNotFoundError)) throw error;
    return { ...nothing, errors: [`caches: ${error.message}`] };
  }
  const reports = await Promise.all(
    config.caches.map((entry) => checkCache(nix, entry, { config, credentials })),
  );
  return {
    found: reports.map(({ found }) => found).join(''),
    warnings: reports.flatMap(({ warnings }) => warnings),
    errors: reports.flatMap(({ errors }) => errors),
  };
};
