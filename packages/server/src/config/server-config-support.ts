// What this version cannot do yet. A key of such a feature is refused when it is set, for an operator who sets it
// relies on it. Whoever builds a feature takes its keys out of this list, and nothing else is to be done here.
import { isDeepStrictEqual } from 'node:util';
import type { ServerConfig } from './server-config-defaults.ts';
import { settingKeys, valueAt } from './server-config-keys.ts';
import type { Origin, ServerConfigProblem } from './setting.ts';

/** Dotted names, as in `web.metrics_token`. Every other key is supported. */
export const notYet: readonly string[] = [
  'database_url',
  'web.bundle_path',
  'evaluation.allow_import_from_derivation',
  'gitea_instances',
  'gitlab_instances',
];

const describeDefault = (value: unknown): string =>
  ['string', 'number', 'boolean'].includes(typeof value) ? ` (its default is ${JSON.stringify(value)})` : '';

interface Chosen {
  readonly config: ServerConfig;
  readonly origins: ReadonlyMap<string, Origin>;
  /** The same configuration with one key at its default. */
  readonly configWithout: (name: string) => ServerConfig;
}

/** Nobody of other forges can sign in. */
const refuseAdmins = ({ config, origins }: Pick<Chosen, 'config' | 'origins'>): ServerConfigProblem[] => {
  const origin = origins.get('admins') ?? { kind: 'default' };
  const others = config.admins.filter((one) => !one.startsWith('github:'));
  return others.map((one) => ({
    key: 'admins',
    origin,
    message: `${one}: signing in with another forge than GitHub is not supported by this version yet: leave it out`,
  }));
};

/** Values of keys that are supported. */
const refuseValues = ({ config, origins }: Chosen): ServerConfigProblem[] => {
  const origin = origins.get('github_apps') ?? { kind: 'default' };
  const apps = config.github_apps;
  const addresses = new Set(apps.map(({ api_url }) => api_url.replace(/\/+$/, '')));
  const hosts =
    new Set(Array.from(addresses, (address) => new URL(address).host)).size < addresses.size
      ? ['several addresses of one GitHub server: give its apps the same api_url']
      : [];
  const refused = hosts.map((message) => ({ key: 'github_apps', origin, message }));
  return [...refused, ...refuseAdmins({ config, origins })];
};

/** A problem for each key of `notYet` that somebody set to anything but its default, and for values like them. */
export const refuseUnsupported = (chosen: Chosen): ServerConfigProblem[] => [
  ...refuseKeys(chosen),
  ...refuseValues(chosen),
];

const refuseKeys = ({ config, origins, configWithout }: Chosen): ServerConfigProblem[] =>
  notYet.flatMap((name) => {
    const path = settingKeys.get(name)?.path ?? [];
    const origin = origins.get(name) ?? { kind: 'default' };
    if (origin.kind === 'default') return [];
    const byDefault = valueAt(configWithout(name), path);
    if (isDeepStrictEqual(valueAt(config, path), byDefault)) return [];
    const message = `is not supported by this version yet: leave it out${describeDefault(byDefault)}`;
    return [{ key: name, origin, message }];
  });
