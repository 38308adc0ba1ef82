// The keys of ekaci.toml, read off its schema: which there are, what a text means for each, and what is wrong with a
// value, place by place.
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { nearestNames } from '../lib/nearest-name.ts';
import { holdsSecret } from './secret.ts';
import { ServerConfigSchema } from './server-config-schema.ts';
import type { TomlPath } from './toml-text.ts';

type Schema = z.core.$ZodType;
type Shape = Readonly<Record<string, Schema>>;

/** One key: `name` is its dotted name (`web.port`), `path` the parts of it. */
export interface SettingKey {
  readonly name: string;
  readonly path: readonly string[];
  readonly schema: Schema;
}

/** The schema below its wrappers of default, optionality and conversion. */
const unwrap = (schema: Schema): Schema => {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    return unwrap(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? unwrap(schema.in) : schema;
};

const shapeOf = (schema: Schema): Shape | null => {
  const inner = unwrap(schema);
  return inner instanceof z.ZodObject ? inner.shape : null;
};

const collectKeys = (): SettingKey[] =>
  Object.entries<Schema>(ServerConfigSchema.shape).flatMap(([name, schema]) => {
    const members = shapeOf(schema);
    if (members === null) return [{ name, path: [name], schema }];
    return Object.entries(members).map(([key, member]) => ({
      name: `${name}.${key}`,
      path: [name, key],
      schema: member,
    }));
  });

/** Every key by its dotted name, in the order of the documentation. A list of tables is one key. */
export const settingKeys: ReadonlyMap<string, SettingKey> = new Map(
  collectKeys().map((key) => [key.name, key]),
);

/** The sections (`web`), each with the names of its keys. */
export const sections: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries<Schema>(ServerConfigSchema.shape).flatMap(([name, schema]) => {
    const members = shapeOf(schema);
    return members === null ? [] : [[name, Object.keys(members)] as const];
  }),
);

const topLevelNames = Object.keys(ServerConfigSchema.shape);

/** The value of a key in a configuration; undefined where it has none. */
export const valueAt = (config: object, path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null
        ? new Map<string, unknown>(Object.entries(value)).get(part)
        : undefined,
    config,
  );

/** A dotted path for people: `caches[1].id`. */
export const formatPath = (path: TomlPath): string =>
  path.reduce<string>((before, part) => {
    if (typeof part === 'number') return `${before}[${part}]`;
    const name = /^[\w-]+$/.test(part) ? part : JSON.stringify(part);
    return before === '' ? name : `${before}.${name}`;
  }, '');

/** The known key that somebody probably meant: by a slip of the pen, or by leaving off its unit. */
const nearestKey = (key: string, known: readonly string[]): string | undefined =>
  nearestNames(key, known, 1)[0] ??
  known.find((name) => key.length > 2 && (name.startsWith(`${key}_`) || key.startsWith(`${name}_`)));

const unknown = 'is not a known key';

const suggestKey = (key: string, known: readonly string[]): string => {
  const near = nearestKey(key, known);
  return near === undefined
    ? `${unknown}; known here: ${known.join(', ')}`
    : `${unknown}; did you mean "${near}"?`;
};

/** What to say of a key that a section (null: the file itself) does not have: the right one may be elsewhere. */
export const unknownSetting = (section: string | null, key: string): string => {
  const here = section === null ? topLevelNames : (sections.get(section) ?? []);
  const near = nearestKey(key, here);
  if (near !== undefined) {
    return `${unknown}; did you mean "${section === null ? near : `${section}.${near}`}"?`;
  }
  const last = nearestKey(key, [...new Set([...settingKeys.values()].map(({ path }) => path.at(-1) ?? ''))]);
  const elsewhere = [...settingKeys.values()].find(({ path }) => path.at(-1) === last);
  return elsewhere === undefined ? suggestKey(key, here) : `${unknown}; did you mean "${elsewhere.name}"?`;
};

/** The names of a table's keys, given the path to it from the value of one key. */
const namesAt = (schema: Schema, path: TomlPath): readonly string[] => {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodUnion) {
    const branches: readonly Schema[] = inner.options;
    return branches.map((branch) => namesAt(branch, path)).find((names) => names.length > 0) ?? [];
  }
  const [first, ...rest] = path;
  if (inner instanceof z.ZodArray) return namesAt(inner.element, rest);
  const shape = shapeOf(inner);
  if (shape === null) return [];
  const member = first === undefined ? undefined : shape[first];
  return member === undefined ? Object.keys(shape) : namesAt(member, rest);
};

