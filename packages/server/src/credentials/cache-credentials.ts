// The secrets of a cache: those of its source, unless they are of a kind that its destination cannot use.
import type { CredentialSource } from '../config/credential-source.ts';
import { CredentialError } from './credential-error.ts';
import type { Credentials, LoadedCredentials } from './credentials.ts';

export interface CacheSource {
  readonly source: CredentialSource;
  /** As `caches[].destination`. */
  readonly destination: string;
}

/** A sentence each; none where they fit. */
export const describeUnfit = (
  { source, destination }: CacheSource,
  { values }: Pick<LoadedCredentials, 'values'>,
): readonly string[] => {
  const isS3 = /^s3:/i.test(destination);
  if (!isS3 || source.kind !== 'instance-metadata' || values.has('AWS_ACCESS_KEY_ID')) return [];
  const given = [...values.keys()].join(', ');
  return [
    `an s3: cache needs AWS keys, and the metadata service of this machine gives ${given}: use aws-profile, env, file, vault or aws-secrets-manager`,
  ];
};

/** What a cache asks for its secrets. */
export interface CacheCredentials {
  /** @throws CredentialError; the signal's reason */
  load(signal: AbortSignal): Promise<LoadedCredentials>;
  /** The cache refuses them. */
  forget(): void;
}

export const createCacheCredentials = (credentials: Credentials, cache: CacheSource): CacheCredentials => ({
  load: async (signal) => {
    const loaded = await credentials.load(cache.source, signal);
    const [unfit] = describeUnfit(cache, loaded);
    if (unfit !== undefined) throw new CredentialError('CREDENTIAL_UNFIT', unfit);
    return loaded;
  },
  forget: () => credentials.forget(cache.source),
});
