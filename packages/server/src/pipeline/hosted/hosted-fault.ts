// Which faults of asking a forge may pass, and when it may be asked again.
import type { HostedForgeFault } from '../../forge/hosted-forge.ts';
import { errorCodeOf } from '../../lib/error-code.ts';

/** A forge that names a time further away is asked all the same. */
const longestRestMs = 60 * 60_000;

export const isForgeFault = (error: unknown): error is HostedForgeFault =>
  error instanceof Error && 'mayPass' in error && typeof error.mayPass === 'boolean' && 'retryAtMs' in error;

/** The database's too: it is back soon, or the server ends. A fault without a code is a bug, and is not tried again. */
export const mayPass = (error: unknown): boolean =>
  isForgeFault(error) ? error.mayPass : /^(?:DATABASE|DELIVERIES)_/.test(errorCodeOf(error));

/** For how long the forge does not want to be asked. */
export const restAfter = (error: unknown, nowMs: number): number => {
  if (!isForgeFault(error) || typeof error.retryAtMs !== 'number') return 0;
  return Math.min(longestRestMs, Math.max(0, error.retryAtMs - nowMs));
};

/** `CODE: what to do`, as people are shown it. */
export const faultText = (error: unknown): string => {
  const code = errorCodeOf(error);
  return `${code === '' ? 'INTERNAL' : code}: ${error instanceof Error ? error.message : String(error)}`;
};
