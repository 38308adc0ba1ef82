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
  'github_apps',
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

/** A problem for each key of `notYet` that somebody set to anything but its default. */
export const refuseUnsupported = ({ config, origins, configWithout }: Chosen): ServerConfigProblem[] =>
  notYet.flatMap((name) => {
    const path = settingKeys.get(name)?.path ?? [];
    const origin = origins.get(name) ?? { kind: 'default' };
    if (origin.kind === 'default') return [];
    const byDefault = valueAt(configWithout(name), path);
    if (isDeepStrictEqual(valueAt(config, path), byDefault)) return [];
    const message = `is not supported by this version yet: leave it out${describeDefault(byDefault)}`;
    return [{ key: name, origin, message }];
  });
