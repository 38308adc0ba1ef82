// A machine in memory for tests of the server's configuration.
import type { ConfigHost, ReadFile } from '../config-host.ts';
import { type ConfigSources, type LoadedServerConfig, loadServerConfig } from '../server-config.ts';
import { readServerFlags } from '../server-flags.ts';
import { formatProblem } from '../setting.ts';

export const configFile = '/etc/ekaci.toml';

export interface Given {
  readonly files?: Readonly<Record<string, ReadFile | string>>;
  /** The text of the file that `--config-file` names. */
  readonly toml?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly argv?: readonly string[];
}

const memoryHost = (files: Given['files'] = {}): ConfigHost => ({
  readFile: (path) => {
    const found = files[path] ?? { kind: 'missing' };
    return Promise.resolve(
      typeof found === 'string' ? { kind: 'read', text: found, isPublic: false } : found,
    );
  },
  isDirectory: (path) => Promise.resolve(path === '/run/user/7'),
  home: '/home/u',
  cores: 6,
});

export const sourcesOf = ({ files, toml, env = {}, argv = [] }: Given): ConfigSources => {
  const named = toml === undefined ? [] : ['--config-file', configFile];
  const command = readServerFlags([...argv, ...named], '/cwd');
  if (command.kind !== 'serve') throw new Error(`not flags alone: ${JSON.stringify(command)}`);
  return {
    host: memoryHost({ ...files, ...(toml !== undefined && { [configFile]: toml }) }),
    env: { XDG_RUNTIME_DIR: '/run/user/7', ...env },
    flags: command.flags,
    scope: 'everything',
  };
};

export const load = (given: Given): Promise<LoadedServerConfig> => loadServerConfig(sourcesOf(given));

export const loadValid = async (given: Given) => {
  const loaded = await load(given);
  if (loaded.kind === 'valid') return loaded;
  throw new Error(`not valid:\n${loaded.problems.map(formatProblem).join('\n')}`);
};

/** What is wrong, a line each. */
export const complaints = async (given: Given): Promise<string[]> => {
  const loaded = await load(given);
  return loaded.kind === 'valid' ? [] : loaded.problems.map(formatProblem);
};
