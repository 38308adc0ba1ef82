// The sandbox of checks, as `--check-config` shows it: tried with a command that does nothing.
import { tmpdir } from 'node:os';
import type { ConfigReport } from './config-report.ts';

/** A machine without one is no fault of the configuration: checks are refused there, and say why. */
export const checkSandbox = async (env: NodeJS.ProcessEnv): Promise<ConfigReport> => {
  const { openSandbox } = await import('../server.ts');
  // Not in the server's own folders: whoever asks may be another user.
  const sandbox = openSandbox({ env, folder: tmpdir(), storeDirs: ['/nix/store'] });
  const checked = await sandbox.check();
  if (checked.kind === 'works') {
    const lines = checked.bounds.map((bound) => `  ${bound}\n`);
    return { found: `The sandbox of checks works:\n${lines.join('')}`, warnings: [], errors: [] };
  }
  return { found: `Checks of repositories are refused: ${checked.why}\n`, warnings: [], errors: [] };
};
