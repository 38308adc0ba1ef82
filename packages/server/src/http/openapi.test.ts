import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { ChangeDetail, ChangePage } from '@eka-ci/protocol/change';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { CommitPackageChanges, CommitRebuildImpact } from '@eka-ci/protocol/commit';
import { BuildHistory, Derivation, DerivationPage, DerivationWhy } from '@eka-ci/protocol/derivation';
import { Health, Readiness, ServerStatus } from '@eka-ci/protocol/operations';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { head, metricsToken, type Served, serve } from './testing/served.ts';

const Operation = z.object({
  operationId: z.string(),
  summary: z.string(),
  tags: z.array(z.string()).min(1),
  responses: z.record(z.string(), z.object({ description: z.string() })),
});
const Document = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
});

const text = z.string().min(1);

/** How a client calls each operation and what it reads the answer with. */
const calls: Readonly<Record<string, { path: string; body: z.ZodType; headers?: Record<string, string> }>> = {
  getHealth: { path: '/v1/healthz', body: Health },
  getReadiness: { path: '/v1/readyz', body: Readiness },
  getStatus: { path: '/v1/status', body: ServerStatus },
  getMetrics: { path: '/v1/metrics', body: text, headers: { authorization: `Bearer ${metricsToken}` } },
  getMetricsForPrometheus: {
    path: '/metrics',
    body: text,
    headers: { authorization: `Bearer ${metricsToken}` },
  },
  getOpenApi: { path: '/v1/openapi.json', body: Document },
  listChanges: { path: '/v1/prs?limit=5&repository=example%2Fpackages', body: ChangePage },
  getChange: { path: '/v1/prs/github/example/packages/7', body: ChangeDetail },
  getChangeSummary: { path: `/v1/commits/${head}/change-summary`, body: ChangeSummary },
  getChangeSummaryMarkdown: { path: `/v1/commits/${head}/change-summary.md`, body: text },
  getPackageChanges: { path: `/v1/commits/${head}/package-changes`, body: CommitPackageChanges },
  getRebuildImpact: { path: `/v1/commits/${head}/rebuild-impact`, body: CommitRebuildImpact },
  getDerivation: { path: '/v1/drvs/{drv}', body: Derivation },
  listDependencies: { path: '/v1/drvs/{drv}/dependencies', body: DerivationPage },
  listDependents: { path: '/v1/drvs/{drv}/dependents?limit=3', body: DerivationPage },
  getBuildHistory: { path: '/v1/drvs/{drv}/history', body: BuildHistory },
  explainDerivation: { path: '/v1/drvs/{drv}/why', body: DerivationWhy },
  getLog: { path: '/v1/logs/{drv}?attempt=2', body: text },
  listActiveBuilds: { path: '/v1/builds/active', body: ActiveBuilds },
  listQueuedBuilds: { path: '/v1/builds/queue', body: BuildQueue },
};

describe('the OpenAPI document', () => {
  let served: Served;
  let document: z.infer<typeof Document>;
  let json: Record<string, unknown>;
  beforeAll(async () => {
    served = await serve();
    json = z.record(z.string(), z.unknown()).parse((await served.app.inject('/v1/openapi.json')).json());
    document = Document.parse(json);
  });
  afterAll(() => served.close());

  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
    );

  it('is valid OpenAPI 3.1, and every reference in it leads somewhere', async () => {
    expect(await new Validator().validate(structuredClone(json))).toMatchObject({ valid: true });
    const references = [...JSON.stringify(json).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, name] of references) expect(Object.keys(document.components.schemas)).toContain(name);
  });

  it('has a call of every operation here, and no operation twice', () => {
    const ids = operations().map(({ operationId }) => operationId);
    expect(ids.toSorted()).toEqual(Object.keys(calls).toSorted());
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(Object.entries(calls))('%s answers what clients parse, HEAD the same headers', async (id, call) => {
    const url = call.path.replace('{drv}', served.drv);
    const headers = call.headers ?? {};
    const answer = await served.app.inject({ url, headers });
    expect(answer.statusCode, answer.body).toBe(200);
    const body: unknown = answer.headers['content-type']?.includes('json') ? answer.json() : answer.body;
    expect(() => call.body.parse(body)).not.toThrow();
    const documented = operations().find(({ operationId }) => operationId === id);
    expect(Object.keys(documented?.responses ?? {})).toContain('200');

    const onlyHead = await served.app.inject({ method: 'HEAD', url, headers });
    expect(onlyHead.statusCode).toBe(200);
    expect(onlyHead.body).toBe('');
    expect(onlyHead.headers.etag).toBe(answer.headers.etag);
    expect(onlyHead.headers['content-type']).toBe(answer.headers['content-type']);
    if (!id.startsWith('getMetrics')) {
      expect(onlyHead.headers['content-length']).toBe(answer.headers['content-length']);
    }
  });
});
