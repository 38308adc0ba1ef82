// The checks of all changes: one sandbox, one line of those that wait for it.
import { availableParallelism } from 'node:os';
import { createRootKeeper } from '@eka-ci/nix/gc-roots';
import { createSystem } from '@eka-ci/nix/system-programs';
import { type CheckStage, createCheckStage } from '../pipeline/checks/run-checks.ts';
import type { Opened, ServerParts } from './server-parts.ts';

const dayMs = 24 * 60 * 60_000;

/**
 * A check may use several cores, and builds want them as well; yet one that hangs must hold up neither other changes nor
 * all others of its own.
 */
const checksAtOnce = (): number => Math.max(3, Math.floor(availableParallelism() / 2));

export const openChecking = (
  {
    nix,
    database,
    logs,
    queries,
    rootPaths,
    checkMetrics,
  }: Pick<ServerParts, 'nix' | 'database' | 'logs' | 'queries' | 'rootPaths' | 'checkMetrics'>,
  { options, deps, sandbox }: Opened,
): CheckStage => {
  const { publicUrl, failureDays, sandboxLimits, maxCheckTimeoutMs } = options;
  const { checkRuns } = database;
  return createCheckStage({
    sandbox,
    runs: {
      ...checkRuns,
      async end(id, ending) {
        const isEnded = await checkRuns.end(id, ending);
        if (isEnded) checkMetrics.ended(ending);
        return isEnded;
      },
    },
    logs,
    limits: sandboxLimits,
    maxTimeoutMs: maxCheckTimeoutMs,
    system: createSystem({ nix, queries, searchPath: deps.env['PATH'] ?? '/usr/bin:/bin' }),
    async keepPath(path, folder) {
      const keeper = createRootKeeper(rootPaths, folder);
      keeper.add(path);
      await keeper.finish();
    },
    failureMaxAgeMs: failureDays * dayMs,
    logUrlOf: (id) => (publicUrl === '' ? null : `${publicUrl}/v1/checks/${id}/log`),
    clock: Date.now,
    atOnce: checksAtOnce(),
  });
};
