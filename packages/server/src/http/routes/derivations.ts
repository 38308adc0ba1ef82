// One derivation: what it is, how its builds went, what it needs and what needs it.
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { baseNameOf, derivationNameOf } from '@eka-ci/nix/store-path';
import {
  BuildHistory,
  Derivation,
  DerivationPage,
  DerivationWhy,
  DrvParams,
} from '@eka-ci/protocol/derivation';
import { PageQuery } from '@eka-ci/protocol/page';
import type { BuildAttempt, StoredBuild } from '../../database/database.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { logFileOfAttempt } from '../log-store.ts';
import { pageOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest, notFound } from '../route.ts';

const tags = ['derivations'];
const errors = { ...badRequest, ...notFound };

/** @throws HttpError DRV_INVALID, DRV_NOT_FOUND */
const findNode = async ({ database, storeDir }: HttpDeps, text: string): Promise<DrvNode> => {
  const node = await database.derivations.find(parseDrvParam(text, storeDir));
  if (node !== null) return node;
  throw new HttpError('DRV_NOT_FOUND', 'no evaluation met this derivation so far: check its name');
};

const attemptToWire = (drv: DrvPath, attempt: BuildAttempt): Derivation['attempts'][number] => {
  const { logFile: _, ...facts } = attempt;
  const hasLog = logFileOfAttempt(drv, attempt) !== null;
  const logPath = `/v1/logs/${encodeURIComponent(baseNameOf(drv))}?attempt=${attempt.attempt}`;
  return { ...facts, logPath: hasLog ? logPath : null };
};

const readDerivation = async (deps: HttpDeps, node: DrvNode): Promise<Derivation> => {
  const attempts = await deps.database.builds.attemptsOf(node.path);
  const newest = (await deps.database.builds.statesOf([node.path])).get(node.path);
  return {
    drvPath: node.path,
    name: derivationNameOf(node.path),
    system: node.system,
    fixedOutput: node.fixedOutput,
    preferLocalBuild: node.preferLocalBuild,
    allowSubstitutes: node.allowSubstitutes,
    requiredFeatures: [...node.requiredFeatures],
    outputs: node.outputs.map(({ name, path }) => ({ name, path: path === '' ? null : path })),
    dependencies: node.inputs.length,
    state: attempts.at(-1)?.state ?? null,
    why: deps.builds.why(node.path) ?? whyAtRest(newest),
    attempts: attempts.map((attempt) => attemptToWire(node.path, attempt)),
  };
};

/** Of one that nothing waits for now: what would have it built after all. */
const whyAtRest = (build: StoredBuild | undefined): string | null => {
  if (build === undefined) return null;
  const { state, message, cleared } = build;
  if (cleared) return 'its failure was cleared: it is tried again with the next change that needs it';
  if (state !== 'unsatisfiable') return null;
  return `it waits for a builder${message === null ? '' : `: ${message}`}`;
};

const readPage = async (
  deps: HttpDeps,
  paths: readonly DrvPath[],
  query: PageQuery,
): Promise<DerivationPage> => {
  const { items, total, nextCursor } = pageOf(paths, query);
  const builds = await deps.database.builds.statesOf(items);
  const derivations = items.map((path) => ({
    drvPath: path,
    name: derivationNameOf(path),
    state: builds.get(path)?.state ?? null,
  }));
  return { total, derivations, nextCursor };
};

const addNeighbours = (app: ApiApp, deps: HttpDeps): void => {
  const schema = {
    tags,
    params: DrvParams,
    querystring: PageQuery,
    response: { ...answers('One page', DerivationPage), ...errors },
  };
  app.get(
    '/v1/drvs/:drv/dependencies',
    { schema: { operationId: 'listDependencies', summary: 'Derivations it needs directly', ...schema } },
    async ({ params, query }) => {
      const { inputs } = await findNode(deps, params.drv);
      return await readPage(
        deps,
        inputs.map(({ path }) => path),
        query,
      );
    },
  );
  app.get(
    '/v1/drvs/:drv/dependents',
    { schema: { operationId: 'listDependents', summary: 'Derivations that need it directly', ...schema } },
    async ({ params, query }) => {
      const { path } = await findNode(deps, params.drv);
      return await readPage(deps, await deps.database.derivations.dependentsOf(path), query);
    },
  );
};

const addHistory = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/drvs/:drv/history',
    {
      schema: {
        operationId: 'getBuildHistory',
        summary: 'Every step of its builds, oldest first',
        tags,
        params: DrvParams,
        querystring: PageQuery,
        response: { ...answers('One page', BuildHistory), ...errors },
      },
    },
    async ({ params, query }) => {
      const { path } = await findNode(deps, params.drv);
      // Counted in this history alone: by the number over all builds it would show how much happens elsewhere.
      const history = (await deps.database.builds.historyOf(path)).map((one, index) => {
        return { ...one, sequence: index + 1 };
      });
      const { items, total, nextCursor } = pageOf(history, query);
      const transitions = items.map(({ sequence, attempt, from, to, cause, atMs, culprit, message }) => {
        return { sequence, attempt, from, to, cause, atMs, culprit, message };
      });
      return { total, transitions, nextCursor };
    },
  );
};

export const addDerivationRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/drvs/:drv',
    {
      schema: {
        operationId: 'getDerivation',
        summary: 'What it is, and how its builds went',
        tags,
        params: DrvParams,
        response: { ...answers('The derivation', Derivation), ...errors },
      },
    },
    async ({ params }) => await readDerivation(deps, await findNode(deps, params.drv)),
  );
  addNeighbours(app, deps);
  addHistory(app, deps);
  app.get(
    '/v1/drvs/:drv/why',
    {
      schema: {
        operationId: 'explainDerivation',
        summary: 'What it waits for',
        tags,
        params: DrvParams,
        response: { ...answers('One sentence, or null', DerivationWhy), ...errors },
      },
    },
    async ({ params }) => {
      const { path } = await findNode(deps, params.drv);
      const build = (await deps.database.builds.statesOf([path])).get(path);
      const why = deps.builds.why(path) ?? whyAtRest(build);
      return { drvPath: path, state: build?.state ?? null, why };
    },
  );
};
