// Looks where a URL leads right before it is used: names are resolved then, and every address must be public.
import { lookup as lookUpName } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { errorCodeOf } from '../lib/error-code.ts';
import { addressFault, destinationFault, readDestination } from './destination.ts';

export type DestinationJudgement =
  /**
   * `addresses`: all that was judged, for `pinnedLookup`: who resolves the name again may get others. Empty where nothing
   * was resolved: a bucket of a service's own, a file, a guard that is off.
   */
  | { readonly kind: 'allowed'; readonly addresses: readonly string[] }
  | { readonly kind: 'refused'; readonly why: string }
  /** May be another answer in a moment. */
  | { readonly kind: 'unresolved'; readonly why: string };

export interface DestinationGuard {
  /**
   * Judges the host of a URL, and that of its `endpoint=` parameter, as they resolve now. One address that is not public
   * among public ones refuses all.
   * @throws the signal's reason
   */
  check(url: string, signal: AbortSignal): Promise<DestinationJudgement>;
}

export interface DestinationGuardDeps {
  /** `security.allow_private_cache_hosts`: nothing is refused, and nothing resolved. */
  readonly allowPrivate: boolean;
  /** Every address of a name. @default as the system resolves it, its hosts file included */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
}

const longestLookupMs = 20_000;

const lookUpAll = async (name: string): Promise<string[]> => {
  const found = await lookUpName(name, { all: true });
  return found.map(({ address }) => address);
};

/** Rejects with the signal's reason as soon as there is one: a lookup cannot be ended. */
const orAborted = async <Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> => {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    work.catch(() => {});
  }
};

type Resolving = Required<Pick<DestinationGuardDeps, 'lookup'>>;

const resolve = async (
  { lookup }: Resolving,
  host: string,
  signal: AbortSignal,
): Promise<DestinationJudgement> => {
  if (isIP(host) !== 0) return { kind: 'allowed', addresses: [host] };
  const late = AbortSignal.timeout(longestLookupMs);
  try {
    const addresses = await orAborted(lookup(host), AbortSignal.any([signal, late]));
    if (addresses.length > 0) return { kind: 'allowed', addresses };
    return { kind: 'unresolved', why: `${host} has no address` };
  } catch (error) {
    signal.throwIfAborted();
    const why = late.aborted
      ? `no answer in ${longestLookupMs / 1000} s`
      : errorCodeOf(error) || String(error);
    return {
      kind: 'unresolved',
      why: `${host} cannot be resolved (${why}): is the name right, and does DNS answer?`,
    };
  }
};

const checkHost = async (
  resolving: Resolving,
  host: string,
  signal: AbortSignal,
): Promise<DestinationJudgement> => {
  const resolved = await resolve(resolving, host, signal);
  if (resolved.kind !== 'allowed') return resolved;
  const fault = resolved.addresses.map(addressFault).find((one) => one !== null);
  return fault === undefined ? resolved : { kind: 'refused', why: `${host} ${fault}` };
};

export const createDestinationGuard = (deps: DestinationGuardDeps): DestinationGuard => {
  const { allowPrivate, lookup = lookUpAll } = deps;
  return {
    check: async (url, signal) => {
      signal.throwIfAborted();
      const why = destinationFault(url, allowPrivate);
      if (why !== null) return { kind: 'refused', why };
      const destination = readDestination(url);
      if (allowPrivate || destination.kind !== 'remote') return { kind: 'allowed', addresses: [] };
      const addresses: string[] = [];
      for (const host of destination.hosts) {
        const judged = await checkHost({ lookup }, host, signal);
        if (judged.kind !== 'allowed') return judged;
        addresses.push(...judged.addresses);
      }
      return { kind: 'allowed', addresses };
    },
  };
};

export type RedirectJudgement =
  | { readonly kind: 'allowed'; readonly url: string; readonly addresses: readonly string[] }
  | Exclude<DestinationJudgement, { kind: 'allowed' }>;

/**
 * Judges where an HTTP answer sends us, as `location` says it: never from https to http.
 * @throws the signal's reason
 */
export const checkRedirect = async (
  guard: DestinationGuard,
  { from, location }: { readonly from: string; readonly location: string },
  signal: AbortSignal,
): Promise<RedirectJudgement> => {
  const target = URL.parse(location, from);
  const isWeb = target?.protocol === 'https:' || target?.protocol === 'http:';
  if (target === null || !isWeb) return { kind: 'refused', why: 'redirects to what is no http or https URL' };
  if (target.protocol === 'http:' && from.startsWith('https:')) {
    return { kind: 'refused', why: 'redirects from https to http' };
  }
  // It is for browsers alone.
  target.hash = '';
  const judged = await guard.check(target.href, signal);
  return judged.kind === 'allowed' ? { ...judged, url: target.href } : judged;
};

/**
 * For `node:http`, `node:https` and `node:net`: connects to what was judged and nowhere else, whatever the name means by
 * then. A host that is an address is never looked up, and was judged as it stands.
 */
export const pinnedLookup =
  (addresses: readonly string[]): LookupFunction =>
  (_name, { all = false, family }, answer) => {
    const wanted = family === 4 || family === 6 ? family : null;
    const found = addresses
      .map((address) => ({ address, family: isIP(address) }))
      .filter((one) => wanted === null || one.family === wanted);
    const [first] = found;
    if (first === undefined) {
      answer(Object.assign(new Error('no judged address of that family'), { code: 'ENOTFOUND' }), '', 0);
    } else if (all) answer(null, found);
    else answer(null, first.address, first.family);
  };
