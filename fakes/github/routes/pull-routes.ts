// Routes about pull requests, their reviews, and the runs of GitHub's own workflows.
import * as z from 'zod';
import { addReview } from '../actions/conversations.ts';
import { judgeMergeability } from '../actions/mergeability.ts';
import { mergePull } from '../actions/merging.ts';
import { approveWorkflowRun } from '../actions/workflow-runs.ts';
import { diffCommits, listCommits, mergeBase } from '../git/commits.ts';
import {
  type Answer,
  actorOf,
  type Call,
  created,
  idParam,
  type Need,
  nothing,
  ok,
  openRepository,
  type Routes,
  takePage,
} from '../http/call.ts';
import { renderCommit, renderFile } from '../render/commit.ts';
import { renderReview } from '../render/conversation.ts';
import { renderListedPull, renderPull } from '../render/pull.ts';
import { renderWorkflowRun } from '../render/workflow-run.ts';
import type { Pull, Repository, Review, WorkflowRun } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { findPull, ownerOf, reviewsOf } from '../state/lookup.ts';
import { notFound } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

const reading: Need = { any: ['pull_requests'], level: 'read' };

const openPullOf = (
  call: Call,
  need: Need = reading,
): { readonly repository: Repository; readonly pull: Pull } => {
  const repository = openRepository(call, need);
  const pull = findPull(call.world, repository, idParam(call, 'pull_number'));
  if (pull === null) throw notFound();
  return { repository, pull };
};

const headLabel = (world: World, pull: Pull): string => {
  const head = pull.headRepositoryId === null ? undefined : world.repositories.get(pull.headRepositoryId);
  return `${head === undefined ? '' : ownerOf(world, head).login}:${pull.headRef}`;
};

const listPulls = (call: Call): Answer => {
  const { world, query } = call;
  const repository = openRepository(call, reading);
  const [state, head, base] = [query.get('state') ?? 'open', query.get('head'), query.get('base')];
  const found = [...world.pulls.values()].filter(
    (pull) =>
      pull.repositoryId === repository.id &&
      (state === 'all' || pull.state === state) &&
      (head === null || headLabel(world, pull) === head) &&
      (base === null || pull.baseRef === base),
  );
  const at = (pull: Pull): number => (query.get('sort') === 'updated' ? pull.updatedAtMs : pull.number);
  const sorted = found.toSorted((a, b) => at(b) - at(a));
  const ordered = query.get('direction') === 'asc' ? sorted.toReversed() : sorted;
  const { items, headers } = takePage(call, ordered);
  return { ...ok(items.map((one) => renderListedPull(world, one))), headers };
};

/** For a while after a push GitHub does not know whether it can be merged: asking makes it find out. */
const getPull = async (call: Call): Promise<Answer> => {
  const { pull } = openPullOf(call);
  if (pull.unknownReads > 0) {
    pull.unknownReads -= 1;
    return ok(await renderPull(call.world, pull, { mergeable: null, state: 'unknown' }));
  }
  return ok(await renderPull(call.world, pull, judgeMergeability(call.world, pull)));
};

const listFiles = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const { repository, pull } = openPullOf(call);
  const { folder } = repository;
  const from = (await mergeBase(world.git, folder, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  // GitHub tells of so many files and no more.
  const changes = (await diffCommits(world.git, folder, from, pull.headSha)).slice(0, 3000);
  const { items, headers } = takePage(call, changes);
  const files = items.map((change) => renderFile(world, repository, { sha: pull.headSha, change }));
  return { ...ok(files), headers };
};

const listPullCommits = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const { repository, pull } = openPullOf(call);
  const range = [`${pull.baseSha}..${pull.headSha}`, '--reverse', '--max-count=250'];
  const commits = await listCommits(world.git, repository.folder, range);
  const { items, headers } = takePage(call, commits);
  return { ...ok(items.map((one) => renderCommit(world, repository, one))), headers };
};

const MergeBody = z
  .object({
    sha: z.string().optional(),
    merge_method: z.enum(['merge', 'squash', 'rebase']).optional(),
    commit_title: z.string().optional(),
    commit_message: z.string().optional(),
  })
  .nullish();

