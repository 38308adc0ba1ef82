// The sandbox, as `--check-config` shows it: tried with a command that does nothing, and with an evaluation where it is a
// unit of its own.
import { tmpdir, totalmem } from 'node:os';
import type { StorePath } from '@eka-ci/core/ids';
import { findNix } from '@eka-ci/nix/installation';
import { createStoreQueries, type StoreQueryOptions } from '@eka-ci/nix/store-queries';
import { createSystem } from '@eka-ci/nix/system-programs';
import { memoryBoundIn } from '../sandbox/control-group.ts';
import { barredSocketOf, sandboxSocketOf } from '../sandbox/sandbox-socket.ts';
import { lookAtSocket, ownName } from '../sandbox/socket-access.ts';
import type { ConfigReport } from './config-report.ts';
import { type UnitMemory, warnOfUnitMemory } from './unit-memory.ts';

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

interface CheckedChecks {
  /** Lines. */
  readonly found: string;
  readonly bounds: readonly string[];
}

const checkChecks = async (env: NodeJS.ProcessEnv): Promise<CheckedChecks> => {
  const { openSandbox } = await import('../open-sandbox.ts');
  // Not in the server's own folders: whoever asks may be another user.
  const sandbox = openSandbox({ env, folder: tmpdir() });
  const signal = AbortSignal.timeout(patienceMs);
  const checked = await sandbox.check(await systemPaths(env, signal), signal);
  if (checked.kind === 'refused')
    return { found: `Checks of repositories are refused: ${checked.why}\n`, bounds: [] };
  const lines = checked.bounds.map((bound) => `  ${bound}\n`);
  return { found: `The sandbox of checks works:\n${lines.join('')}`, bounds: checked.bounds };
};

/** What was found was found by whoever asks, and the server may be somebody else. */
const describeBarred = async (env: NodeJS.ProcessEnv): Promise<string> => {
  const path = barredSocketOf(env);
  if (path === null) return '';
  const access = await lookAtSocket(path);
  const may = access === null ? '' : `; ${access.may}`;
  return `There is a sandbox at ${path}, to which ${ownName()} may not connect${may}: what is said of it here holds for ${ownName()} alone.\n`;
};

const checkUnit = async (
  socketPath: string,
  { env, config, checks }: SandboxToCheck & { readonly checks: CheckedChecks },
): Promise<ConfigReport> => {
  const { checkEvaluations } = await import('./check-evaluations.ts');
  const evaluations = await checkEvaluations(env);
  const access = await lookAtSocket(socketPath);
  const asked =
    access === null ? '' : `The sandbox at ${socketPath} was asked as ${ownName()}; ${access.may}.\n`;
  const shortOf = warnOfUnitMemory({
    config,
    evaluates: evaluations.byRunner,
    boundMib: memoryBoundIn([...checks.bounds, ...evaluations.bounds]),
    machineMib: Math.floor(totalmem() / 1024 / 1024),
  });
  return {
    found: `${checks.found}${evaluations.found}${asked}`,
    // Whoever else asks has just connected.
    warnings: [...(access?.warning && process.getuid?.() === 0 ? [access.warning] : []), ...shortOf],
    errors: [],
  };
};

export interface SandboxToCheck {
  readonly env: NodeJS.ProcessEnv;
  readonly config: UnitMemory['config'];
}

/** A machine without one is no fault of the configuration: what needs it is refused there, and says why. */
export const checkSandbox = async (asked: SandboxToCheck): Promise<ConfigReport> => {
  const { env } = asked;
  const checks = await checkChecks(env);
  const socketPath = sandboxSocketOf(env);
  if (socketPath !== null) return checkUnit(socketPath, { ...asked, checks });
  return { found: `${checks.found}${await describeBarred(env)}`, warnings: [], errors: [] };
};
