// Looks, right before something is sent, where a destination leads now.
import type { DestinationGuard } from '../config/destination-guard.ts';
import { CacheError } from './cache.ts';
import { passing, refused } from './push-fault.ts';

/**
 * The addresses that were judged; empty where nothing was resolved. A program that resolves the name again may be told others
 * by a DNS server that means harm, and follows redirects by itself: only what this process asks itself is pinned to them.
 * @throws CacheError; the signal's reason
 */
export const checkDestination = async (
  guard: DestinationGuard,
  url: string,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const judged = await guard.check(url, signal);
  switch (judged.kind) {
    case 'allowed':
      return judged.addresses;
    case 'refused':
      throw new CacheError(refused('destination', `its destination ${judged.why}`));
    case 'unresolved':
      throw new CacheError(passing(judged.why));
  }
};
