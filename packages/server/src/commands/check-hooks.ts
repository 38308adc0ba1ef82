// The hooks of ekaci.toml, as `--check-config` shows them: whether each has its program. Nothing of them is run.
import type { ServerConfig } from '../config/server-config.ts';
import { programFault } from '../pipeline/hooks/hook-program.ts';
import type { ConfigReport } from './config-report.ts';

export const checkHooks = (
  { hooks }: Pick<ServerConfig, 'hooks'>,
  searchPath: string | undefined,
): ConfigReport => {
  const checked = hooks.map(({ id, command: [program = ''], on, timeout_seconds: timeout }) => {
    const name = `hooks ${JSON.stringify(id)}`;
    const fault = programFault(program, searchPath ?? '');
    return fault === null
      ? { found: `${name}: ${program} after ${on.join(', ')}, for at most ${timeout} s\n`, error: null }
      : { found: '', error: `${name}: ${fault}` };
  });
  return {
    found: checked.map(({ found }) => found).join(''),
    warnings: [],
    errors: checked.flatMap(({ error }) => error ?? []),
  };
};
