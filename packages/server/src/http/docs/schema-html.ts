// A JSON schema the way people write types down.
import { escapeHtml } from '../html-text.ts';
import type { Schema } from './openapi-document.ts';

const indentOf = (depth: number): string => '  '.repeat(depth);

const valueOf = (value: unknown): string => escapeHtml(JSON.stringify(value));

const named = '#/components/schemas/';

export const anchorOfSchema = (name: string): string => `schema-${name}`;

const linkOf = (reference: string): string => {
  const name = reference.startsWith(named) ? reference.slice(named.length) : reference;
  return `<a href="#${escapeHtml(anchorOfSchema(name))}">${escapeHtml(name)}</a>`;
};

const objectOf = (schema: Schema, depth: number): string => {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const mark = required.has(name) ? '' : '?';
    return `${indentOf(depth + 1)}${escapeHtml(name)}${mark}: ${schemaHtml(property, depth + 1)}\n`;
  });
  const { additionalProperties: others } = schema;
  if (typeof others === 'object')
    rows.push(`${indentOf(depth + 1)}[name]: ${schemaHtml(others, depth + 1)}\n`);
  return rows.length === 0 ? 'object' : `{\n${rows.join('')}${indentOf(depth)}}`;
};

const arrayOf = ({ items }: Schema, depth: number): string => {
  if (typeof items !== 'object') return 'any[]';
  const item = schemaHtml(items, depth);
  const isChoice = (items.enum ?? items.anyOf ?? items.oneOf ?? items.allOf) !== undefined;
  return isChoice || Array.isArray(items.type) ? `(${item})[]` : `${item}[]`;
};

const simpleOf = (schema: Schema, type: string, depth: number): string => {
  switch (type) {
    case 'object':
      return objectOf(schema, depth);
    case 'array':
      return arrayOf(schema, depth);
    default:
      return escapeHtml(type);
  }
};

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];

/** @param depth how far it is indented */
export const schemaHtml = (schema: Schema, depth = 0): string => {
  if (schema.$ref !== undefined) return linkOf(schema.$ref);
  if (schema.const !== undefined) return valueOf(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(valueOf).join(' | ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return unique(choices.map((one) => schemaHtml(one, depth))).join(' | ');
  if (schema.allOf !== undefined) return schema.allOf.map((one) => schemaHtml(one, depth)).join(' &amp; ');
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  return types.length === 0 ? 'any' : types.map((type) => simpleOf(schema, type, depth)).join(' | ');
};

/** What the type does not say: bounds, form, default. */
export const boundsOf = (schema: Schema): string[] => {
  const { minimum, maximum, exclusiveMinimum, minLength, maxLength, pattern, format } = schema;
  return [
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `from ${minimum}` : '',
    exclusiveMinimum === undefined ? '' : `above ${exclusiveMinimum}`,
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `up to ${maximum}` : '',
    minLength === undefined ? '' : `at least ${minLength} character${minLength === 1 ? '' : 's'}`,
    maxLength === undefined ? '' : `at most ${maxLength} characters`,
    format === undefined ? '' : `format ${format}`,
    pattern === undefined ? '' : `matches ${pattern}`,
    schema.default === undefined ? '' : `${JSON.stringify(schema.default)} where absent`,
  ].filter((bound) => bound !== '');
};
