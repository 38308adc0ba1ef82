// Finds commits by their names without a mirror: a local repository by its refs, a remote by asking it for them.
import type { CommitSha } from '@eka-ci/core/ids';
import { nearestNames } from '../../lib/nearest-name.ts';
import { type FoundCommit, GitError, type UrlSource } from '../git.ts';
import { openLocalRefs } from './open-local.ts';
import { listRemoteRefs } from './open-url.ts';
import { findDefaultBranch, isFullSha, quote, requireOneCommit, resolveSha } from './revision.ts';
import type { GitContext } from './run-git.ts';

const requireDefault = (branch: string | null): string => {
  if (branch !== null) return branch;
  throw new GitError(
    'GIT_REVISION_NOT_FOUND',
    'the repository has no origin/HEAD, main or master to compare with: name the base with --base',
  );
};

/** See `Git.findCommits`. */
export const findLocalCommits = async (
  context: GitContext,
  path: string,
  revisions: readonly (string | null)[],
): Promise<readonly FoundCommit[]> => {
  const repository = await openLocalRefs(context, path);
  const found: FoundCommit[] = [];
  for (const asked of revisions) {
    const revision = asked ?? requireDefault(await findDefaultBranch(repository));
    found.push({ revision, sha: await resolveSha(repository, revision) });
  }
  return found;
};

interface RemoteRefs {
  /** Full name to commit, tags peeled. */
  readonly commits: ReadonlyMap<string, CommitSha>;
  /** The branch that the remote's HEAD names, without `refs/heads/`. */
  readonly defaultBranch: string | null;
}

/** @param listing as of `listRemoteRefs` */
const readRemoteRefs = (listing: string): RemoteRefs => {
  const commits = new Map<string, CommitSha>();
  // An annotated tag is followed by the commit that it leads to.
  for (const [, sha = '', name = ''] of listing.matchAll(/^([0-9a-f]{40}|[0-9a-f]{64})\t(.+)$/gm)) {
    commits.set(name.replace(/\^\{\}$/, ''), sha as CommitSha);
  }
  const named = /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(listing)?.[1] ?? null;
  const usual = ['main', 'master'].find((name) => commits.has(`refs/heads/${name}`)) ?? null;
  return { commits, defaultBranch: named !== null && commits.has(`refs/heads/${named}`) ? named : usual };
};

const missing = (revision: string, { commits }: RemoteRefs): GitError => {
  const names = [...commits.keys()].map((name) => name.replace(/^refs\/(?:heads|tags)\//, ''));
  const near = nearestNames(revision, new Set(names));
  const hint = near.length === 0 ? '' : `did you mean ${near.join(', ')}? `;
  return new GitError(
    'GIT_REVISION_NOT_FOUND',
    `the remote has no ${quote(revision)}: ${hint}It is asked for branches, tags and full commit shas alone`,
  );
};

/** What a name means at a remote, as git itself reads short names (gitrevisions(7)). */
const findRemoteCommit = (refs: RemoteRefs, revision: string): CommitSha => {
  requireOneCommit(revision);
  if (isFullSha(revision)) return revision as CommitSha;
  const names = [revision, `refs/${revision}`, `refs/tags/${revision}`, `refs/heads/${revision}`];
  const met = names.filter((name) => refs.commits.has(name));
  const shas = new Set(met.map((name) => refs.commits.get(name)));
  const [sha] = shas;
  if (sha === undefined) throw missing(revision, refs);
  if (shas.size > 1) {
    throw new GitError(
      'GIT_AMBIGUOUS_REVISION',
      `${quote(revision)} has more than one meaning: write ${met.join(' or ')} in full`,
    );
  }
  return sha;
};

/** See `Git.findCommits`. */
export const findRemoteCommits = async (
  context: GitContext,
  source: UrlSource,
  revisions: readonly (string | null)[],
): Promise<readonly FoundCommit[]> => {
  const refs = readRemoteRefs(await listRemoteRefs(context, source));
  if (refs.commits.size === 0) {
    throw new GitError('GIT_EMPTY_REPOSITORY', 'the repository has no commit yet: push the first one');
  }
  return revisions.map((asked) => {
    const revision = asked ?? requireDefault(refs.defaultBranch);
    return { revision, sha: findRemoteCommit(refs, revision) };
  });
};
