import { ErrorBody } from '@eka-ci/protocol/error';
import { Validator } from '@seriousme/openapi-schema-validator';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type DocumentedApi, type DocumentedOperation, readApi } from './testing/documented.ts';
import { valid } from './testing/from-schema.ts';
import { checkId, head, metricsToken, newChange, runCheck, type Served, serve } from './testing/served.ts';

const review = '01890a5d-ac96-774b-bcce-b302099a8057';

let served: Served;
let api: DocumentedApi;
let json: Record<string, unknown>;
beforeAll(async () => {
  served = await serve();
  await runCheck(served);
  await served.database.changes.save(newChange(review, { kind: 'submitted', number: 1 }));
  json = z.record(z.string(), z.unknown()).parse((await served.app.inject('/v1/openapi.json')).json());
  api = await readApi(json);
});
afterAll(() => served.close());

/** A value that there is something behind, of each parameter in a path, and of those in a query that are required. */
const samples = (): Readonly<Record<string, string>> => ({
  drv: served.drv,
  sha: head,
  forge: 'github',
  owner: 'example',
  repo: 'packages',
  number: '7',
  file: 'packages.svg',
  q: 'line',
  attr: 'python3.pkgs."a.b"',
  hook: 'notify',
  'getReview.id': review,
  'getCheck.id': checkId,
  'getCheckLog.id': checkId,
  'getJob.id': 'judged.0',
  'listJobDerivations.id': 'judged.0',
  'rebuildJob.id': 'judged.0',
});

/** Of what a test's server has none. */
const nothingThere = new Set(['getOrderedBuild', 'signIn', 'finishSignIn']);

/** Of what is not for everybody. */
const forSome = new Set([
  'listApiTokens',
  'listApprovedUsers',
  'listUsers',
  'listMaintainedPaths',
  'listOwnMaintainerRequests',
  'listMaintainerRequests',
  'listAttrMaintainers',
]);

/** What changes something, and is for everybody: there is nothing of theirs that it could change. */
const forAll = new Set(['signOut']);

const statusOf = (operationId: string): number => {
  if (forSome.has(operationId)) return 401;
  return nothingThere.has(operationId) ? 404 : 200;
};

/** What everybody may change who is known: what is their own, and what they ask of others. */
const ofTheirOwn = new Set(['removeApiToken', 'requestMaintainer']);

/** What does something is not to be done by looking. */
const withoutHead = new Set(['signIn', 'finishSignIn']);

const sampleOf = (operation: DocumentedOperation, name: string): string => {
  const { operationId, method, parameters } = operation;
  const known = samples()[`${operationId}.${name}`] ?? samples()[name];
  if (known !== undefined) return known;
  // Where nothing is to be found anyway, any value of the form will do.
  const schema = parameters?.find((one) => one.name === name)?.schema;
  const free = (method !== 'get' || nothingThere.has(operationId)) && schema !== undefined;
  if (!free) throw new Error(`${operationId} needs a sample of its parameter "${name}": add it here`);
  return String(fc.sample(valid(schema, api.resolve), { numRuns: 1, seed: 1 })[0]);
};

const urlOf = (operation: DocumentedOperation): string => {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(sampleOf(operation, name)),
  );
  const required = operation.parameters?.filter((one) => one.in === 'query' && one.required === true) ?? [];
  const query = new URLSearchParams(
    required.map(({ name }): [string, string] => [name, sampleOf(operation, name)]),
  );
  return query.size === 0 ? path : `${path}?${query.toString()}`;
};

const headers = { authorization: `Bearer ${metricsToken}` };
const reads = () => api.operations.filter(({ method }) => method === 'get');
const writes = () => api.operations.filter(({ method }) => method !== 'get');

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1, and every reference in it leads somewhere', async () => {
    expect(await new Validator().validate(structuredClone(json))).toMatchObject({ valid: true });
    expect(json).toMatchObject({ openapi: '3.1.0' });
    const references = [...JSON.stringify(json).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, name] of references) expect(Object.keys(api.document.components.schemas)).toContain(name);
  });

  it('has no operation twice, and none that a server does not have', () => {
    const ids = api.operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(reads().length).toBeGreaterThan(25);
    expect(writes().length).toBeGreaterThan(5);
  });

  it('says what every operation that reads answers, and HEAD has the same headers', async () => {
    for (const operation of reads()) {
      const { operationId } = operation;
      const url = urlOf(operation);
      const answer = await served.app.inject({ url, headers });
      const { statusCode: status, body } = answer;
      expect(status, `${operationId}: ${body}`).toBe(statusOf(operationId));
      const contentType = answer.headers['content-type'] ?? '';
      expect(api.faultOf(operation, { status, contentType, body }), operationId).toBe('');

      if (withoutHead.has(operationId)) continue;
      const onlyHead = await served.app.inject({ method: 'HEAD', url, headers });
      expect([onlyHead.statusCode, onlyHead.body], operationId).toEqual([status, '']);
      expect(onlyHead.headers.etag, operationId).toBe(answer.headers.etag);
      expect(onlyHead.headers['content-type'], operationId).toBe(answer.headers['content-type']);
      // The metrics tell of the request before them.
      if (operationId.startsWith('getMetrics')) continue;
      expect(onlyHead.headers['content-length'], operationId).toBe(answer.headers['content-length']);
    }
  });

  it('lets nobody change anything who is not known', async () => {
    for (const operation of writes()) {
      if (forAll.has(operation.operationId)) continue;
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      const body = schema === undefined ? [] : fc.sample(valid(schema, api.resolve), { numRuns: 1, seed: 2 });
      const answer = await served.app.inject({
        method: z.enum(['POST', 'PUT', 'PATCH', 'DELETE']).parse(operation.method.toUpperCase()),
        url: urlOf(operation),
        headers,
        ...(body.length > 0 && { payload: JSON.parse(JSON.stringify(body[0])) as object }),
      });
      expect(answer.json(), operation.operationId).toMatchObject({ error: { code: 'SIGN_IN_REQUIRED' } });
      expect(answer.statusCode).toBe(401);
    }
    expect(served.faults).toEqual([]);
  });

  it('lets who is known and has no right change nothing but what is theirs', async () => {
    const { auth } = served.deps;
    const somebody = { host: 'github.com', id: 1, login: 'somebody', atMs: 1000, isListed: false };
    const made = await auth.apiTokens.make(await auth.users.signIn(somebody), {
      name: 'n',
      expiresInDays: null,
    });
    const authorization = `Bearer ${made?.text ?? ''}`;
    for (const operation of writes()) {
      const { operationId } = operation;
      if (forAll.has(operationId) || ofTheirOwn.has(operationId)) continue;
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      const body = schema === undefined ? [] : fc.sample(valid(schema, api.resolve), { numRuns: 1, seed: 2 });
      const answer = await served.app.inject({
        method: z.enum(['POST', 'PUT', 'PATCH', 'DELETE']).parse(operation.method.toUpperCase()),
        url: urlOf(operation),
        headers: { authorization },
        ...(body.length > 0 && { payload: JSON.parse(JSON.stringify(body[0])) as object }),
      });
      const { code } = ErrorBody.parse(answer.json()).error;
      expect(['OPERATOR_REQUIRED', 'WRITE_ACCESS_REQUIRED', 'SESSION_REQUIRED'], operationId).toContain(code);
    }
  });
});
