// Spelling of keys in a repository's configuration, decided by walking its schema: kebab-case becomes snake_case,
// unknown keys are left out with a warning, keys of older files are refused. Names of jobs are values, not keys.
import { z } from 'zod';
import { nearestNames } from '../lib/nearest-name.ts';
import type { JsonObject, JsonText, JsonValue } from './json-text.ts';

export type ConfigPath = readonly (string | number)[];

/** Something to say about one place of the file. */
export interface Remark {
  readonly path: ConfigPath;
  readonly message: string;
  /** Into the file's text; null where the file has no such place. */
  readonly offset: number | null;
}

export interface SpelledConfig {
  /** The value with every known key in snake_case and no unknown one. */
  readonly value: JsonValue;
  readonly errors: readonly Remark[];
  readonly warnings: readonly Remark[];
  /** Where a path of `value` begins in the text; of a missing member, where what should hold it begins. */
  offsetOf(path: ConfigPath): number;
}

const replacements: Readonly<Record<string, string>> = {
  post_build_hooks:
    'is no longer read: the operator defines hooks in the server\'s ekaci.toml, and a job names them by id in "hooks"',
  fod_post_build_hooks:
    'is no longer read: the operator defines a hook with on = ["fod"] in the server\'s ekaci.toml, and a job names it by id in "hooks"',
  ro_bind:
    'is no longer read: a check sees the checkout and the store only; take what it needs from a shell ("shell" or "shell_nix")',
};

/** Past this many, what is wrong is clear, and the message stays readable. */
const mostRemarks = 100;

interface Walk {
  readonly text: JsonText;
  readonly errors: Remark[];
  readonly warnings: Remark[];
  /** Offsets of the members of the rewritten containers. */
  readonly members: WeakMap<object, ReadonlyMap<string | number, number>>;
}

const add = (to: Remark[], remark: Remark): void => {
  if (to.length < mostRemarks) to.push(remark);
};

/** The schema below its wrappers of default and optionality. */
const unwrap = (schema: z.core.$ZodType): z.core.$ZodType => {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    return unwrap(schema.unwrap());
  }
  return schema;
};

const isObject = (value: JsonValue): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

type Shape = Readonly<Record<string, z.core.$ZodType>>;

/** A value of the file as it was written. */
interface Written<Value extends JsonValue = JsonValue> {
  readonly value: Value;
  readonly path: ConfigPath;
}

const remarkUnknown = (walk: Walk, remark: Omit<Remark, 'message'>, known: readonly string[]): void => {
  const key = String(remark.path.at(-1));
  const replacement = replacements[key.replaceAll('-', '_')];
  if (replacement !== undefined) {
    add(walk.errors, { ...remark, message: replacement });
    return;
  }
  const [near] = nearestNames(key.replaceAll('-', '_'), known, 1);
  const hint = near === undefined ? `known here: ${known.join(', ')}` : `did you mean "${near}"?`;
  add(walk.warnings, { ...remark, message: `unknown key, ignored; ${hint}` });
};

const spellObject = (walk: Walk, shape: Shape, { value, path }: Written<JsonObject>): JsonValue => {
  const written = walk.text.membersOf(value);
  const spelled: Record<string, JsonValue> = {};
  const offsets = new Map<string | number, number>();
  const known = Object.keys(shape);
  for (const [name, member] of Object.entries(value)) {
    const key = Object.hasOwn(shape, name) ? name : name.replaceAll('-', '_');
    const offset = written?.get(name) ?? null;
    const child = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (child === undefined) {
      remarkUnknown(walk, { path: [...path, name], offset }, known);
    } else if (Object.hasOwn(spelled, key)) {
      const message = `is given twice, as "${key}" and as "${key.replaceAll('_', '-')}": keep one`;
      add(walk.errors, { path: [...path, key], message, offset });
    } else {
      if (offset !== null) offsets.set(key, offset);
      spelled[key] = spell(walk, child, { value: member, path: [...path, key] });
    }
  }
  walk.members.set(spelled, offsets);
  return spelled;
};

const spell = (walk: Walk, wrapped: z.core.$ZodType, { value, path }: Written): JsonValue => {
  const schema = unwrap(wrapped);
  if (typeof value !== 'object' || value === null) return value;
  if (schema instanceof z.ZodObject && isObject(value))
    return spellObject(walk, schema.shape, { value, path });
  let spelled: JsonValue & object = value;
  if (schema instanceof z.ZodRecord && isObject(value)) {
    const spellMember = ([name, member]: [string, JsonValue]): [string, JsonValue] => [
      name,
      spell(walk, schema.valueType, { value: member, path: [...path, name] }),
    ];
    spelled = Object.fromEntries(Object.entries(value).map(spellMember));
  } else if (schema instanceof z.ZodArray && Array.isArray(value)) {
    spelled = value.map((item: JsonValue, index) =>
      spell(walk, schema.element, { value: item, path: [...path, index] }),
    );
  }
  const offsets = walk.text.membersOf(value);
  if (offsets !== undefined) walk.members.set(spelled, offsets);
  return spelled;
};

/** Brings a configuration file's keys into the schema's spelling. The result is still to be parsed by the schema. */
export const spellKeys = (schema: z.core.$ZodType, text: JsonText): SpelledConfig => {
  const walk: Walk = { text, errors: [], warnings: [], members: new WeakMap() };
  const value = spell(walk, schema, { value: text.value, path: [] });
  const offsetOf = (path: ConfigPath): number => {
    let offset = 0;
    let container: JsonValue | undefined = value;
    for (const key of path) {
      if (typeof container !== 'object' || container === null) break;
      offset = walk.members.get(container)?.get(key) ?? offset;
      container = Array.isArray(container)
        ? (container as readonly JsonValue[])[Number(key)]
        : (container as JsonObject)[String(key)];
    }
    return offset;
  };
  return { value, errors: walk.errors, warnings: walk.warnings, offsetOf };
};
