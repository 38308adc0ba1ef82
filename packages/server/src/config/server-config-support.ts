// What this version cannot do yet. A key of such a feature is refused when it is set, for an operator who sets it
// relies on it. Whoever builds a feature takes its keys out of this list, and nothing else is to be done here.
import { isDeepStrictEqual } from 'node:util';
import type { ServerConfig } from './server-config-defaults.ts';
import { settingKeys, valueAt } from './server-config-keys.ts';
import type { Origin, ServerConfigProblem } from './setting.ts';

/** Dotted names, as in `web.metrics_token`. Every other key is supported. */
export const notYet: readonly string[] = [
  'database_url',
  'require_approval',
  'merge_queue_require_approval',
  'default_merge_method',
  'admins',
  'trusted_bots',
  'web.bundle_path',
  'web.allowed_origins',
  'oauth.client_id',
  'oauth.client_secret',
  'oauth.redirect_url',
  'oauth.jwt_secret',
  'security.max_hook_timeout_seconds',
  'security.audit_hooks',
  'security.allow_private_cache_hosts',
  'evaluation.allow_import_from_derivation',
  'evaluation.allow_network',
  'sandbox.max_memory_mib',
  'sandbox.max_cpu_seconds',
  'sandbox.max_processes',
  'sandbox.max_output_mib',
  'gitea_instances',
  'gitlab_instances',
  'caches',
  'hooks',
];

const describeDefault = (value: unknown): string =>
  ['string', 'number', 'boolean'].includes(typeof value) ? ` (its default is ${JSON.stringify(value)})` : '';

interface Chosen {
  readonly config: ServerConfig;
  readonly origins: ReadonlyMap<string, Origin>;
  /** The same configuration with one key at its default. */
  readonly configWithout: (name: string) => ServerConfig;
}

/** Credential sources that this version cannot ask. */
const sourcesNotYet: readonly string[] = ['aws-profile', 'vault', 'aws-secrets-manager', 'instance-metadata'];

/** Values of keys that are supported. */
const refuseValues = ({ config, origins }: Chosen): ServerConfigProblem[] => {
  const origin = origins.get('github_apps') ?? { kind: 'default' };
  const apps = config.github_apps;
  const sources = apps.flatMap(({ id, credentials }) =>
    sourcesNotYet.includes(credentials.kind)
      ? [
          `${id}: credentials from ${credentials.kind} are not supported by this version yet: use env, file or systemd-credential`,
        ]
      : [],
  );
  const hosts =
    new Set(apps.map(({ api_url }) => api_url)).size > 1
      ? ['apps of several GitHub servers are not supported by this version yet: give all of them one api_url']
      : [];
  return [...sources, ...hosts].map((message) => ({ key: 'github_apps', origin, message }));
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
