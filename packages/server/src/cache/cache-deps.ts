// What every driver is made from.
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { DestinationGuard } from '../config/destination-guard.ts';
import type { CacheCredentials } from '../credentials/cache-credentials.ts';

export interface CacheSettings {
  readonly id: string;
  /** As in ekaci.toml: a URL, or the bare name of a Cachix cache. */
  readonly destination: string;
  /** Of one push, all that belongs to it included. */
  readonly timeoutMs: number;
}

export interface CacheDeps {
  /** The store that is pushed from. */
  readonly nix: NixInstallation;
  /** Asks that store. */
  readonly queries: (asking: { readonly signal: AbortSignal }) => Pick<StoreQueries, 'queryClosure'>;
  readonly credentials: CacheCredentials;
  readonly guard: DestinationGuard;
}
