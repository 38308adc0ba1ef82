// One value that somebody gave to one key, and where: the four places a setting can come from.
import { formatPath, type SettingKey } from './server-config-keys.ts';
import type { TomlPath } from './toml-text.ts';

export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number }
  | { readonly kind: 'environment'; readonly name: string }
  /** `name` with its dashes. */
  | { readonly kind: 'flag'; readonly name: string };

/** For people, as in `ekaci.toml:12`. */
export const formatOrigin = (origin: Origin): string => {
  switch (origin.kind) {
    case 'default':
      return 'default';
    case 'file':
      return `${origin.file}:${origin.line}`;
    case 'environment':
      return `environment ${origin.name}`;
    case 'flag':
      return `flag ${origin.name}`;
  }
};

export interface Setting {
  readonly key: SettingKey;
  /** As written: not checked yet, and perhaps a secret. */
  readonly value: unknown;
  /** Where a place inside the value was written; of an empty path, where the key was. */
  originOf(path: TomlPath): Origin;
}

/** Something that is wrong with the configuration. Never shows a text that was given as a value. */
export interface ServerConfigProblem {
  /** As in `web.port` or `caches[1].id`; empty where no key is meant. */
  readonly key: string;
  readonly origin: Origin;
  readonly message: string;
}

/** The place, the key and what is wrong with it, on one line. */
export const formatProblem = ({ key, origin, message }: ServerConfigProblem): string => {
  const place = origin.kind === 'default' ? '' : `${formatOrigin(origin)}: `;
  return `${place}${key === '' ? '' : `${key}: `}${message}`;
};

export const problemAt = (setting: Setting, path: TomlPath, message: string): ServerConfigProblem => ({
  key: formatPath([...setting.key.path, ...path]),
  origin: setting.originOf(path),
  message,
});

/** What one source gives. Of several settings of one key the last holds. */
export interface Layer {
  readonly settings: readonly Setting[];
  readonly problems: readonly ServerConfigProblem[];
  readonly warnings: readonly string[];
}
