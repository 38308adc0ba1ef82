// Writes github-openapi.json: what the fake checks itself by, out of GitHub's published OpenAPI document.
//
//   node fakes/github/api/extract.ts PATH
//
// PATH is `generated/api.github.com.json` of the npm package @octokit/openapi, which is nobody's dependency here: unpack
// it anywhere. What is kept are the operations of used-paths.ts and the schemas that they reach, without prose and
// examples, and with `nullable` (which only OpenAPI 3.0 has) said in JSON Schema.
import { readFile, writeFile } from 'node:fs/promises';
import { usedPaths, usedWebhooks } from './used-paths.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const at = (from: Json | undefined, ...keys: string[]): Json | undefined =>
  keys.reduce<Json | undefined>((value, key) => (isObject(value) ? value[key] : undefined), from);

const prose = new Set([
  'description',
  'example',
  'examples',
  'externalDocs',
  'discriminator',
  'xml',
  'deprecated',
]);

const withNull = (schema: JsonObject): Json => {
  const { type, enum: values } = schema;
  if (typeof type !== 'string') return { anyOf: [schema, { type: 'null' }] };
  const choices =
    Array.isArray(values) && !values.includes(null) ? { enum: [...(values as readonly Json[]), null] } : {};
  return { ...schema, type: [type, 'null'], ...choices };
};

/** Events that apps subscribe to: the document's lists are older than merge groups. */
const withoutChoices = (schema: Json): Json =>
  at(schema, 'type') === 'array' ? { type: 'array', items: { type: 'string' } } : schema;

/** A schema as JSON Schema has it. Members of `properties` may be named like keywords, so those are told apart. */
const toJsonSchema = (schema: Json): Json => {
  if (Array.isArray(schema)) return schema.map(toJsonSchema);
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema)
    .filter(([key]) => !prose.has(key) && !key.startsWith('x-') && key !== 'nullable' && key !== 'title')
    .map(([key, value]): [string, Json] => {
      if (key === 'enum' || key === 'default' || key === 'required') return [key, value];
      if (key !== 'properties' || !isObject(value)) return [key, toJsonSchema(value)];
      const members = Object.entries(value).map(([name, one]): [string, Json] => [
        name,
        toJsonSchema(name === 'events' ? withoutChoices(one) : one),
      ]);
      return [key, Object.fromEntries(members)];
    });
  const plain = Object.fromEntries(entries);
  return schema['nullable'] === true ? withNull(plain) : plain;
};

const document = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as JsonObject;

const resolve = (value: Json): Json => {
  const reference = at(value, '$ref');
  if (typeof reference !== 'string') return value;
  return at(document, ...reference.replace(/^#\//, '').split('/')) ?? null;
};

const jsonSchemaOf = (content: Json | undefined): Json => {
  const schema = at(content, 'content', 'application/json', 'schema');
  return schema === undefined ? null : toJsonSchema(schema);
};

const extractParameter = (written: Json): Json => {
  const parameter = resolve(written);
  return {
    name: at(parameter, 'name') ?? null,
    in: at(parameter, 'in') ?? null,
    required: at(parameter, 'required') ?? false,
    schema: toJsonSchema(at(parameter, 'schema') ?? {}),
  };
};

/**
 * Where the document contradicts GitHub. The `account` of this list is said to be a user and an enterprise at once; the
 * head of a pull request has neither repository nor user once its fork was deleted.
 */
const corrections: Readonly<Record<string, JsonObject>> = {
  'apps/list-installations': { type: 'array', items: { $ref: '#/components/schemas/installation' } },
};

const correctSchema = (name: string, schema: Json): Json => {
  if (name !== 'pull-request' && name !== 'pull-request-simple') return schema;
  const orNull = (value: Json | undefined): Json => ({ anyOf: [value ?? {}, { type: 'null' }] });
  const head = at(schema, 'properties', 'head');
  const [repo, user] = [at(head, 'properties', 'repo'), at(head, 'properties', 'user')];
  if (!isObject(schema) || !isObject(head)) throw new Error(`${name} has no head any more`);
  const members = { ...(head['properties'] as JsonObject), repo: orNull(repo), user: orNull(user) };
  const properties = { ...(schema['properties'] as JsonObject), head: { ...head, properties: members } };
  return { ...schema, properties };
};

const extractOperation = (operation: Json): Json => {
  const id = at(operation, 'operationId');
  const body = at(operation, 'requestBody');
  const parameters = at(operation, 'parameters');
  const responses = at(operation, 'responses');
  if (!isObject(responses)) throw new Error('an operation without answers');
  return {
    operationId: id ?? null,
    documentation: at(operation, 'externalDocs', 'url') ?? null,
    parameters: Array.isArray(parameters) ? parameters.map(extractParameter) : [],
    body: body === undefined ? null : jsonSchemaOf(resolve(body)),
    bodyRequired: at(body, 'required') ?? false,
    responses: Object.fromEntries(
      Object.entries(responses).map(([status, response]) => {
        const correction = status === '200' ? corrections[typeof id === 'string' ? id : ''] : undefined;
        return [status, correction ?? jsonSchemaOf(resolve(response))];
      }),
    ),
  };
};

const paths = Object.fromEntries(
  Object.entries(usedPaths).map(([path, methods]) => [
    path,
    Object.fromEntries(
      methods.map((method) => {
        const operation = at(document, 'paths', path, method);
        if (operation === undefined) throw new Error(`the document has no ${method} ${path}`);
        return [method, extractOperation(operation)];
      }),
    ),
  ]),
);

const webhooks = Object.fromEntries(
  usedWebhooks.map((name) => {
    const body = at(document, 'x-webhooks', name, 'post', 'requestBody');
    if (body === undefined) throw new Error(`the document has no webhook ${name}`);
    return [name, jsonSchemaOf(body)];
  }),
);

/** Follows references until no schema is reached that is not there yet. */
const reachSchemas = (roots: Json): JsonObject => {
  const reached = new Map<string, Json>();
  const visit = (value: Json): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (!isObject(value)) return;
    const reference = value['$ref'];
    const name = typeof reference === 'string' ? (reference.split('/').at(-1) ?? '') : null;
    if (name !== null && !reached.has(name)) {
      const schema = correctSchema(name, toJsonSchema(at(document, 'components', 'schemas', name) ?? null));
      if (schema === null) throw new Error(`the document has no schema ${name}`);
      reached.set(name, schema);
      visit(schema);
    }
    Object.values(value).forEach(visit);
  };
  visit(roots);
  return Object.fromEntries([...reached].toSorted(([a], [b]) => (a < b ? -1 : 1)));
};

const schemas = reachSchemas([
  paths,
  webhooks,
  { $ref: '#/components/schemas/basic-error' },
  { $ref: '#/components/schemas/validation-error' },
]);
const extract = {
  source:
    "GitHub's OpenAPI document of api.github.com, as published in the npm package @octokit/openapi (MIT licence)",
  version: at(document, 'info', 'version') ?? null,
  paths,
  webhooks,
  components: { schemas },
};
const target = new URL('github-openapi.json', import.meta.url);
const rows = (name: string, value: JsonObject): string =>
  `"${name}":{\n${Object.entries(value)
    .map(([key, one]) => `${JSON.stringify(key)}:${JSON.stringify(one)}`)
    .join(',\n')}\n}`;
await writeFile(
  target,
  `{"source":${JSON.stringify(extract.source)},"version":${JSON.stringify(extract.version)},\n${rows('paths', paths)},\n${rows('webhooks', webhooks)},\n"components":{${rows('schemas', schemas)}}}\n`,
);
