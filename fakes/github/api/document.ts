// The extract of GitHub's OpenAPI document, and what is wrong by it with a request, an answer or a delivery.
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { isJsonObject, type Json, type JsonObject } from '../state/json.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'header' | 'path' | 'query';
  readonly required: boolean;
  readonly schema: JsonObject;
}

export interface Operation {
  /** In capitals. */
  readonly method: string;
  /** With `{names}`. */
  readonly path: string;
  readonly documentation: string;
  readonly parameters: readonly Parameter[];
  readonly hasBody: boolean;
  readonly bodyRequired: boolean;
  readonly statuses: readonly string[];
}

export interface RequestParts {
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Json | undefined;
}

/** `wrong` violates the document; `unknown` is what GitHub ignores, and a client did not mean to send. */
export interface RequestProblems {
  readonly wrongPath: readonly string[];
  readonly wrong: readonly string[];
  readonly unknown: readonly string[];
}

export interface ApiDocument {
  readonly version: string;
  readonly operations: readonly Operation[];
  readonly webhooks: ReadonlySet<string>;
  findRequestProblems(operation: Operation, parts: RequestParts): RequestProblems;
  findAnswerProblems(operation: Operation, status: number, body: Json | null): readonly string[];
  /** @param name the event, then its action where it has one: `check-run-created` */
  findDeliveryProblems(name: string, payload: Json): readonly string[];
}

interface WrittenOperation {
  readonly documentation: string | null;
  readonly parameters: readonly Parameter[];
  readonly body: JsonObject | null;
  readonly bodyRequired: boolean;
  readonly responses: Readonly<Record<string, JsonObject | null>>;
}

interface WrittenDocument {
  readonly version: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, WrittenOperation>>>>;
  readonly webhooks: Readonly<Record<string, JsonObject>>;
  readonly components: JsonObject;
}

const pointer = (...segments: readonly string[]): string =>
  `github#/${segments
    .map((one) => encodeURIComponent(one.replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/')}`;

/** Query and path are text: a number or a boolean is what reads as one. */
const coerce = (text: string, { type }: JsonObject): Json => {
  if ((type === 'integer' || type === 'number') && /^-?\d+$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
};

const listOperations = (document: WrittenDocument): Operation[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, written]) => ({
      method: method.toUpperCase(),
      path,
      documentation: written.documentation ?? 'https://docs.github.com/rest',
      parameters: written.parameters,
      hasBody: written.body !== null,
      bodyRequired: written.bodyRequired,
      statuses: Object.keys(written.responses),
    })),
  );

export const readApiDocument = (): ApiDocument => {
  const text = readFileSync(new URL('github-openapi.json', import.meta.url), 'utf8');
  const document = JSON.parse(text) as WrittenDocument;
  // What the document has of schemas is checked once, by a test: at each start it would be half of the time.
  const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false });
  addFormats.default(ajv);
  // The addresses of bots have brackets: GitHub does not keep to its own format.
  ajv.addFormat('email', true);
  ajv.addSchema(document, 'github');
  const compiled = new Map<string, ValidateFunction>();
  const check = (at: string, value: Json, what: string): string[] => {
    // Compiled when it is asked for: the whole document would take seconds at each start.
    const validate = compiled.get(at) ?? ajv.compile({ $ref: at });
    compiled.set(at, validate);
    if (validate(value)) return [];
    return (validate.errors ?? [])
      .slice(0, 20)
      .map(
        ({ instancePath, message = '', params }) =>
          `${what}${instancePath} ${message} ${JSON.stringify(params)}`,
      );
  };
  const checkParameter = (parameter: Parameter, value: string | null): string[] => {
    if (value === null) return parameter.required ? [`${parameter.name} is missing`] : [];
    const key = `parameter:${JSON.stringify(parameter.schema)}`;
    const validate =
      compiled.get(key) ??
      ajv.compile(JSON.parse(JSON.stringify(parameter.schema).replaceAll('"#/', '"github#/')) as JsonObject);
    compiled.set(key, validate);
    return validate(coerce(value, parameter.schema))
      ? []
      : [`${parameter.in}.${parameter.name} ${validate.errors?.[0]?.message ?? 'is wrong'}`];
  };
  const written = ({ method, path }: Operation): WrittenOperation | undefined =>
    document.paths[path]?.[method.toLowerCase()];
  const checkBody = (operation: Operation, body: Json | undefined): string[] => {
    if (!operation.hasBody) return [];
    if (body === undefined) return operation.bodyRequired ? ['a body is missing'] : [];
    return check(pointer('paths', operation.path, operation.method.toLowerCase(), 'body'), body, 'body');
  };
  const unknownMembers = (operation: Operation, { query, body }: RequestParts): string[] => {
    const names = new Set(operation.parameters.filter((one) => one.in === 'query').map(({ name }) => name));
    const queries = [...query.keys()].filter((name) => !names.has(name)).map((name) => `query.${name}`);
    const properties = written(operation)?.body?.['properties'];
    const known = isJsonObject(properties) ? new Set(Object.keys(properties)) : null;
    const members = isJsonObject(body) ? Object.keys(body) : [];
    return [...queries, ...members.filter((name) => known?.has(name) !== true).map((name) => `body.${name}`)];
  };
  return {
    version: document.version,
    operations: listOperations(document),
    webhooks: new Set(Object.keys(document.webhooks)),
    findRequestProblems: (operation, parts) => {
      const by = (place: Parameter['in'], read: (name: string) => string | null): string[] =>
        operation.parameters
          .filter((one) => one.in === place)
          .flatMap((one) => checkParameter(one, read(one.name)));
      return {
        wrongPath: by('path', (name) => parts.path[name] ?? null),
        wrong: [...by('query', (name) => parts.query.get(name)), ...checkBody(operation, parts.body)],
        unknown: unknownMembers(operation, parts),
      };
    },
    findAnswerProblems: (operation, status, body) => {
      const responses = written(operation)?.responses ?? {};
      if (status < 400 && status !== 304 && !(`${status}` in responses))
        return [`the document has no answer ${status}`];
      const schema = responses[`${status}`] ?? null;
      if (schema !== null) {
        const at = pointer('paths', operation.path, operation.method.toLowerCase(), 'responses', `${status}`);
        return check(at, body, 'answer');
      }
      if (status >= 400) return check(pointer('components', 'schemas', 'basic-error'), body, 'answer');
      return status === 204 && body !== null ? ['204 has no body'] : [];
    },
    findDeliveryProblems: (name, payload) =>
      name in document.webhooks
        ? check(pointer('webhooks', name), payload, name)
        : [`the document has no delivery ${name}`],
  };
};
