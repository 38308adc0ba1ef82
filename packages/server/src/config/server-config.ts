// Loads the server's configuration: flag over environment over ekaci.toml over default. Everything that is wrong is
// told at once, each with its place.
import { join, resolve } from 'node:path';
import { type BaseDirectories, baseDirectories } from '../lib/xdg.ts';
import type { ConfigHost } from './config-host.ts';
import { type ForgeVariables, readForgeVariables } from './forge-variables.ts';
import { fillDefaults, type ServerConfig, type Surroundings } from './server-config-defaults.ts';
import { type Environment, readEnvironmentLayer } from './server-config-environment.ts';
import { readFileLayer } from './server-config-file.ts';
import { checkValue, formatPath, isSecret, type SettingKey, settingKeys } from './server-config-keys.ts';
import { brokenRules, doubtfulSettings, type RuleFault } from './server-config-rules.ts';
import { ServerConfigSchema } from './server-config-schema.ts';
import { refuseUnsupported } from './server-config-support.ts';
import {
  formatOrigin,
  formatProblem,
  type Layer,
  type Origin,
  problemAt,
  type ServerConfigProblem,
  type Setting,
} from './setting.ts';

export type { ServerConfig } from './server-config-defaults.ts';

export interface ConfigSources {
  readonly host: ConfigHost;
  readonly env: Environment;
  /** Of the command line: its settings, and the file that it names. */
  readonly flags: Layer & { readonly configFile: string | null };
  /** `file`: what the environment and the command line set is left out. */
  readonly scope: 'everything' | 'file';
}

export type LoadedServerConfig =
  | {
      readonly kind: 'valid';
      readonly config: ServerConfig;
      /** The file that was read; null where the default one does not exist. */
      readonly file: string | null;
      /** Of every key by its dotted name. */
      readonly origins: ReadonlyMap<string, Origin>;
      readonly warnings: readonly string[];
    }
  | {
      readonly kind: 'invalid';
      readonly file: string | null;
      readonly problems: readonly ServerConfigProblem[];
      readonly warnings: readonly string[];
    };

interface FileRead extends Layer {
  readonly file: string | null;
  readonly isPublic: boolean;
}

const emptyLayer: Layer = { settings: [], problems: [], warnings: [] };

const readFile = async (sources: ConfigSources, directories: BaseDirectories): Promise<FileRead> => {
  const { env, flags, host } = sources;
  const fromEnvironment = env['EKA_CI_CONFIG_FILE'] ?? '';
  const named = flags.configFile ?? (fromEnvironment === '' ? null : fromEnvironment);
  const file = resolve(named ?? join(directories.configHome, 'ekaci/ekaci.toml'));
  const found = await host.readFile(file);
  if (found.kind === 'read') return { ...readFileLayer(file, found.text), file, isPublic: found.isPublic };
  if (found.kind === 'missing' && named === null) return { ...emptyLayer, file: null, isPublic: false };
  const origin: Origin =
    flags.configFile !== null
      ? { kind: 'flag', name: '--config-file' }
      : named !== null
        ? { kind: 'environment', name: 'EKA_CI_CONFIG_FILE' }
        : { kind: 'default' };
  const message = `${file} ${found.kind === 'missing' ? 'does not exist' : found.message}`;
  return { ...emptyLayer, problems: [{ key: '', origin, message }], file, isPublic: false };
};

/** The checked settings that hold, one a key, and what is wrong with all that were given. */
const settle = (layers: readonly Layer[]) => {
  const problems = layers.flatMap((layer) => layer.problems);
  const settings = new Map<string, Setting>();
  for (const setting of layers.flatMap((layer) => layer.settings)) {
    const faults = checkValue(setting.key, setting.value);
    problems.push(...faults.map(({ path, message }) => problemAt(setting, path, message)));
    if (faults.length === 0) settings.set(setting.key.name, setting);
  }
  return { settings, problems };
};

/** The configuration of checked settings, one key left out where that is asked for. */
const assemble = (
  settings: ReadonlyMap<string, Setting>,
  surroundings: Surroundings,
  without?: string,
): ServerConfig => {
  const written: Record<string, unknown> = {};
  const sections = new Map<string, Record<string, unknown>>();
  for (const [name, { key, value }] of settings) {
    const [first = '', second] = key.path;
    if (name === without) continue;
    if (second === undefined) written[first] = value;
    else {
      const section = sections.get(first) ?? {};
      section[second] = value;
      sections.set(first, section);
    }
  }
  return fillDefaults(
    ServerConfigSchema.parse({ ...written, ...Object.fromEntries(sections) }),
    surroundings,
  );
};

