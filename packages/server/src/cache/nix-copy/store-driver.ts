// One way to reach a store that `nix copy` writes to.
import type { StorePath } from '@eka-ci/core/ids';
import type { CacheHealth, PushOutcome, PushRequest } from '../cache.ts';
import type { CacheDeps } from '../cache-deps.ts';

export interface StoreDriverDeps extends CacheDeps {
  readonly destination: string;
}

/** As the methods of a cache; each may throw CacheError and what its parts throw. */
export interface StoreDriver {
  present(paths: readonly StorePath[], signal: AbortSignal): Promise<ReadonlySet<StorePath>>;
  push(request: PushRequest, signal: AbortSignal): Promise<PushOutcome>;
  check(signal: AbortSignal): Promise<CacheHealth>;
}