const merge = async (call: Call): Promise<Answer> => {
  const { pull } = openPullOf(call, { any: ['contents'], level: 'write' });
  const { principal } = call;
  const asked = MergeBody.parse(call.body) ?? {};
  const sha = await mergePull(call.world, pull, {
    by: actorOf(call).by,
    method: asked.merge_method ?? 'merge',
    sha: asked.sha ?? null,
    title: asked.commit_title ?? null,
    message: asked.commit_message ?? null,
    mayChangeWorkflows:
      principal.kind !== 'installation' || principal.token.permissions['workflows'] === 'write',
  });
  return ok({ sha, merged: true, message: 'Pull Request successfully merged' });
};

const ReviewBody = z
  .object({
    commit_id: z.string().optional(),
    body: z.string().optional(),
    event: z.enum(['APPROVE', 'REQUEST_CHANGES', 'COMMENT']).optional(),
  })
  .default({});

const reviewStates = {
  APPROVE: 'APPROVED',
  REQUEST_CHANGES: 'CHANGES_REQUESTED',
  COMMENT: 'COMMENTED',
} as const;

const createReview = (call: Call): Answer => {
  const { pull } = openPullOf(call, {
    any: ['pull_requests'],
    level: call.principal.kind === 'user' ? 'read' : 'write',
  });
  const asked = ReviewBody.parse(call.body);
  const review = addReview(call.world, pull, {
    by: actorOf(call).by,
    state: reviewStates[asked.event ?? 'COMMENT'],
    body: asked.body ?? '',
    sha: asked.commit_id ?? null,
  });
  return ok(renderReview(call.world, pull, review));
};

const listReviews = (call: Call): Answer => {
  const { pull } = openPullOf(call);
  const { items, headers } = takePage(call, reviewsOf(call.world, pull));
  return { ...ok(items.map((one: Review) => renderReview(call.world, pull, one))), headers };
};

const openRun = (call: Call, need: Need): WorkflowRun => {
  const repository = openRepository(call, need);
  const run = call.world.workflowRuns.get(idParam(call, 'run_id'));
  if (run?.repositoryId !== repository.id) throw notFound();
  return run;
};

const listRuns = async (call: Call): Promise<Answer> => {
  const { world, query } = call;
  const repository = openRepository(call, { any: ['actions'], level: 'read' });
  const [status, sha, branch] = [query.get('status'), query.get('head_sha'), query.get('branch')];
  const found = [...world.workflowRuns.values()].filter(
    (run) =>
      run.repositoryId === repository.id &&
      (status === null || run.status === status || run.conclusion === status) &&
      (sha === null || run.headSha === sha) &&
      (branch === null || run.headBranch === branch),
  );
  const { items, headers } = takePage(call, found.toReversed());
  const rendered: JsonObject[] = [];
  for (const run of items) rendered.push(await renderWorkflowRun(world, run));
  return { ...ok({ total_count: found.length, workflow_runs: rendered }), headers };
};

export const pullRoutes: Routes = {
  'GET /repos/{owner}/{repo}/pulls': listPulls,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}': getPull,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/commits': listPullCommits,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/files': listFiles,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/merge': (call) => {
    if (openPullOf(call).pull.merged === null) throw notFound();
    return nothing;
  },
  'PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge': merge,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews': listReviews,
  'POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews': createReview,
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}': (call) => {
    const { pull } = openPullOf(call);
    const review = reviewsOf(call.world, pull).find(({ id }) => id === idParam(call, 'review_id'));
    if (review === undefined) throw notFound();
    return ok(renderReview(call.world, pull, review));
  },
  'GET /repos/{owner}/{repo}/actions/runs': listRuns,
  'GET /repos/{owner}/{repo}/actions/runs/{run_id}': async (call) =>
    ok(await renderWorkflowRun(call.world, openRun(call, { any: ['actions'], level: 'read' }))),
  'POST /repos/{owner}/{repo}/actions/runs/{run_id}/approve': async (call) => {
    const run = openRun(call, { any: ['actions'], level: 'write' });
    await approveWorkflowRun(call.world, run, actorOf(call).by);
    return created({});
  },
};
