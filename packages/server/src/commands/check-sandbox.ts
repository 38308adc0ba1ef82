// The sandbox, as `--check-config` shows it: tried with a command that does nothing, and with an evaluation where it is a
// unit of its own.
import { tmpdir } from 'node:os';
import type { StorePath } from '@eka-ci/core/ids';
import { findNix } from '@eka-ci/nix/installation';
import { createStoreQueries, type StoreQueryOptions } from '@eka-ci/nix/store-queries';
import { createSystem } from '@eka-ci/nix/system-programs';
import { sandboxSocketOf } from '../sandbox/sandbox-socket.ts';
import type { ConfigReport } from './config-report.ts';

const patienceMs = 120_000;

/** Of a store that does not answer nothing is shown: what is wrong with it others say. */
const systemPaths = async (env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<readonly StorePath[]> => {
  try {
    const nix = await findNix(env);
    const queries = (asking: StoreQueryOptions) => createStoreQueries(nix, asking);
    const system = createSystem({ nix, queries, searchPath: env['PATH'] ?? '' });
    return (await system.programs(signal)).storePaths;
  } catch {
    return [];
  }
};

const checkChecks = async (env: NodeJS.ProcessEnv): Promise<string> => {
  const { openSandbox } = await import('../open-sandbox.ts');
  // Not in the server's own folders: whoever asks may be another user.
  const sandbox = openSandbox({ env, folder: tmpdir() });
  const signal = AbortSignal.timeout(patienceMs);
  const checked = await sandbox.check(await systemPaths(env, signal), signal);
  if (checked.kind === 'refused') return `Checks of repositories are refused: ${checked.why}\n`;
  const lines = checked.bounds.map((bound) => `  ${bound}\n`);
  return `The sandbox of checks works:\n${lines.join('')}`;
};

/** A machine without one is no fault of the configuration: what needs it is refused there, and says why. */
export const checkSandbox = async (env: NodeJS.ProcessEnv): Promise<ConfigReport> => {
  const found = [await checkChecks(env)];
  if (sandboxSocketOf(env) !== null) {
    const { checkEvaluations } = await import('./check-evaluations.ts');
    found.push(await checkEvaluations(env));
  }
  return { found: found.join(''), warnings: [], errors: [] };
};
