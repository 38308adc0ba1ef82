// Mirrors a remote repository by fetching its branches and tags.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GitError, type GitErrorCode, type UrlSource } from '../git.ts';
import { createRepository, initBare, type ObjectFormat, type Repository } from './repository.ts';
import { type GitAnswer, type GitCall, type GitContext, runGit } from './run-git.ts';

const scheme = /^(https?|ssh|git|file):\/\/[^/]*\//i;
/** `user@host:path` and `host:path`; two colons would name a helper program. */
const shortSsh = /^(?:[\w.-]+@)?[\w.-]+:(?![:/]).+$/;

/** Git's name for the protocol of a URL, the only one that its fetch may use. */
const protocolOf = (url: string): string => {
  const plain = !/[\u0000-\u0020\u007f]/.test(url) && !url.startsWith('-');
  const named = plain && URL.canParse(url) ? scheme.exec(url)?.[1]?.toLowerCase() : undefined;
  if (named !== undefined) return named;
  if (plain && shortSsh.test(url)) return 'ssh';
  throw new GitError(
    'GIT_URL_INVALID',
    "the repository's URL cannot be fetched from: write https://…, http://…, ssh://…, git://…, file:///… or user@host:path",
  );
};

const originOf = (url: string): string => {
  const { origin } = new URL(url);
  return `${origin}/`;
};

const remoteCall = (context: GitContext, source: UrlSource, call: GitCall): GitCall => {
  const config: [string, string][] = [
    ['remote.mirror.url', source.url],
    // A redirected git goes on at the other host with the header of the first (seen with 2.39), and past any check
    // of addresses that the URL went through.
    ['http.followRedirects', 'false'],
    // Slower than this for half a minute counts as dead.
    ['http.lowSpeedLimit', '1000'],
    ['http.lowSpeedTime', '30'],
  ];
  if (source.authorization !== undefined && /^https?:/i.test(source.url)) {
    config.push([`http.${originOf(source.url)}.extraHeader`, `Authorization: ${source.authorization}`]);
  }
  const protocol = protocolOf(source.url);
  return {
    ...call,
    config,
    env: { GIT_ALLOW_PROTOCOL: protocol === 'http' ? 'http:https' : protocol },
    timeoutMs: context.fetchTimeoutMs,
  };
};

const remoteFaults: readonly GitErrorCode[] = ['GIT_FAILED', 'GIT_NOT_A_REPOSITORY', 'GIT_PERMISSION_DENIED'];

/** What went wrong is the remote's, whatever git's words for it were. */
const asFetchFailure = (error: unknown): never => {
  if (!(error instanceof GitError) || !remoteFaults.includes(error.code)) throw error;
  throw new GitError('GIT_FETCH_FAILED', error.message, error);
};

interface RemoteHead {
  /** Full name of the branch that the remote's HEAD names; null when it names none. */
  readonly branch: string | null;
  /** Null when the remote has no commit to tell it by. */
  readonly format: ObjectFormat | null;
}

const askHead = async (context: GitContext, source: UrlSource): Promise<RemoteHead> => {
  const call = remoteCall(context, source, {
    doing: 'asking the remote for its branches',
    args: ['ls-remote', '--symref', 'mirror', 'HEAD'],
  });
  const { stdout } = await runGit(context, call).catch(asFetchFailure);
  const sha = /^([0-9a-f]+)\tHEAD$/m.exec(stdout)?.[1];
  return {
    branch: /^ref: (refs\/heads\/\S+)\tHEAD$/m.exec(stdout)?.[1] ?? null,
    format: sha === undefined ? null : sha.length === 64 ? 'sha256' : 'sha1',
  };
};

/** See `Git.listBranches`. */
export const listRemoteBranches = async (context: GitContext, source: UrlSource): Promise<string> => {
  const call = remoteCall(context, source, {
    doing: 'asking the remote for its branches',
    args: ['ls-remote', '--heads', 'mirror'],
  });
  const { stdout } = await runGit(context, call).catch(asFetchFailure);
  return stdout;
};

/** Branches, tags and HEAD of a remote, as git lists them: `sha<TAB>name` a line, `ref: name<TAB>HEAD` before HEAD. */
export const listRemoteRefs = async (context: GitContext, source: UrlSource): Promise<string> => {
  const call = remoteCall(context, source, {
    doing: 'asking the remote for its branches and tags',
    args: ['ls-remote', '--symref', 'mirror', 'HEAD', 'refs/heads/*', 'refs/tags/*'],
  });
  const { stdout } = await runGit(context, call).catch(asFetchFailure);
  return stdout;
};

const refspecOf = (ref: string): string => {
  if (/^[0-9a-f]{40,64}$/.test(ref)) return `+${ref}:refs/fetched/${ref}`;
  if (/^refs\/[^\s:*?[\\^~]+$/.test(ref)) return `+${ref}:${ref}`;
  throw new GitError(
    'GIT_REVISION_INVALID',
    `${JSON.stringify(ref)} is neither a full ref name nor a full commit sha`,
  );
};

const fetchAll = (context: GitContext, source: UrlSource, folder: string): Promise<GitAnswer> => {
  const refspecs = [
    '+refs/heads/*:refs/heads/*',
    '+refs/tags/*:refs/tags/*',
    ...(source.refs ?? []).map(refspecOf),
  ];
  const flags = ['--quiet', '--prune', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance'];
  const call = remoteCall(context, source, {
    doing: 'fetching from the remote',
    gitDir: folder,
    // A shallow remote gives what it has: what is missing is said where it matters.
    args: ['fetch', ...flags, '--no-recurse-submodules', '--update-shallow', 'mirror', ...refspecs],
  });
  return runGit(context, call).catch(asFetchFailure);
};

const isMirror = async (folder: string): Promise<boolean> =>
  (await readFile(join(folder, 'HEAD'), 'utf8').catch(() => '')) !== '';

const repositoryIn = (context: GitContext, folder: string): Repository =>
  createRepository(context, { folder, refsDir: folder, remoteHead: 'HEAD', borrowedShallowFile: null });

const openFetched = async (context: GitContext, folder: string): Promise<Repository> => {
  if (await isMirror(folder)) return repositoryIn(context, folder);
  throw new GitError('GIT_EMPTY_REPOSITORY', 'the repository was not fetched yet: fetch it first');
};

/** See `Git.openMirror`. */
export const openUrl = async (
  context: GitContext,
  source: UrlSource,
  folder: string,
): Promise<Repository> => {
  protocolOf(source.url);
  if (source.fetch === false) return openFetched(context, folder);
  const head = await askHead(context, source);
  // An empty remote does not tell its format; one that had commits before keeps the mirror's.
  if (head.format !== null || !(await isMirror(folder)))
    await initBare(context, folder, head.format ?? 'sha1');
  await fetchAll(context, source, folder);
  const repository = repositoryIn(context, folder);
  if (head.branch !== null) {
    await repository.run({ doing: 'noting the default branch', args: ['symbolic-ref', 'HEAD', head.branch] });
  }
  return repository;
};
