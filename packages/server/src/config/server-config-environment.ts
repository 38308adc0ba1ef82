// The settings that environment variables give: EKA_CI_<SECTION>__<KEY> for any key, and names of their own for what
// is secret or belongs to a forge.
import { nearestNames } from '../lib/nearest-name.ts';
import {
  type SettingKey,
  sections,
  settingKeys,
  structureFromText,
  unknownSetting,
  valueFromText,
} from './server-config-keys.ts';
import type { Layer, Origin, ServerConfigProblem, Setting } from './setting.ts';

/** An empty variable counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = 'EKA_CI_';

/** Variables with our prefix that are no keys: of the server, of the command line, of our own tests. */
const otherVariables: ReadonlySet<string> = new Set([
  'EKA_CI_CONFIG_FILE',
  'EKA_CI_LOG',
  'EKA_CI_SANDBOX_SOCKET',
  'EKA_CI_SOCKET',
  'EKA_CI_TOKEN',
  'EKA_CI_REAL_DRVS',
  'EKA_CI_TEST_ATTIC',
  'EKA_CI_TEST_MINIO',
  'EKA_CI_TEST_MOTO',
  'EKA_CI_TEST_NIX',
  'EKA_CI_TEST_VAULT',
]);

/** Variables with a name of their own, and their keys. Of two for one key the later one holds. */
export const namedVariables: readonly (readonly [variable: string, key: string])[] = [
  ['GITHUB_OAUTH_CLIENT_ID', 'oauth.client_id'],
  ['GITHUB_OAUTH_CLIENT_SECRET', 'oauth.client_secret'],
  ['GITHUB_OAUTH_REDIRECT_URL', 'oauth.redirect_url'],
  ['JWT_SECRET', 'oauth.jwt_secret'],
  ['GITHUB_WEBHOOK_SECRET', 'security.webhook_secret'],
  ['WEBHOOK_SECRET', 'security.webhook_secret'],
];

/** `EKA_CI_WEB__PORT` of `web.port`. */
export const variableOf = (keyName: string): string => `${prefix}${keyName.replace('.', '__').toUpperCase()}`;

const keysByVariable: ReadonlyMap<string, SettingKey> = new Map(
  [...settingKeys.values()].map((key) => [variableOf(key.name), key]),
);
const sectionsByVariable: ReadonlyMap<string, string> = new Map(
  [...sections.keys()].map((name) => [variableOf(name), name]),
);

interface Walk {
  readonly settings: (Setting & { readonly variable: string })[];
  readonly problems: ServerConfigProblem[];
}

const originOf = (name: string): Origin => ({ kind: 'environment', name });

const take = (walk: Walk, variable: string, { key, value }: { key: SettingKey; value: unknown }): void => {
  walk.settings.push({ key, value, variable, originOf: () => originOf(variable) });
};

const takeText = (walk: Walk, variable: string, { key, text }: { key: SettingKey; text: string }): void => {
  const read = valueFromText(key, text);
  if (read.kind === 'value') take(walk, variable, { key, value: read.value });
  else walk.problems.push({ key: key.name, origin: originOf(variable), message: read.message });
};

const takeSection = (walk: Walk, variable: string, { name, text }: { name: string; text: string }): void => {
  const origin = originOf(variable);
  const read = structureFromText(text, 'table');
  if (read.kind === 'unreadable') {
    walk.problems.push({ key: name, origin, message: read.message });
    return;
  }
  for (const [member, value] of Object.entries(read.value ?? {})) {
    const key = member.includes('.') ? undefined : settingKeys.get(`${name}.${member}`);
    if (key === undefined) {
      walk.problems.push({ key: `${name}.${member}`, origin, message: unknownSetting(name, member) });
    } else take(walk, variable, { key, value });
  }
};

const complainOfUnknown = (walk: Walk, variable: string): void => {
  const [near] = nearestNames(variable, [...keysByVariable.keys(), ...sectionsByVariable.keys()], 1);
  const hint = near === undefined ? `a key is ${variableOf('section.key')}` : `did you mean ${near}?`;
  walk.problems.push({ key: '', origin: originOf(variable), message: `is not a known variable; ${hint}` });
};

const ambiguities = (settings: Walk['settings']): string[] =>
  settings.flatMap((setting, index) => {
    const later = settings.slice(index + 1).find(({ key }) => key === setting.key);
    if (later === undefined) return [];
    const { variable, key } = setting;
    return [`${variable} and ${later.variable} both set ${key.name}: ${later.variable} holds`];
  });

/** Reads every setting of an environment. A section's variable gives way to one of its key, and that to a named one. */
export const readEnvironmentLayer = (env: Environment): Layer => {
  const walk: Walk = { settings: [], problems: [] };
  const given = Object.entries(env)
    .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
    .filter(([variable]) => variable.startsWith(prefix) && !otherVariables.has(variable))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [variable, text] of given) {
    const name = sectionsByVariable.get(variable);
    if (name !== undefined) takeSection(walk, variable, { name, text });
  }
  for (const [variable, text] of given) {
    const key = keysByVariable.get(variable);
    if (key !== undefined) takeText(walk, variable, { key, text });
    else if (!sectionsByVariable.has(variable)) complainOfUnknown(walk, variable);
  }
  for (const [variable, name] of namedVariables) {
    const [key, text] = [settingKeys.get(name), env[variable] ?? ''];
    if (key !== undefined && text !== '') takeText(walk, variable, { key, text });
  }
  return { ...walk, warnings: ambiguities(walk.settings) };
};
