// Runs of GitHub's own workflows as GitHub shows them.
import { readCommit } from '../git/commits.ts';
import type { WorkflowRun } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { renderSimpleCommit } from './commit.ts';
import { isoTime, nodeId } from './node-id.ts';
import { renderMinimalPull } from './pull.ts';
import { renderRepository, repositoryApiUrl, repositoryWebUrl } from './repository.ts';

/** There is one workflow in every repository. */
const workflowId = 1;
const path = '.github/workflows/ci.yml';

export const renderWorkflow = (world: World, run: WorkflowRun): JsonObject => {
  const repository = mustGet(world.repositories, run.repositoryId);
  const web = repositoryWebUrl(world, repository);
  return {
    id: workflowId,
    node_id: nodeId('Workflow', workflowId),
    name: 'CI',
    path,
    state: 'active',
    created_at: new Date(repository.createdAtMs).toISOString(),
    updated_at: new Date(repository.createdAtMs).toISOString(),
    url: `${repositoryApiUrl(world, repository)}/actions/workflows/${workflowId}`,
    html_url: `${web}/blob/${repository.defaultBranch}/${path}`,
    badge_url: `${web}/workflows/CI/badge.svg`,
  };
};

export const renderWorkflowRun = async (world: World, run: WorkflowRun): Promise<JsonObject> => {
  const repository = mustGet(world.repositories, run.repositoryId);
  const head = world.repositories.get(run.headRepositoryId) ?? repository;
  const actor = renderUser(world, mustGet(world.accounts, run.actorId));
  const pull = run.pullId === null ? undefined : world.pulls.get(run.pullId);
  // A commit of a fork is in its base's repository as well: its pull request brought it there.
  const commit = await readCommit(world.git, repository.folder, run.headSha);
  const api = repositoryApiUrl(world, repository);
  const url = `${api}/actions/runs/${run.id}`;
  return {
    id: run.id,
    name: 'CI',
    node_id: nodeId('WorkflowRun', run.id),
    head_branch: run.headBranch,
    head_sha: run.headSha,
    path,
    display_title: commit.message.split('\n')[0] ?? '',
    run_number: run.runNumber,
    run_attempt: run.attempt,
    event: run.pullId === null ? 'push' : 'pull_request',
    status: run.status,
    conclusion: run.conclusion,
    workflow_id: workflowId,
    check_suite_id: run.id,
    check_suite_node_id: nodeId('CheckSuite', run.id),
    url,
    html_url: `${repositoryWebUrl(world, repository)}/actions/runs/${run.id}`,
    // Empty for forks, as with checks.
    pull_requests: pull === undefined || head !== repository ? [] : [renderMinimalPull(world, pull)],
    created_at: isoTime(run.createdAtMs),
    updated_at: isoTime(run.updatedAtMs),
    run_started_at: isoTime(run.createdAtMs),
    actor,
    triggering_actor: actor,
    referenced_workflows: [],
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${api}/check-suites/${run.id}`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    previous_attempt_url: run.attempt > 1 ? `${url}/attempts/${run.attempt - 1}` : null,
    workflow_url: `${api}/actions/workflows/${workflowId}`,
    head_commit: renderSimpleCommit(commit),
    repository: renderRepository(world, repository),
    head_repository: renderRepository(world, head),
  };
};
