// Values as a JSON schema describes them, and values that a client would send only by mistake or on purpose.
import * as fc from 'fast-check';
import type { Schema } from '../docs/openapi-document.ts';
import type { DocumentedApi } from './documented.ts';

type Resolve = DocumentedApi['resolve'];

const stringOf = ({ pattern, format, minLength = 0, maxLength = 40 }: Schema): fc.Arbitrary<string> => {
  if (format === 'uuid') return fc.uuid();
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  return fc.string({ minLength, maxLength: Math.min(Math.max(minLength, 40), maxLength) });
};

const integerOf = ({ minimum = 0, maximum = 1000, exclusiveMinimum }: Schema): fc.Arbitrary<number> => {
  const min = Math.max(exclusiveMinimum === undefined ? minimum : exclusiveMinimum + 1, -1000);
  return fc.integer({ min, max: Math.max(min, Math.min(maximum, 10_000)) });
};

const objectOf = (schema: Schema, resolve: Resolve): fc.Arbitrary<unknown> => {
  const properties = Object.entries(schema.properties ?? {});
  const fields = Object.fromEntries(properties.map(([name, one]) => [name, valid(one, resolve)]));
  return fc.record(fields, { requiredKeys: schema.required ?? [] });
};

/** Whatever the schema allows, though not everything that it does. */
export const valid = (schema: Schema, resolve: Resolve): fc.Arbitrary<unknown> => {
  const known = resolve(schema);
  if (known.const !== undefined) return fc.constant(known.const);
  if (known.enum !== undefined) return fc.constantFrom(...known.enum);
  const choices = known.anyOf ?? known.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((one) => valid(one, resolve)));
  switch (String(known.type)) {
    case 'string':
      return stringOf(known);
    case 'integer':
    case 'number':
      return integerOf(known);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return typeof known.items === 'object'
        ? fc.array(valid(known.items, resolve), { minLength: known.minItems ?? 0, maxLength: 3 })
        : fc.constant([]);
    case 'object':
      return objectOf(known, resolve);
    default:
      return fc.jsonValue();
  }
};

/** Texts where something else is expected. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '..',
    '../../etc/passwd',
    '..\\..',
    '%2e%2e%2f',
    '\0',
    'a\0b',
    '\u202egnp.exe',
    '💥',
    '\ufffe',
    'é\u0301',
    '-1',
    '0',
    '1e309',
    '0x10',
    '9007199254740993',
    'NaN',
    'null',
    'true',
    '[]',
    '{}',
    "' OR 1=1 --",
    '%',
    '_',
    '<script>alert(1)</script>',
    '\r\nSet-Cookie: a=b',
    '\u001b[31m',
    '*',
    'toString',
    '__proto__',
    'constructor',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed()),
  fc.integer({ min: 200, max: 5000 }).map((length) => 'a'.repeat(length)),
);

const deep: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('[', '{"a":'), fc.constantFrom(5, 33, 10_000))
  .map(([sign, depth]) => {
    const end = sign === '[' ? ']' : '}';
    return sign.repeat(depth) + (sign === '[' ? '' : '1') + end.repeat(depth);
  });

/** One field is gone, of another type, or there is one more. */
const bent = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(value, fc.nat(), fc.constantFrom('drop', 'replace', 'add'), fc.jsonValue())
    .map(([one, at, how, other]) => {
      const entries = Object.entries(one ?? {});
      if (entries.length === 0) return other;
      const place = at % entries.length;
      if (how === 'add') return Object.fromEntries([...entries, ['unknown-key', other]]);
      if (how === 'drop') return Object.fromEntries(entries.toSpliced(place, 1));
      return Object.fromEntries(entries.with(place, [entries[place]?.[0] ?? 'key', other]));
    });

/** Bodies as text: of the form, nearly so, and not at all. */
export const bodies = (schema: Schema, resolve: Resolve): fc.Arbitrary<string> => {
  const good = valid(schema, resolve);
  return fc.oneof(
    { arbitrary: good.map((value) => JSON.stringify(value)), weight: 3 },
    { arbitrary: bent(good).map((value) => JSON.stringify(value)), weight: 3 },
    { arbitrary: fc.jsonValue().map((value) => JSON.stringify(value)), weight: 1 },
    { arbitrary: deep, weight: 1 },
    { arbitrary: hostileText, weight: 1 },
  );
};
