// Commits as GitHub shows them, in its three shapes.
import { diffCommits, type FileChange, type GitCommit, type GitPerson } from '../git/commits.ts';
import type { Account, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { nodeId } from './node-id.ts';
import { repositoryApiUrl, repositoryWebUrl } from './repository.ts';

export const emailOf = (account: Account): string =>
  account.email ?? `${account.id}+${account.login}@users.noreply.github.com`;

/** The account that an address belongs to, as GitHub matches authors of commits. */
const accountOf = (world: World, { email }: GitPerson): Account | null =>
  [...world.accounts.values()].find((account) => emailOf(account) === email) ?? null;

const unsigned = { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null };

export const renderCommit = (world: World, repository: Repository, commit: GitCommit): JsonObject => {
  const api = repositoryApiUrl(world, repository);
  const web = repositoryWebUrl(world, repository);
  const person = (who: GitPerson): JsonObject | null => {
    const account = accountOf(world, who);
    return account === null ? null : renderUser(world, account);
  };
  return {
    sha: commit.sha,
    node_id: nodeId('Commit', `${repository.id}:${commit.sha}`),
    commit: {
      author: { ...commit.author },
      committer: { ...commit.committer },
      message: commit.message,
      tree: { sha: commit.tree, url: `${api}/git/trees/${commit.tree}` },
      url: `${api}/git/commits/${commit.sha}`,
      comment_count: 0,
      verification: unsigned,
    },
    url: `${api}/commits/${commit.sha}`,
    html_url: `${web}/commit/${commit.sha}`,
    comments_url: `${api}/commits/${commit.sha}/comments`,
    author: person(commit.author),
    committer: person(commit.committer),
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${api}/commits/${sha}`,
      html_url: `${web}/commit/${sha}`,
    })),
  };
};

export const renderSimpleCommit = (commit: GitCommit): JsonObject => ({
  id: commit.sha,
  tree_id: commit.tree,
  message: commit.message,
  timestamp: commit.committer.date,
  author: { name: commit.author.name, email: commit.author.email },
  committer: { name: commit.committer.name, email: commit.committer.email },
});

/** As `push` carries it, with the paths that it touches. */
export const renderPushedCommit = async (
  world: World,
  repository: Repository,
  commit: GitCommit,
): Promise<JsonObject> => {
  const parent = commit.parents[0] ?? '4b825dc642cb6eb9a060e54bf8d69288fbee4904'; // The empty tree.
  const changes = await diffCommits(world.git, repository.folder, parent, commit.sha);
  const paths = (status: FileChange['status']): string[] =>
    changes.filter((change) => change.status === status).map(({ path }) => path);
  const person = (who: GitPerson): JsonObject => {
    const account = accountOf(world, who);
    return { name: who.name, email: who.email, ...(account === null ? {} : { username: account.login }) };
  };
  return {
    ...renderSimpleCommit(commit),
    distinct: true,
    url: `${repositoryWebUrl(world, repository)}/commit/${commit.sha}`,
    author: person(commit.author),
    committer: person(commit.committer),
    added: paths('added'),
    removed: paths('removed'),
    modified: [...paths('modified'), ...paths('renamed')],
  };
};

export const renderFile = (
  world: World,
  repository: Repository,
  { sha, change }: { readonly sha: string; readonly change: FileChange },
): JsonObject => {
  const path = change.path.split('/').map(encodeURIComponent).join('/');
  const web = repositoryWebUrl(world, repository);
  return {
    sha: change.blob,
    filename: change.path,
    status: change.status,
    additions: change.additions,
    deletions: change.deletions,
    changes: change.additions + change.deletions,
    blob_url: `${web}/blob/${sha}/${path}`,
    raw_url: `${web}/raw/${sha}/${path}`,
    contents_url: `${repositoryApiUrl(world, repository)}/contents/${path}?ref=${sha}`,
    ...(change.patch === '' ? {} : { patch: change.patch }),
    ...(change.previousPath === null ? {} : { previous_filename: change.previousPath }),
  };
};

export const renderBranch = (world: World, repository: Repository, name: string): JsonObject => {
  const sha = mustGet(repository.branches, name);
  const isProtected = repository.protections.has(name);
  const api = repositoryApiUrl(world, repository);
  return {
    name,
    commit: { sha, url: `${api}/commits/${sha}` },
    protected: isProtected,
    protection_url: `${api}/branches/${encodeURIComponent(name)}/protection`,
  };
};
