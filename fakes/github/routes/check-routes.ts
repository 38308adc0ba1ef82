// Routes about check runs, check suites and commit statuses.
import * as z from 'zod';
import { createRun, ensureSuite, rerequestRun, rerequestSuite, updateRun } from '../actions/checks.ts';
import { createStatus } from '../actions/statuses.ts';
import { resolveCommit } from '../git/repository-folder.ts';
import {
  type Answer,
  actorOf,
  type Call,
  created,
  idParam,
  type Need,
  ok,
  openRepository,
  param,
  type Routes,
  takePage,
} from '../http/call.ts';
import { renderAnnotation, renderRun, renderStatus, renderSuite } from '../render/checks.ts';
import { renderRepository, repositoryApiUrl } from '../render/repository.ts';
import type { App, CheckRun, CheckSuite, CommitStatus, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { latestRuns, runsOfSuite, suitesOf } from '../state/lookup.ts';
import { forbidden, notFound, Refusal } from '../state/refusal.ts';

const reading: Need = { any: ['checks'], level: 'read' };
const writing: Need = { any: ['checks'], level: 'write' };

const Output = z.object({
  title: z.string().optional(),
  summary: z.string(),
  text: z.string().optional(),
  annotations: z
    .array(
      z.object({
        path: z.string(),
        start_line: z.number(),
        end_line: z.number(),
        start_column: z.number().optional(),
        end_column: z.number().optional(),
        annotation_level: z.string(),
        message: z.string(),
        title: z.string().optional(),
        raw_details: z.string().optional(),
      }),
    )
    .optional(),
});

const RunBody = z.object({
  name: z.string().optional(),
  details_url: z.string().optional(),
  external_id: z.string().optional(),
  status: z.string().optional(),
  started_at: z.string().optional(),
  conclusion: z.string().optional(),
  completed_at: z.string().optional(),
  output: Output.optional(),
  actions: z
    .array(z.object({ label: z.string(), description: z.string(), identifier: z.string() }))
    .optional(),
});

const NewRunBody = RunBody.extend({ name: z.string(), head_sha: z.string() });

/** Checks are written by apps only. */
const writingApp = ({ principal }: Call): App => {
  if (principal.kind !== 'installation') throw forbidden('You must authenticate via a GitHub App.');
  return principal.app;
};

const openRun = (call: Call, need: Need): CheckRun => {
  const repository = openRepository(call, need);
  const run = call.world.checkRuns.get(idParam(call, 'check_run_id'));
  if (run?.repositoryId !== repository.id) throw notFound();
  return run;
};

const openSuite = (call: Call, need: Need): CheckSuite => {
  const repository = openRepository(call, need);
  const suite = call.world.checkSuites.get(idParam(call, 'check_suite_id'));
  if (suite?.repositoryId !== repository.id) throw notFound();
  return suite;
};

const create = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, writing);
  const app = writingApp(call);
  const { head_sha: sha, ...change } = NewRunBody.parse(call.body);
  const run = await createRun(world, app, { repository, sha, change });
  return created(renderRun(world, run));
};

const update = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const run = openRun(call, writing);
  await updateRun(world, writingApp(call), { run, change: RunBody.parse(call.body) });
  return ok(renderRun(world, run));
};

const commitOf = async (call: Call, repository: Repository): Promise<string> => {
  const ref = param(call, 'ref');
  const sha = await resolveCommit(call.world.git, repository.folder, ref);
  if (sha === null) throw new Refusal(422, `No commit found for SHA: ${ref}`);
  return sha;
};

const pageOfRuns = (call: Call, runs: readonly CheckRun[]): Answer => {
  const { query, world } = call;
  const [name, status, app] = [query.get('check_name'), query.get('status'), query.get('app_id')];
  const wanted = (query.get('filter') === 'all' ? runs : latestRuns(runs)).filter(
    (run) =>
      (name === null || run.name === name) &&
      (status === null || run.status === status) &&
      (app === null || run.appId === Number(app)),
  );
  const { items, headers } = takePage(call, wanted.toReversed());
  const rendered = items.map((one) => renderRun(world, one));
  return { ...ok({ total_count: wanted.length, check_runs: rendered }), headers };
};

const listSuites = async (call: Call): Promise<Answer> => {
  const { world, query } = call;
  const repository = openRepository(call, reading);
  const sha = await commitOf(call, repository);
  const [app, name] = [query.get('app_id'), query.get('check_name')];
  const found = suitesOf(world, repository, sha).filter(
    (suite) =>
      (app === null || suite.appId === Number(app)) &&
      (name === null || runsOfSuite(world, suite).some((run) => run.name === name)),
  );
  const { items, headers } = takePage(call, found);
  const rendered: JsonObject[] = [];
  for (const suite of items) rendered.push(await renderSuite(world, suite));
  return { ...ok({ total_count: found.length, check_suites: rendered }), headers };
};

