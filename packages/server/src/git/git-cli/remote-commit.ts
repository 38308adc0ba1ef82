// One commit of a repository whose address a stranger wrote: fetched without its history, from judged addresses alone.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import { type ExportedCommit, GitError, type RemoteCommit } from '../git.ts';
import { exportTree } from './export-tree.ts';
import { createRepository, initBare } from './repository.ts';
import { type GitContext, runGit } from './run-git.ts';
import { readSubmodules } from './submodules.ts';
import { measureTree, mostGrowth } from './tree-bounds.ts';

/** What goes past the judged addresses. */
const noProxies = {
  http_proxy: undefined,
  https_proxy: undefined,
  HTTPS_PROXY: undefined,
  all_proxy: undefined,
  ALL_PROXY: undefined,
};

/** For `http.curloptResolve`, which curl calls CURLOPT_RESOLVE: `host:port:address,address`. */
const pinOf = (url: URL, addresses: readonly string[]): string => {
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const listed = addresses.map((address) => (address.includes(':') ? `[${address}]` : address));
  return `${url.hostname}:${port}:${listed.join(',')}`;
};

const parseUrl = (text: string): URL => {
  const url = /^https?:\/\/[^\s\\@]+$/.test(text) ? URL.parse(text) : null;
  if (url !== null && url.username === '' && url.password === '') return url;
  throw new GitError('GIT_URL_INVALID', 'only http and https URLs without a user are fetched from');
};

const packBytes = async (folder: string): Promise<number> => {
  const packs = join(folder, 'objects', 'pack');
  const names = await readdir(packs).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(packs, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
};

const watchMs = 200;

/** Ends `work` when what it fetches grows too large: git has no bound of its own for a fetch. */
const withinBytes = async <Result>(
  { folder, maxBytes }: Pick<RemoteCommit, 'folder' | 'maxBytes'>,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> => {
  const tooLarge = new AbortController();
  const timer = setInterval(() => {
    packBytes(folder).then(
      (size) => {
        if (size > maxBytes) tooLarge.abort();
      },
      () => {}, // What cannot be read now is read the next time.
    );
  }, watchMs);
  try {
    const result = await work(AbortSignal.any([signal, tooLarge.signal]));
    if ((await packBytes(folder)) > maxBytes) tooLarge.abort();
    tooLarge.signal.throwIfAborted();
    return result;
  } catch (error) {
    if (!tooLarge.signal.aborted || signal.aborted) throw error;
    const message = `the commit is larger than ${Math.floor(maxBytes / 1024 / 1024)} MiB`;
    throw new GitError('GIT_FETCH_FAILED', message, error);
  } finally {
    clearInterval(timer);
  }
};

const fetchCommit = (
  context: GitContext,
  { rev, addresses, authorization }: RemoteCommit,
  { bare, url }: { readonly bare: string; readonly url: URL },
): Promise<unknown> => {
  const pin: [string, string][] =
    addresses.length === 0 ? [] : [['http.curloptResolve', pinOf(url, addresses)]];
  // As of a mirror, and of this host alone: nothing here follows a redirect.
  const header: [string, string][] =
    authorization === undefined
      ? []
      : [[`http.${url.origin}/.extraHeader`, `Authorization: ${authorization}`]];
  const flags = ['--quiet', '--depth=1', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance'];
  return runGit(context, {
    doing: 'fetching a commit',
    gitDir: bare,
    args: ['fetch', ...flags, '--no-recurse-submodules', 'stranger', `+${rev}:refs/fetched/${rev}`],
    config: [
      ['remote.stranger.url', url.href],
      ['http.followRedirects', 'false'],
      // Slower than this for half a minute counts as dead.
      ['http.lowSpeedLimit', '1000'],
      ['http.lowSpeedTime', '30'],
      // A pack stays one, and can be measured.
      ['fetch.unpackLimit', '1'],
      ...pin,
      ...header,
    ],
    env: { GIT_ALLOW_PROTOCOL: 'http:https', ...noProxies },
    timeoutMs: context.fetchTimeoutMs,
  });
};

/** See `Git.exportRemoteCommit`. */
export const exportRemoteCommit = async (
  context: GitContext & { readonly signal: AbortSignal },
  asked: RemoteCommit,
): Promise<ExportedCommit> => {
  const { rev, folder, maxBytes } = asked;
  const url = parseUrl(asked.url);
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(rev)) {
    throw new GitError('GIT_REVISION_INVALID', `${JSON.stringify(rev)} is no full commit sha`);
  }
  const bare = join(folder, 'fetched.git');
  await initBare(context, bare, rev.length === 64 ? 'sha256' : 'sha1');
  await withinBytes({ folder: bare, maxBytes }, context.signal, (signal) =>
    fetchCommit({ ...context, signal }, asked, { bare, url }),
  );
  const parts = { folder: bare, refsDir: bare, remoteHead: 'HEAD', borrowedShallowFile: null };
  const repository = createRepository(context, parts);
  const args = ['rev-parse', '--verify', `${rev}^{tree}`];
  const { stdout } = await repository.run({ doing: 'finding the tree of the commit', args });
  // Git printed the name of a tree.
  const tree = stdout.trim() as TreeSha;
  const { entries, bytes, gitlinks } = await measureTree(context, { gitDir: bare, tree }, asked);
  const submodules = await readSubmodules(repository, tree, gitlinks);
  const sizeBytes = Math.max(await packBytes(bare), Math.ceil(bytes / mostGrowth));
  return { tree: await exportTree(repository, tree, folder), submodules, entries, sizeBytes };
};
