// Pull requests as GitHub shows them, and whether they can be merged.
import { diffCommits, listCommits, mergeBase } from '../git/commits.ts';
import type { Pull, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { associationOf, commentsOf, ownerOf } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { isoTime, isoTimeOrNull, nodeId } from './node-id.ts';
import { renderRepository, repositoryApiUrl, repositoryWebUrl } from './repository.ts';

const renderSide = (
  world: World,
  repository: Repository | null,
  { ref, sha }: { readonly ref: string; readonly sha: string },
): JsonObject => {
  const owner = repository === null ? null : ownerOf(world, repository);
  return {
    label: `${owner?.login ?? 'unknown repository'}:${ref}`,
    ref,
    sha,
    user: owner === null ? null : renderUser(world, owner),
    repo:
      repository === null
        ? null
        : {
            ...renderRepository(world, repository),
            allow_merge_commit: repository.mergeMethods.includes('merge'),
            allow_squash_merge: repository.mergeMethods.includes('squash'),
            allow_rebase_merge: repository.mergeMethods.includes('rebase'),
            allow_auto_merge: false,
            allow_update_branch: false,
            delete_branch_on_merge: false,
            use_squash_pr_title_as_default: false,
            squash_merge_commit_title: 'COMMIT_OR_PR_TITLE',
            squash_merge_commit_message: 'COMMIT_MESSAGES',
            merge_commit_title: 'MERGE_MESSAGE',
            merge_commit_message: 'PR_TITLE',
          },
  };
};

const renderLinks = (urls: Readonly<Record<string, string>>): JsonObject =>
  Object.fromEntries(Object.entries(urls).map(([name, href]) => [name, { href }]));

/** The shape of lists. */
export const renderListedPull = (world: World, pull: Pull): JsonObject => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const author = mustGet(world.accounts, pull.authorId);
  const api = repositoryApiUrl(world, repository);
  const url = `${api}/pulls/${pull.number}`;
  const web = `${repositoryWebUrl(world, repository)}/pull/${pull.number}`;
  const issue = `${api}/issues/${pull.number}`;
  const head = pull.headRepositoryId === null ? null : world.repositories.get(pull.headRepositoryId);
  const related = {
    commits: `${url}/commits`,
    review_comments: `${url}/comments`,
    review_comment: `${api}/pulls/comments{/number}`,
    comments: `${issue}/comments`,
    statuses: `${api}/statuses/${pull.headSha}`,
  };
  return {
    url,
    id: pull.id,
    node_id: nodeId('PullRequest', pull.id),
    html_url: web,
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    issue_url: issue,
    number: pull.number,
    state: pull.state,
    locked: pull.locked,
    active_lock_reason: null,
    title: pull.title,
    user: renderUser(world, author),
    body: pull.body,
    created_at: isoTime(pull.createdAtMs),
    updated_at: isoTime(pull.updatedAtMs),
    closed_at: isoTimeOrNull(pull.closedAtMs),
    merged_at: isoTimeOrNull(pull.merged?.atMs ?? null),
    merge_commit_sha: pull.merged?.sha ?? (pull.testMerge.kind === 'clean' ? pull.testMerge.sha : null),
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    labels: [],
    milestone: null,
    draft: pull.draft,
    ...Object.fromEntries(Object.entries(related).map(([name, one]) => [`${name}_url`, one])),
    head: renderSide(world, head ?? null, { ref: pull.headRef, sha: pull.headSha }),
    base: renderSide(world, repository, { ref: pull.baseRef, sha: pull.baseSha }),
    _links: renderLinks({ self: url, html: web, issue, ...related }),
    author_association: associationOf(world, repository, author),
    auto_merge: null,
  };
};

export interface Mergeability {
  readonly mergeable: boolean | null;
  readonly state: 'unknown' | 'dirty' | 'draft' | 'blocked' | 'unstable' | 'clean';
}

/** With everything that a single pull request and a delivery add to the shape of lists. */
export const renderPull = async (
  world: World,
  pull: Pull,
  { mergeable, state }: Mergeability,
): Promise<JsonObject> => {
  const { folder } = mustGet(world.repositories, pull.repositoryId);
  const { git } = world;
  const from = (await mergeBase(git, folder, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const changes = await diffCommits(git, folder, from, pull.headSha);
  const commits = await listCommits(git, folder, [`${pull.baseSha}..${pull.headSha}`]);
  const merger = pull.merged === null ? null : mustGet(world.accounts, pull.merged.byId);
  return {
    ...renderListedPull(world, pull),
    merged: pull.merged !== null,
    mergeable,
    rebaseable: mergeable,
    mergeable_state: state,
    merged_by: merger === null ? null : renderUser(world, merger),
    comments: commentsOf(world, pull).length,
    review_comments: 0,
    maintainer_can_modify: false,
    commits: commits.length,
    additions: changes.reduce((sum, change) => sum + change.additions, 0),
    deletions: changes.reduce((sum, change) => sum + change.deletions, 0),
    changed_files: changes.length,
  };
};

/** What checks and workflow runs say of a pull request. */
export const renderMinimalPull = (world: World, pull: Pull): JsonObject => {
  const base = mustGet(world.repositories, pull.repositoryId);
  const head =
    (pull.headRepositoryId === null ? null : world.repositories.get(pull.headRepositoryId)) ?? base;
  const repo = (repository: Repository): JsonObject => ({
    id: repository.id,
    url: repositoryApiUrl(world, repository),
    name: repository.name,
  });
  return {
    url: `${repositoryApiUrl(world, base)}/pulls/${pull.number}`,
    id: pull.id,
    number: pull.number,
    head: { ref: pull.headRef, sha: pull.headSha, repo: repo(head) },
    base: { ref: pull.baseRef, sha: pull.baseSha, repo: repo(base) },
  };
};