/** Something wrong at a place inside the value of a key; an empty path is the value itself. */
export interface Fault {
  readonly path: TomlPath;
  readonly message: string;
}

const withoutSymbols = (path: readonly PropertyKey[]): TomlPath =>
  path.filter((part) => typeof part !== 'symbol');

const isOfWrongType = ({ path, code }: z.core.$ZodIssue): boolean =>
  path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');

/** Of a union, the complaints of the branch whose type the value has, if there is such. */
const branchIssues = (issue: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] | undefined =>
  issue.errors.find((issues) => !issues.some(isOfWrongType));

const faultsOf = (schema: Schema, issue: z.core.$ZodIssue, base: TomlPath): Fault[] => {
  const path = [...base, ...withoutSymbols(issue.path)];
  if (issue.code === 'unrecognized_keys') {
    const known = namesAt(schema, path);
    return issue.keys.map((key) => ({ path: [...path, key], message: suggestKey(key, known) }));
  }
  const inner = issue.code === 'invalid_union' ? branchIssues(issue) : undefined;
  if (inner === undefined) return [{ path, message: issue.message }];
  return inner.flatMap((nested) => faultsOf(schema, nested, path));
};

/** What is wrong with a value for a key, each fault once. */
export const checkValue = ({ schema }: SettingKey, value: unknown): readonly Fault[] => {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return [];
  const faults = parsed.error.issues.flatMap((issue) => faultsOf(schema, issue, []));
  return [...new Map(faults.map((fault) => [`${formatPath(fault.path)}: ${fault.message}`, fault])).values()];
};

/** Whether a value for a key is, or holds, a secret. */
export const isSecret = ({ schema }: SettingKey, value: unknown): boolean => {
  const parsed = z.safeParse(schema, value);
  return parsed.success && holdsSecret(parsed.data);
};

/** JSON has a null and TOML has none: it means that the key is not given. */
const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([key, member]) => [key, withoutNulls(member)]));
};

/** A list or table, written as JSON or as a TOML value; undefined when it is neither. */
const parseStructure = (text: string): unknown => {
  try {
    return withoutNulls(JSON.parse(text));
  } catch {
    // TOML, then.
  }
  try {
    const document = parse(`value = ${text}`, { maxDepth: 32, unsafeKeyBehaviour: 'throw' });
    return Object.keys(document).length === 1 ? document['value'] : undefined;
  } catch (error) {
    if (error instanceof TomlError) return undefined;
    throw error;
  }
};

export type TextValue =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'unreadable'; readonly message: string };

const valueOf = (value: unknown): TextValue => ({ kind: 'value', value });

/** Reads a list or a table. */
export const structureFromText = (text: string, what: 'list' | 'table'): TextValue => {
  const value = parseStructure(text);
  const fits = what === 'list' ? Array.isArray(value) : typeof value === 'object' && !Array.isArray(value);
  if (fits && value !== null && value !== undefined) return valueOf(value);
  const example = what === 'list' ? '["a", "b"]' : '{ key = "a" }';
  return { kind: 'unreadable', message: `must be a ${what} as JSON or as a TOML value, such as ${example}` };
};

/** What a text from the environment or the command line means for a key. It is still to be checked. */
export const valueFromText = ({ schema }: SettingKey, text: string): TextValue => {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodNumber) return valueOf(/^[+-]?\d+$/.test(text) ? Number(text) : text);
  if (inner instanceof z.ZodBoolean) return valueOf(text === 'true' ? true : text === 'false' ? false : text);
  if (inner instanceof z.ZodArray) return structureFromText(text, 'list');
  if (inner instanceof z.ZodUnion && text.startsWith('[')) {
    // One text or a list of them: a text that only looks like a list is taken as it is.
    const listed = structureFromText(text, 'list');
    return listed.kind === 'value' ? listed : valueOf(text);
  }
  return valueOf(text);
};

/** Whether a key holds a text, so that a number written in octal can stand for its digits. */
export const holdsText = ({ schema }: SettingKey): boolean => unwrap(schema) instanceof z.ZodString;
