// The settings that ekaci.toml gives, each with its line.
import {
  formatPath,
  holdsText,
  type SettingKey,
  sections,
  settingKeys,
  unknownSetting,
} from './server-config-keys.ts';
import type { Layer, ServerConfigProblem, Setting } from './setting.ts';
import { readToml, type TomlPath, type TomlText } from './toml-text.ts';

type ReadText = Extract<TomlText, { kind: 'read' }>;

interface Walk {
  readonly file: string;
  readonly text: ReadText;
  readonly settings: Setting[];
  readonly problems: ServerConfigProblem[];
}

const complain = (walk: Walk, path: TomlPath, message: string): void => {
  const origin = { kind: 'file', file: walk.file, line: walk.text.lineOf(path) } as const;
  walk.problems.push({ key: formatPath(path), origin, message });
};

/** TOML has octal numbers, and their value no longer tells that they were: `0o600` is meant as its digits. */
const asWritten = (walk: Walk, key: SettingKey, value: unknown): unknown => {
  const scalar = typeof value === 'number' && holdsText(key) ? walk.text.scalarOf(key.path) : null;
  return scalar?.startsWith('0o') ? scalar.slice(2).replaceAll('_', '') : value;
};

const takeSetting = (walk: Walk, key: SettingKey, value: unknown): void => {
  const { file, text } = walk;
  walk.settings.push({
    key,
    value: asWritten(walk, key, value),
    originOf: (path) => ({ kind: 'file', file, line: text.lineOf([...key.path, ...path]) }),
  });
};

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const takeSection = (walk: Walk, name: string, value: unknown): void => {
  if (!isTable(value)) return complain(walk, [name], `must be a table: [${name}]`);
  for (const [member, inner] of Object.entries(value)) {
    const key = settingKeys.get(`${name}.${member}`);
    if (key === undefined || member.includes('.')) {
      complain(walk, [name, member], unknownSetting(name, member));
    } else takeSetting(walk, key, inner);
  }
};

/** Reads the text of a configuration file. */
export const readFileLayer = (file: string, source: string): Layer => {
  const text = readToml(source);
  if (text.kind === 'invalid') {
    const origin = { kind: 'file', file, line: text.line } as const;
    const message = `column ${text.column}: ${text.message}`;
    return { settings: [], problems: [{ key: '', origin, message }], warnings: [] };
  }
  const walk: Walk = { file, text, settings: [], problems: [] };
  for (const [name, value] of Object.entries(text.table)) {
    const key = name.includes('.') ? undefined : settingKeys.get(name);
    if (sections.has(name)) takeSection(walk, name, value);
    else if (key === undefined) complain(walk, [name], unknownSetting(null, name));
    else takeSetting(walk, key, value);
  }
  return { settings: walk.settings, problems: walk.problems, warnings: [] };
};