const createSuite = async (call: Call): Promise<Answer> => {
  const repository = openRepository(call, writing);
  const { head_sha: sha } = z.object({ head_sha: z.string() }).parse(call.body);
  const { suite, isNew } = await ensureSuite(call.world, writingApp(call), { repository, sha });
  return { status: isNew ? 201 : 200, body: await renderSuite(call.world, suite) };
};

const StatusBody = z.object({
  state: z.string(),
  target_url: z.string().nullish(),
  description: z.string().nullish(),
  context: z.string().optional(),
});

const postStatus = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, { any: ['statuses'], level: 'write' });
  const asked = StatusBody.parse(call.body);
  const status = await createStatus(world, {
    repository,
    creator: actorOf(call).by,
    sha: param(call, 'sha'),
    state: asked.state,
    context: asked.context ?? 'default',
    description: asked.description ?? null,
    targetUrl: asked.target_url ?? null,
  });
  return created(renderStatus(world, status));
};

const statusesOf = async (
  call: Call,
): Promise<{
  readonly repository: Repository;
  readonly sha: string;
  readonly all: readonly CommitStatus[];
}> => {
  const repository = openRepository(call, { any: ['statuses'], level: 'read' });
  const sha = await commitOf(call, repository);
  const all = [...call.world.statuses.values()].filter(
    (one) => one.repositoryId === repository.id && one.sha === sha,
  );
  return { repository, sha, all: all.toReversed() };
};

const combineStatuses = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const { repository, sha, all } = await statusesOf(call);
  const newest = [...new Map(all.toReversed().map((one) => [one.context, one])).values()];
  const bad = newest.some(({ state }) => state === 'failure' || state === 'error');
  const good = newest.length > 0 && newest.every(({ state }) => state === 'success');
  const { items, headers } = takePage(call, newest);
  const api = repositoryApiUrl(world, repository);
  const body = {
    state: bad ? 'failure' : good ? 'success' : 'pending',
    statuses: items.map((one) => renderStatus(world, one)),
    sha,
    total_count: newest.length,
    repository: renderRepository(world, repository),
    commit_url: `${api}/commits/${sha}`,
    url: `${api}/commits/${sha}/status`,
  };
  return { ...ok(body), headers };
};

export const checkRoutes: Routes = {
  'POST /repos/{owner}/{repo}/check-runs': create,
  'GET /repos/{owner}/{repo}/check-runs/{check_run_id}': (call) =>
    ok(renderRun(call.world, openRun(call, reading))),
  'PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}': update,
  'GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations': (call) => {
    const run = openRun(call, reading);
    const { items, headers } = takePage(call, run.annotations);
    return { ...ok(items.map((one) => renderAnnotation(call.world, run, one))), headers };
  },
  'POST /repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest': (call) => {
    rerequestRun(call.world, openRun(call, writing), actorOf(call).by);
    return created({});
  },
  'POST /repos/{owner}/{repo}/check-suites': createSuite,
  'GET /repos/{owner}/{repo}/check-suites/{check_suite_id}': async (call) =>
    ok(await renderSuite(call.world, openSuite(call, reading))),
  'GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs': (call) =>
    pageOfRuns(call, runsOfSuite(call.world, openSuite(call, reading))),
  'POST /repos/{owner}/{repo}/check-suites/{check_suite_id}/rerequest': async (call) => {
    await rerequestSuite(call.world, openSuite(call, writing), actorOf(call).by);
    return created({});
  },
  'GET /repos/{owner}/{repo}/commits/{ref}/check-runs': async (call) => {
    const repository = openRepository(call, reading);
    const suites = suitesOf(call.world, repository, await commitOf(call, repository));
    return pageOfRuns(
      call,
      suites.flatMap((suite) => runsOfSuite(call.world, suite)),
    );
  },
  'GET /repos/{owner}/{repo}/commits/{ref}/check-suites': listSuites,
  'GET /repos/{owner}/{repo}/commits/{ref}/status': combineStatuses,
  'GET /repos/{owner}/{repo}/commits/{ref}/statuses': async (call) => {
    const { all } = await statusesOf(call);
    const { items, headers } = takePage(call, all);
    return { ...ok(items.map((one) => renderStatus(call.world, one))), headers };
  },
  'POST /repos/{owner}/{repo}/statuses/{sha}': postStatus,
};
