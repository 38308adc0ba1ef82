// What a push is about: what was asked for, and all that it refers to.
import type { StorePath } from '@eka-ci/core/ids';
import type { PathInfo } from '@eka-ci/nix/store-queries';
import { CacheError } from './cache.ts';
import type { CacheDeps } from './cache-deps.ts';
import { refused } from './push-fault.ts';

/** @throws CacheError `no-such-path` where one of `paths` is not in the store; StoreQueryError; the signal's reason */
export const closureOf = async (
  { queries }: Pick<CacheDeps, 'queries'>,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<ReadonlyMap<StorePath, PathInfo>> => {
  signal.throwIfAborted();
  const closure = await queries({ signal }).queryClosure(paths);
  signal.throwIfAborted();
  const lost = paths.find((path) => !closure.has(path));
  if (lost === undefined) return closure;
  throw new CacheError(refused('no-such-path', `${lost} is not in the store of this server any more`));
};
