// The command line of `eka-ci-server`: flags in, what is to be done out.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { errorCodeOf } from '../lib/error-code.ts';
import { nearestNames } from '../lib/nearest-name.ts';
import { settingKeys, valueFromText } from './server-config-keys.ts';
import type { Layer, Setting } from './setting.ts';

interface FlagSetting {
  readonly key: string;
  /** A path of the command line is relative to where the command was given. */
  readonly isPath: boolean;
  readonly type: 'string' | 'boolean';
}

/** The flags that set a key. */
export const settingFlags: Readonly<Record<string, FlagSetting>> = {
  addr: { key: 'web.address', isPath: false, type: 'string' },
  port: { key: 'web.port', isPath: false, type: 'string' },
  socket: { key: 'unix.socket_path', isPath: true, type: 'string' },
  'db-path': { key: 'db_path', isPath: true, type: 'string' },
  'logs-dir': { key: 'logs_dir', isPath: true, type: 'string' },
  'require-approval': { key: 'require_approval', isPath: false, type: 'boolean' },
  'merge-queue-require-approval': { key: 'merge_queue_require_approval', isPath: false, type: 'boolean' },
};

const otherFlags = {
  'config-file': { type: 'string' },
  'check-config': { type: 'boolean' },
  syntax: { type: 'boolean' },
  'no-credentials': { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export interface ServerFlags extends Layer {
  /** Absolute; null where the command line names none. */
  readonly configFile: string | null;
}

export type ServerCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'check-config';
      readonly flags: ServerFlags;
      /** `syntax`: the file alone. `no-credentials`: all but the secrets. */
      readonly extent: 'syntax' | 'no-credentials' | 'everything';
    }
  | { readonly kind: 'serve'; readonly flags: ServerFlags }
  /** Wrong usage, in words. */
  | { readonly kind: 'refused'; readonly message: string };

const refused = (message: string): ServerCommand => ({ kind: 'refused', message });

const options = { ...settingFlags, ...otherFlags };

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

const readSettings = (values: Values, cwd: string): Setting[] =>
  Object.entries(settingFlags).flatMap(([flag, { key: name, isPath }]) => {
    const [given, key] = [values[flag], settingKeys.get(name)];
    if (key === undefined || given === undefined) return [];
    const text = isPath ? resolve(cwd, String(given)) : String(given);
    const read = valueFromText(key, text);
    const value = read.kind === 'value' ? read.value : text;
    return [{ key, value, originOf: () => ({ kind: 'flag', name: `--${flag}` }) }];
  });

const explain = (error: Error, argv: readonly string[]): string => {
  if (errorCodeOf(error) !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return error.message.split('\n')[0] ?? '';
  const names = Object.keys(options);
  const unknown = argv
    .filter((argument) => argument.startsWith('--'))
    .map((argument) => argument.slice(2).replace(/=.*$/s, ''))
    .find((name) => !names.includes(name));
  if (unknown === undefined) return error.message.split('\n')[0] ?? '';
  const [near] = nearestNames(unknown, names, 1);
  return `--${unknown} is not a known flag${near === undefined ? '' : `; did you mean --${near}?`}`;
};

const choose = (values: Values, cwd: string): ServerCommand => {
  if (values['help'] === true) return { kind: 'help' };
  if (values['version'] === true) return { kind: 'version' };
  const file = values['config-file'];
  if (file === '') return refused('--config-file names no file');
  const flags: ServerFlags = {
    configFile: file === undefined ? null : resolve(cwd, String(file)),
    settings: readSettings(values, cwd),
    problems: [],
    warnings: [],
  };
  const [syntax, noCredentials] = [values['syntax'] === true, values['no-credentials'] === true];
  if (syntax && noCredentials) return refused('--syntax looks at no credentials: leave out --no-credentials');
  if (values['check-config'] === true) {
    const extent = syntax ? 'syntax' : noCredentials ? 'no-credentials' : 'everything';
    return { kind: 'check-config', flags, extent };
  }
  if (syntax || noCredentials) {
    return refused(`--${syntax ? 'syntax' : 'no-credentials'} goes with --check-config`);
  }
  return { kind: 'serve', flags };
};

/**
 * Reads the arguments after the program's name.
 * @param cwd what relative paths of the command line are relative to
 */
export const readServerFlags = (argv: readonly string[], cwd: string): ServerCommand => {
  const parserOptions = Object.fromEntries(
    Object.entries(options).map(([name, option]) => [
      name,
      'short' in option ? { type: option.type, short: option.short } : { type: option.type },
    ]),
  );
  try {
    const { values } = parseArgs({ args: [...argv], options: parserOptions, allowPositionals: false });
    return choose(values, cwd);
  } catch (error) {
    if (!(error instanceof Error) || !errorCodeOf(error).startsWith('ERR_PARSE_ARGS')) throw error;
    return refused(explain(error, argv));
  }
};

export const serverUsage = `usage: eka-ci-server [flags]
       eka-ci-server review

Flags win over the environment, that over ekaci.toml, and that over the defaults.

  --config-file FILE   read FILE; else $EKA_CI_CONFIG_FILE, else $XDG_CONFIG_HOME/ekaci/ekaci.toml
  --addr ADDRESS       listen at this address (web.address)
  --port PORT          listen at this TCP port (web.port)
  --socket PATH        the unix socket of the command line (unix.socket_path)
  --db-path PATH       the embedded database (db_path)
  --logs-dir PATH      where build logs are kept (logs_dir)
  --require-approval   changes from outside wait for approval (require_approval)
  --merge-queue-require-approval
                       entries of a merge queue wait for approval (merge_queue_require_approval)
  --check-config       load and print the configuration, secrets redacted, and end with status 0 or 1
    --syntax           with --check-config: check the file alone
    --no-credentials   with --check-config: check all but the secrets
  --version            print the version
  --help, -h           print this

Examples:
  eka-ci-server --check-config
  eka-ci-server --check-config --no-credentials --config-file ./ekaci.toml
  EKA_CI_WEB__PORT=8080 eka-ci-server --addr :: --check-config

Every key of ekaci.toml can be set in the environment as EKA_CI_<SECTION>__<KEY>; docs/reference/configuration.md lists
them. "review" is what "ekaci review" starts.
`;
