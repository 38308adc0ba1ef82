// The API as its own document tells of it: what can be asked, and whether an answer is one that was promised.
import { fastify } from 'fastify';
import {
  type OpenApiDocument,
  type Operation,
  OpenApiDocument as Parsed,
  type Schema,
} from '../docs/openapi-document.ts';

export interface DocumentedOperation extends Operation {
  readonly path: string;
  readonly method: string;
}

export interface DocumentedApi {
  readonly document: OpenApiDocument;
  readonly operations: readonly DocumentedOperation[];
  /** Follows references. */
  resolve(schema: Schema): Schema;
  /** What is wrong with an answer: '' where the document promises such a one. */
  faultOf(operation: DocumentedOperation, answer: DocumentedAnswer): string;
}

export interface DocumentedAnswer {
  readonly status: number;
  /** '' where there is none. */
  readonly contentType: string;
  readonly body: string;
}

type Check = (value: unknown) => string;

/** By the validator that Fastify brings for JSON Schema, which changes nothing here and takes no other type. */
const createChecks = (document: OpenApiDocument) => {
  const app = fastify({
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        strict: false,
        validateFormats: false,
      },
    },
  });
  const compiled = new Map<Schema, Check>();
  let compile: ((schema: object) => { (value: unknown): boolean; errors?: unknown }) | null = null;
  app.get('/', async (request) => {
    compile = (schema) => request.compileValidationSchema(schema) as ReturnType<NonNullable<typeof compile>>;
    return '';
  });
  return {
    open: async (): Promise<void> => {
      await app.inject('/');
    },
    check: (schema: Schema): Check => {
      const known = compiled.get(schema);
      if (known !== undefined || compile === null) return known ?? (() => 'not open');
      // References are to parts of the document, which is therefore part of the schema.
      const validate = compile({ ...structuredClone(schema), components: document.components });
      const check: Check = (value) => (validate(value) ? '' : JSON.stringify(validate.errors));
      compiled.set(schema, check);
      return check;
    },
  };
};

const mediaTypeOf = (contentType: string): string => contentType.split(';', 1)[0]?.trim() ?? '';

/** @param json what `/v1/openapi.json` answers */
export const readApi = async (json: unknown): Promise<DocumentedApi> => {
  const document = Parsed.parse(json);
  const checks = createChecks(document);
  await checks.open();
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method })),
  );
  return {
    document,
    operations,
    resolve(schema) {
      const name = schema.$ref?.split('/').at(-1);
      return name === undefined ? schema : (document.components.schemas[name] ?? schema);
    },
    faultOf({ responses }, { status, contentType, body }) {
      const promised = responses[String(status)];
      if (promised === undefined) return `the status ${status} is not documented`;
      const types = Object.entries(promised.content ?? {});
      if (contentType === '') return body === '' ? '' : 'a body without a type';
      const type = types.find(([name]) => mediaTypeOf(name) === mediaTypeOf(contentType));
      if (type === undefined) return `the type ${contentType} is not documented for ${status}`;
      const [, { schema }] = type;
      if (mediaTypeOf(contentType) !== 'application/json' || schema === undefined) return '';
      return checks.check(schema)(JSON.parse(body));
    },
  };
};
