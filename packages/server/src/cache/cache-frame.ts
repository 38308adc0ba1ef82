// What all drivers have in common: a question about nothing is not asked, everything ends in time, and what is thrown on the
// way becomes what the port promises.
import type { CacheCredentials } from '../credentials/cache-credentials.ts';
import { type Cache, CacheError } from './cache.ts';
import type { CacheSettings } from './cache-deps.ts';
import { settleFault, settlePush } from './settle-push.ts';

/** Of a question, which is to be answered soon. */
const questionMs = 5 * 60_000;
const checkMs = 30_000;

export const createCacheFrame = (
  { id, timeoutMs }: CacheSettings,
  credentials: CacheCredentials,
  driver: Omit<Cache, 'id'>,
): Cache => {
  const forget = (): void => credentials.forget();
  return {
    id,
    present: async (paths, signal) => {
      signal.throwIfAborted();
      if (paths.length === 0) return new Set();
      const late = AbortSignal.timeout(questionMs);
      try {
        return await driver.present(paths, AbortSignal.any([signal, late]));
      } catch (error) {
        signal.throwIfAborted();
        throw new CacheError(settleFault(error, { late, forget, timeoutMs: questionMs }), error);
      }
    },
    push: (request, signal) =>
      settlePush(
        async (ending) =>
          request.paths.length === 0
            ? { kind: 'pushed', sentPaths: 0, sentBytes: 0 }
            : driver.push(request, ending),
        { timeoutMs, signal, forget },
      ),
    check: async (signal) => {
      const late = AbortSignal.timeout(checkMs);
      try {
        return await driver.check(AbortSignal.any([signal, late]));
      } catch (error) {
        signal.throwIfAborted();
        const fault = settleFault(error, { late, forget, timeoutMs: checkMs });
        return { kind: 'faulty', why: fault.why, isPassing: fault.kind === 'passing' };
      }
    },
  };
};
