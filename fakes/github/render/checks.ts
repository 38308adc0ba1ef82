// Check suites, check runs and commit statuses as GitHub shows them.
import { readCommit } from '../git/commits.ts';
import type { CheckRun, CheckSuite, CommitStatus, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { latestRuns, pullsWithHead, runsOfSuite } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { renderApp } from './app.ts';
import { renderSimpleCommit } from './commit.ts';
import { isoTime, isoTimeOrNull, nodeId } from './node-id.ts';
import { renderMinimalPull } from './pull.ts';
import { renderRepository, repositoryApiUrl, repositoryWebUrl } from './repository.ts';

/** GitHub does not connect a commit of a fork with the pull request that it is the head of. */
const pullsOf = (world: World, repository: Repository, sha: string): JsonObject[] =>
  pullsWithHead(world, repository, sha)
    .filter((pull) => pull.headRepositoryId === repository.id)
    .map((pull) => renderMinimalPull(world, pull));

const worstFirst = ['action_required', 'failure', 'timed_out', 'cancelled', 'success', 'neutral', 'skipped'];

/** What the newest runs of a suite come to. */
export const concludeSuite = (
  world: World,
  suite: CheckSuite,
): { readonly status: string; readonly conclusion: string | null } => {
  const runs = latestRuns(runsOfSuite(world, suite));
  if (runs.length === 0) return { status: 'queued', conclusion: null };
  if (runs.some(({ status }) => status !== 'completed')) {
    const begun = runs.some(({ status }) => status === 'in_progress' || status === 'completed');
    return { status: begun ? 'in_progress' : 'queued', conclusion: null };
  }
  const conclusion = worstFirst.find((one) => runs.some((run) => run.conclusion === one));
  return { status: 'completed', conclusion: conclusion ?? 'neutral' };
};

/** What a check run, and a delivery about one, carry of their suite. */
const renderSuiteCore = (world: World, suite: CheckSuite): JsonObject => {
  const repository = mustGet(world.repositories, suite.repositoryId);
  return {
    id: suite.id,
    node_id: nodeId('CheckSuite', suite.id),
    head_branch: suite.headBranch,
    head_sha: suite.headSha,
    ...concludeSuite(world, suite),
    url: `${repositoryApiUrl(world, repository)}/check-suites/${suite.id}`,
    before: suite.before,
    after: suite.headSha,
    pull_requests: pullsOf(world, repository, suite.headSha),
    app: renderApp(world, mustGet(world.apps, suite.appId)),
    created_at: isoTime(suite.createdAtMs),
    updated_at: isoTime(suite.updatedAtMs),
  };
};

export const renderSuite = async (world: World, suite: CheckSuite): Promise<JsonObject> => {
  const repository = mustGet(world.repositories, suite.repositoryId);
  const core = renderSuiteCore(world, suite);
  return {
    ...core,
    latest_check_runs_count: latestRuns(runsOfSuite(world, suite)).length,
    check_runs_url: `${repositoryApiUrl(world, repository)}/check-suites/${suite.id}/check-runs`,
    rerequestable: true,
    runs_rerequestable: true,
    head_commit: renderSimpleCommit(await readCommit(world.git, repository.folder, suite.headSha)),
    repository: renderRepository(world, repository),
  };
};

export const renderRun = (world: World, run: CheckRun): JsonObject => {
  const repository = mustGet(world.repositories, run.repositoryId);
  const url = `${repositoryApiUrl(world, repository)}/check-runs/${run.id}`;
  const html = `${repositoryWebUrl(world, repository)}/runs/${run.id}`;
  return {
    id: run.id,
    name: run.name,
    node_id: nodeId('CheckRun', run.id),
    head_sha: run.headSha,
    external_id: run.externalId,
    url,
    html_url: html,
    details_url: run.detailsUrl ?? html,
    status: run.status,
    conclusion: run.conclusion,
    started_at: isoTimeOrNull(run.startedAtMs),
    completed_at: isoTimeOrNull(run.completedAtMs),
    output: {
      ...run.output,
      annotations_count: run.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: { id: run.suiteId },
    app: renderApp(world, mustGet(world.apps, run.appId)),
    pull_requests: pullsOf(world, repository, run.headSha),
  };
};

/** In a delivery the whole suite is there, and the buttons. */
export const renderRunForHook = (world: World, run: CheckRun): JsonObject => ({
  ...renderRun(world, run),
  check_suite: renderSuiteCore(world, mustGet(world.checkSuites, run.suiteId)),
});

export const renderAnnotation = (
  world: World,
  run: CheckRun,
  annotation: CheckRun['annotations'][number],
): JsonObject => {
  const repository = mustGet(world.repositories, run.repositoryId);
  return {
    path: annotation.path,
    blob_href: `${repositoryApiUrl(world, repository)}/git/blobs/${run.headSha}`,
    start_line: annotation.start_line,
    start_column: annotation.start_column ?? null,
    end_line: annotation.end_line,
    end_column: annotation.end_column ?? null,
    annotation_level: annotation.annotation_level,
    title: annotation.title ?? null,
    message: annotation.message,
    raw_details: annotation.raw_details ?? null,
  };
};

export const renderStatus = (world: World, status: CommitStatus): JsonObject => {
  const repository = mustGet(world.repositories, status.repositoryId);
  const creator = renderUser(world, mustGet(world.accounts, status.creatorId));
  return {
    url: `${repositoryApiUrl(world, repository)}/statuses/${status.sha}`,
    avatar_url: `${world.urls.web}/avatars/u/${status.creatorId}?v=4`,
    id: status.id,
    node_id: nodeId('StatusContext', status.id),
    state: status.state,
    description: status.description,
    target_url: status.targetUrl,
    context: status.context,
    created_at: isoTime(status.createdAtMs),
    updated_at: isoTime(status.createdAtMs),
    creator,
  };
};
