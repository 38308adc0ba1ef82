// Turns what people write for a commit into the one commit that they mean.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { nearestNames } from '../../lib/nearest-name.ts';
import { GitError, type ResolvedCommit } from '../git.ts';
import type { Repository } from './repository.ts';
import { splitNul } from './run-git.ts';

const longestRevision = 1000;
const controlCharacter = /[\u0000-\u001f\u007f]/;

const refusal = (revision: string): string | null => {
  if (revision.trim() === '') return 'is empty';
  if (revision.length > longestRevision) return `is longer than ${longestRevision} characters`;
  if (controlCharacter.test(revision)) return 'contains a control character';
  if (revision.startsWith('-')) return 'begins with "-" (a branch of such a name is refs/heads/-…)';
  if (revision.includes('..') || revision.startsWith('^') || /\^[@!-]/.test(revision)) {
    return 'is a range, and one commit is wanted';
  }
  if (revision.startsWith(':')) return 'is a path or a search, and a commit is wanted';
  return null;
};

export const quote = (revision: string): string => JSON.stringify(revision.slice(0, 200));

/** `name` in `name~2`, `name^{commit}`, `name@{1}`. */
const nameIn = (revision: string): string => /^(?:[^~^@:]|@(?!\{))*/.exec(revision)?.[0] ?? revision;

interface Ref {
  /** Full, for example `refs/heads/main`. */
  readonly name: string;
  /** What it leads to, tags peeled. */
  readonly sha: string;
}

const listRefs = async (repository: Repository, patterns: readonly string[]): Promise<Ref[]> => {
  const format = '%(refname)%00%(objectname)%00%(*objectname)%00';
  const { stdout } = await repository.runOnRefs({
    doing: 'listing branches and tags',
    args: ['for-each-ref', `--format=${format}`, ...patterns],
  });
  const refs: Ref[] = [];
  const fields = splitNul(stdout);
  for (let at = 0; at + 2 < fields.length; at += 3) {
    // for-each-ref ends each of its lines with a line feed, which no ref name can contain.
    const name = (fields[at] ?? '').replace(/^\n/, '');
    refs.push({ name, sha: fields[at + 2] || (fields[at + 1] ?? '') });
  }
  return refs;
};

const shortName = (ref: string): string => ref.replace(/^refs\/(?:heads|tags|remotes)\//, '');

export const isFullSha = (revision: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(revision);

const explainMissing = async (repository: Repository, revision: string): Promise<GitError> => {
  const refs = await listRefs(repository, ['refs/heads', 'refs/tags', 'refs/remotes']);
  const head = await repository.runOnRefs({
    doing: 'looking for HEAD',
    args: ['rev-parse', '--verify', '--quiet', 'HEAD'],
    accept: [0, 1, 128],
  });
  if (refs.length === 0 && head.code !== 0) {
    return new GitError(
      'GIT_EMPTY_REPOSITORY',
      'the repository has no commit yet: make or push the first one',
    );
  }
  if ((await repository.isShallow()) && (isFullSha(revision) || /[~^]/.test(revision))) {
    return new GitError(
      'GIT_SHALLOW',
      `${quote(revision)} may be in history that this shallow clone lacks: run "git fetch --unshallow" in it`,
    );
  }
  if (isFullSha(revision)) {
    return new GitError(
      'GIT_REVISION_NOT_FOUND',
      `commit ${revision} is not in this repository: fetch it first`,
    );
  }
  const near = nearestNames(nameIn(revision), new Set(refs.map(({ name }) => shortName(name))));
  const hint = near.length === 0 ? 'name a branch, a tag or a commit' : `did you mean ${near.join(', ')}?`;
  return new GitError('GIT_REVISION_NOT_FOUND', `no commit is called ${quote(revision)}: ${hint}`);
};

const candidatesIn = (stderr: string): string =>
  [...stderr.matchAll(/^hint: +([0-9a-f]{4,64} .*)$/gm)]
    .slice(0, 10)
    .map((match) => match[1])
    .join('; ');

/** A short name may be a branch and a tag: harmless only when both are the same commit. */
const refuseTwoMeanings = async (repository: Repository, revision: string): Promise<void> => {
  const name = nameIn(revision);
  const spelled = ['refs', 'refs/tags', 'refs/heads', 'refs/remotes'].map((folder) => `${folder}/${name}`);
  const meanings = (await listRefs(repository, spelled)).filter((ref) => spelled.includes(ref.name));
  if (new Set(meanings.map(({ sha }) => sha)).size < 2 && !/^[0-9a-f]{4,63}$/.test(name)) return;
  throw new GitError(
    'GIT_AMBIGUOUS_REVISION',
    `${quote(name)} has more than one meaning: write ${meanings.map((ref) => ref.name).join(' or ')} in full`,
  );
};

const findSha = async (repository: Repository, revision: string): Promise<string> => {
  const { code, stdout, stderr } = await repository.runOnRefs({
    doing: `looking for ${quote(revision)}`,
    args: ['rev-parse', '--verify', `${revision}^{commit}`],
    accept: [0, 128],
  });
  if (code === 0) {
    if (/refname '.*' is ambiguous/.test(stderr) && !isFullSha(revision))
      await refuseTwoMeanings(repository, revision);
    return stdout.trim();
  }
  if (/short (?:object ID|SHA1) \S+ is ambiguous/i.test(stderr)) {
    const candidates = candidatesIn(stderr);
    throw new GitError(
      'GIT_AMBIGUOUS_REVISION',
      `${quote(revision)} is the beginning of several objects: write more of it${candidates === '' ? '' : ` (${candidates})`}`,
    );
  }
  throw await explainMissing(repository, revision);
};

/** @throws GitError GIT_REVISION_INVALID */
export const requireOneCommit = (revision: string): void => {
  const reason = refusal(revision);
  if (reason !== null)
    throw new GitError('GIT_REVISION_INVALID', `the revision ${quote(revision)} ${reason}`);
};

/** As `resolveRevision`, by the refs alone. */
export const resolveSha = async (repository: Repository, revision: string): Promise<CommitSha> => {
  requireOneCommit(revision);
  return (await findSha(repository, revision)) as CommitSha;
};

/** See `Mirror.resolve`. */
export const resolveRevision = async (repository: Repository, revision: string): Promise<ResolvedCommit> => {
  const sha = await resolveSha(repository, revision);
  // Read through the mirror: the borrowed repository's configuration could make `log` run programs.
  const { stdout } = await repository.run({
    doing: `reading commit ${sha}`,
    args: ['log', '-1', '--no-show-signature', '--encoding=UTF-8', '--format=%H%x00%T%x00%ct%x00%s%x00', sha],
  });
  const [commit, tree, seconds, subject] = stdout.split('\0');
  if (commit === undefined || tree === undefined || seconds === undefined || subject === undefined) {
    throw new GitError(
      'GIT_OBJECT_MISSING',
      `commit ${sha} cannot be read: run "git fsck" in the repository`,
    );
  }
  return { sha: commit as CommitSha, tree: tree as TreeSha, subject, committedAt: Number(seconds) * 1000 };
};

/** See `Mirror.branches`. */
export const listBranches = async (repository: Repository): Promise<{ name: string; sha: CommitSha }[]> => {
  const refs = await listRefs(repository, ['refs/heads']);
  return refs.map(({ name, sha }) => ({ name: name.slice('refs/heads/'.length), sha: sha as CommitSha }));
};

/** See `Mirror.defaultBranch`. */
export const findDefaultBranch = async (repository: Repository): Promise<string | null> => {
  const { stdout } = await repository.runOnRefs({
    doing: 'looking for the default branch',
    args: ['symbolic-ref', '--quiet', repository.remoteHead],
    accept: [0, 1, 128],
  });
  const candidates = [stdout.replace(/\n$/, ''), 'refs/heads/main', 'refs/heads/master'].filter(
    (ref) => ref !== '',
  );
  const present = new Set((await listRefs(repository, candidates)).map(({ name }) => name));
  const found = candidates.find((ref) => present.has(ref));
  return found === undefined ? null : shortName(found);
};
