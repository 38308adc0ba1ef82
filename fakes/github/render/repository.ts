// Repositories as GitHub shows them: one shape that holds all that its several schemas and deliveries ask for.
import type { Repository, Role } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { fullNameOf, isAtLeast, ownerOf } from '../state/lookup.ts';
import type { World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { isoTime, nodeId } from './node-id.ts';

const apiUrls = {
  url: '',
  forks_url: '/forks',
  keys_url: '/keys{/key_id}',
  collaborators_url: '/collaborators{/collaborator}',
  teams_url: '/teams',
  hooks_url: '/hooks',
  issue_events_url: '/issues/events{/number}',
  events_url: '/events',
  assignees_url: '/assignees{/user}',
  branches_url: '/branches{/branch}',
  tags_url: '/tags',
  blobs_url: '/git/blobs{/sha}',
  git_tags_url: '/git/tags{/sha}',
  git_refs_url: '/git/refs{/sha}',
  trees_url: '/git/trees{/sha}',
  statuses_url: '/statuses/{sha}',
  languages_url: '/languages',
  stargazers_url: '/stargazers',
  contributors_url: '/contributors',
  subscribers_url: '/subscribers',
  subscription_url: '/subscription',
  commits_url: '/commits{/sha}',
  git_commits_url: '/git/commits{/sha}',
  comments_url: '/comments{/number}',
  issue_comment_url: '/issues/comments{/number}',
  contents_url: '/contents/{+path}',
  compare_url: '/compare/{base}...{head}',
  merges_url: '/merges',
  archive_url: '/{archive_format}{/ref}',
  downloads_url: '/downloads',
  issues_url: '/issues{/number}',
  pulls_url: '/pulls{/number}',
  milestones_url: '/milestones{/number}',
  notifications_url: '/notifications{?since,all,participating}',
  labels_url: '/labels{/name}',
  releases_url: '/releases{/id}',
  deployments_url: '/deployments',
} as const;

/** What never differs here. */
const constants = {
  description: null,
  homepage: null,
  size: 0,
  stargazers_count: 0,
  watchers_count: 0,
  language: null,
  has_issues: true,
  has_projects: true,
  has_downloads: true,
  has_wiki: true,
  has_pages: false,
  has_discussions: false,
  forks_count: 0,
  mirror_url: null,
  archived: false,
  disabled: false,
  license: null,
  allow_forking: true,
  is_template: false,
  web_commit_signoff_required: false,
  topics: [],
  custom_properties: {},
  forks: 0,
  watchers: 0,
} as const;

export const repositoryApiUrl = (world: World, repository: Repository): string =>
  `${world.urls.api}/repos/${fullNameOf(world, repository)}`;

export const repositoryWebUrl = (world: World, repository: Repository): string =>
  `${world.urls.web}/${fullNameOf(world, repository)}`;

export const renderRepository = (world: World, repository: Repository): JsonObject => {
  const api = repositoryApiUrl(world, repository);
  const web = repositoryWebUrl(world, repository);
  const host = world.urls.web.replace(/^https?:\/\//, '');
  const open = [...world.pulls.values(), ...world.issues.values()].filter(
    ({ repositoryId, state }) => repositoryId === repository.id && state === 'open',
  ).length;
  return {
    ...constants,
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: fullNameOf(world, repository),
    private: repository.private,
    visibility: repository.private ? 'private' : 'public',
    owner: renderUser(world, ownerOf(world, repository)),
    html_url: web,
    ...Object.fromEntries(Object.entries(apiUrls).map(([key, suffix]) => [key, api + suffix])),
    git_url: `git://${host}/${fullNameOf(world, repository)}.git`,
    ssh_url: `git@${host}:${fullNameOf(world, repository)}.git`,
    clone_url: `${web}.git`,
    svn_url: web,
    fork: repository.parentId !== null,
    created_at: isoTime(repository.createdAtMs),
    updated_at: isoTime(repository.pushedAtMs),
    pushed_at: isoTime(repository.pushedAtMs),
    open_issues_count: open,
    open_issues: open,
    default_branch: repository.defaultBranch,
  };
};

/** As somebody with a role in it sees it. */
export const renderRepositoryFor = (world: World, repository: Repository, role: Role): JsonObject => ({
  ...renderRepository(world, repository),
  permissions: {
    admin: isAtLeast(role, 'admin'),
    maintain: isAtLeast(role, 'maintain'),
    push: isAtLeast(role, 'write'),
    triage: isAtLeast(role, 'triage'),
    pull: isAtLeast(role, 'read'),
  },
});

export const renderFullRepository = (world: World, repository: Repository, role: Role): JsonObject => {
  const parent = repository.parentId === null ? undefined : world.repositories.get(repository.parentId);
  const origin = parent === undefined ? null : renderRepository(world, parent);
  const methods = repository.mergeMethods;
  return {
    ...renderRepositoryFor(world, repository, role),
    allow_merge_commit: methods.includes('merge'),
    allow_squash_merge: methods.includes('squash'),
    allow_rebase_merge: methods.includes('rebase'),
    allow_auto_merge: false,
    delete_branch_on_merge: false,
    allow_update_branch: false,
    network_count: 0,
    subscribers_count: 0,
    ...(origin === null ? {} : { parent: origin, source: origin }),
  };
};

/** The few members that deliveries about installations carry. */
export const renderNamedRepository = (world: World, repository: Repository): JsonObject => ({
  id: repository.id,
  node_id: nodeId('Repository', repository.id),
  name: repository.name,
  full_name: fullNameOf(world, repository),
  private: repository.private,
});