const keyOf = ([first, second]: RuleFault['path']): SettingKey | undefined =>
  settingKeys.get(String(first)) ?? settingKeys.get(`${first}.${second}`);

/** The place of a broken rule: of a key that nobody set, none. */
const placeFault = (
  { path, message }: RuleFault,
  settings: ReadonlyMap<string, Setting>,
): ServerConfigProblem => {
  const key = keyOf(path);
  const setting = key === undefined ? undefined : settings.get(key.name);
  if (key === undefined || setting === undefined) {
    return { key: formatPath(path), origin: { kind: 'default' }, message };
  }
  return problemAt(setting, path.slice(key.path.length), message);
};

const findSocketDir = async (host: ConfigHost, { runtimeDir, stateHome }: BaseDirectories) => {
  if (runtimeDir !== null && (await host.isDirectory(runtimeDir))) return { path: runtimeDir, warning: null };
  const path = join(stateHome, 'ekaci/run');
  const why = runtimeDir === null ? 'is not set' : `names ${runtimeDir}, which is no directory`;
  return { path, warning: `the unix socket goes to ${path}: XDG_RUNTIME_DIR ${why}` };
};

const warnOfPublicSecrets = ({ isPublic, settings }: FileRead): string[] =>
  settings
    .filter(({ key, value }) => isPublic && isSecret(key, value))
    .map(
      (setting) =>
        `${formatOrigin(setting.originOf([]))}: ${setting.key.name}: every user of this machine can read this secret; set it in the ` +
        'environment, or take the right to read the file from others (chmod 600)',
    );

const originsOf = (
  settings: ReadonlyMap<string, Setting>,
  made: ForgeVariables['made'],
): Map<string, Origin> =>
  new Map(
    [...settingKeys.keys()].map((name): [string, Origin] => {
      const variable = made.get(name);
      if (variable !== undefined) return [name, { kind: 'environment', name: variable }];
      return [name, settings.get(name)?.originOf([]) ?? { kind: 'default' }];
    }),
  );

/** In the order of the file; what is not in it comes after. */
const byLine = (a: ServerConfigProblem, b: ServerConfigProblem): number => {
  const [lineA, lineB] = [a, b].map(({ origin }) => (origin.kind === 'file' ? origin.line : 1e9));
  return (lineA ?? 0) - (lineB ?? 0);
};

interface Settled extends ReturnType<typeof settle> {
  readonly file: FileRead;
  readonly warnings: readonly string[];
}

/** From the settings that hold to a configuration, or to everything that is wrong with them. */
const judge = (sources: ConfigSources, settled: Settled, surroundings: Surroundings): LoadedServerConfig => {
  const { settings, file } = settled;
  const env = sources.scope === 'file' ? {} : sources.env;
  const { config, made, ...said } = readForgeVariables(assemble(settings, surroundings), env);
  const origins = originsOf(settings, made);
  const problems = [
    ...settled.problems,
    ...said.problems.map(({ variable, message }): ServerConfigProblem => {
      const origin: Origin = { kind: 'environment', name: variable };
      return { key: '', origin, message };
    }),
    ...refuseUnsupported({
      config,
      origins,
      configWithout: (name) => assemble(settings, surroundings, name),
    }),
    // A rule between keys may seem broken only because a faulty setting was left out.
    ...(settled.problems.length > 0 ? [] : brokenRules(config).map((fault) => placeFault(fault, settings))),
  ];
  const warnings = [
    ...settled.warnings,
    ...said.warnings,
    ...doubtfulSettings(config).map((fault) => formatProblem(placeFault(fault, settings))),
  ];
  if (problems.length > 0) {
    return { kind: 'invalid', file: file.file, problems: problems.toSorted(byLine), warnings };
  }
  return { kind: 'valid', config, file: file.file, origins, warnings };
};

/** Loads the configuration. Whatever can be wrong with it is a result, with every problem found. */
export const loadServerConfig = async (sources: ConfigSources): Promise<LoadedServerConfig> => {
  const { env, flags, host, scope } = sources;
  const directories = baseDirectories(env, host.home);
  const file = await readFile(sources, directories);
  const layers = scope === 'file' ? [file] : [file, readEnvironmentLayer(env), flags];
  const settled = settle(layers);
  const warnings = [...layers.flatMap((layer) => layer.warnings), ...warnOfPublicSecrets(file)];
  const socketDir = await findSocketDir(host, directories);
  const isPlaced = settled.settings.has('unix.socket_path') || scope === 'file';
  if (socketDir.warning !== null && !isPlaced) warnings.push(socketDir.warning);
  const surroundings = { directories, socketDir: socketDir.path, cores: host.cores };
  return judge(sources, { ...settled, file, warnings }, surroundings);
};
