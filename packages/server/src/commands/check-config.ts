// `eka-ci-server --check-config`: every effective value with its origin, secrets redacted, and whether a start would be
// allowed.
import { Secret } from '../config/secret.ts';
import { type ConfigSources, type LoadedServerConfig, loadServerConfig } from '../config/server-config.ts';
import { settingKeys, valueAt } from '../config/server-config-keys.ts';
import type { ServerCommand } from '../config/server-flags.ts';
import { formatOrigin, formatProblem } from '../config/setting.ts';
import { startFaults, startWarnings } from '../config/start-conditions.ts';
import { createCredentials } from '../credentials/credentials.ts';
import { checkCaches } from './check-caches.ts';
import { checkCredentials } from './check-credentials.ts';
import { checkHooks } from './check-hooks.ts';
import { checkMachines } from './check-machines.ts';
import { checkSandbox } from './check-sandbox.ts';
import type { ConfigReport } from './config-report.ts';

type CheckCommand = Extract<ServerCommand, { kind: 'check-config' }>;
type ValidConfig = Extract<LoadedServerConfig, { kind: 'valid' }>;

export interface CheckReport {
  /** For standard output. */
  readonly found: string;
  /** For standard error: warnings and errors, a line each. */
  readonly complaints: string;
  readonly status: 0 | 1;
}

/** JSON, in which every secret prints itself redacted. */
const formatValue = (value: unknown): string =>
  value === undefined ? 'unset' : value instanceof Secret ? String(value) : JSON.stringify(value);

const isTable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !(value instanceof Secret);

/** A list of tables takes a line an entry. */
const linesOf = (name: string, value: unknown): (readonly [name: string, text: string])[] =>
  Array.isArray(value) && value.some(isTable)
    ? value.map((entry: unknown, index) => [`${name}[${index}]`, formatValue(entry)])
    : [[name, formatValue(value)]];

const describeValues = ({ config, origins }: ValidConfig): string => {
  const lines = [...settingKeys.values()].flatMap(({ name, path }) => {
    const origin = formatOrigin(origins.get(name) ?? { kind: 'default' });
    return linesOf(name, valueAt(config, path)).map(([key, text]) => ({
      setting: `${key} = ${text}`,
      origin,
    }));
  });
  const width = Math.min(60, Math.max(...lines.map(({ setting }) => setting.length)));
  return lines.map(({ setting, origin }) => `${setting.padEnd(width)}  # ${origin}\n`).join('');
};

const describeFile = (loaded: LoadedServerConfig): string =>
  loaded.file === null ? 'There is no configuration file.' : `Configuration file: ${loaded.file}`;

const complain = (warnings: readonly string[], errors: readonly string[]): string =>
  [...warnings.map((text) => `warning: ${text}\n`), ...errors.map((text) => `error: ${text}\n`)].join('');

/** What a valid configuration leads to is looked at by parts: whoever can tell more of it adds a part to `partsOf`. */
type ConfigPart = () => Promise<ConfigReport>;

/** `--syntax` looks at the configuration file alone, `--no-credentials` at all that needs none. */
const partsOf = (
  { config }: ValidConfig,
  extent: CheckCommand['extent'],
  { host, env }: Pick<ConfigSources, 'host' | 'env'>,
): readonly ConfigPart[] => {
  if (extent === 'syntax') return [];
  const machines: ConfigPart = () => checkMachines(host, config.builders.machines_file);
  const hooks: ConfigPart = async () => checkHooks(config, env['PATH']);
  const sandbox: ConfigPart = () => checkSandbox({ env, config });
  if (extent === 'no-credentials') return [machines, hooks, sandbox];
  // Shared by the parts that follow: no source is asked twice. One that gives nothing is told here, and nowhere else.
  const credentials = createCredentials({ env, readFile: (path) => host.readFile(path) });
  return [
    machines,
    hooks,
    sandbox,
    () => checkCredentials(credentials, config),
    () => checkCaches(config, { credentials, env }),
  ];
};

/** Loads the configuration and tells what it is, or everything that is wrong with it. */
export const checkConfig = async (
  { flags, extent }: CheckCommand,
  surroundings: Pick<ConfigSources, 'host' | 'env'>,
): Promise<CheckReport> => {
  const scope = extent === 'syntax' ? 'file' : 'everything';
  const loaded = await loadServerConfig({ ...surroundings, flags, scope });
  if (loaded.kind === 'invalid') {
    return {
      found: `${describeFile(loaded)}\n`,
      complaints: complain(loaded.warnings, loaded.problems.map(formatProblem)),
      status: 1,
    };
  }
  const reports = await Promise.all(partsOf(loaded, extent, surroundings).map((part) => part()));
  const faults = [
    ...(extent === 'everything' ? startFaults(loaded.config).map(({ message }) => message) : []),
    ...reports.flatMap(({ errors }) => errors),
  ];
  const warnings = [
    ...loaded.warnings,
    ...(extent === 'syntax' ? [] : startWarnings(loaded.config)),
    ...reports.flatMap((report) => report.warnings),
  ];
  const verdict = faults.length === 0 ? 'The configuration is valid.\n' : '';
  return {
    found: `${describeFile(loaded)}\n\n${describeValues(loaded)}\n${reports.map(({ found }) => found).join('')}${verdict}`,
    complaints: complain(warnings, faults),
    status: faults.length === 0 ? 0 : 1,
  };
};
