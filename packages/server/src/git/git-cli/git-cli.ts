// The driver of the git port that runs the git program.
import { lstat, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CommitSha } from '@eka-ci/core/ids';
import { type Branch, type Git, GitError, type GitSource, type Mirror } from '../git.ts';
import { exportTree } from './export-tree.ts';
import { findLocalCommits, findRemoteCommits } from './find-commits.ts';
import { blameFullDisk } from './git-failure.ts';
import { listLocalBranches, openLocal } from './open-local.ts';
import { listRemoteBranches, openUrl } from './open-url.ts';
import { exportRemoteCommit } from './remote-commit.ts';
import type { Repository } from './repository.ts';
import { findDefaultBranch, listBranches, resolveRevision } from './revision.ts';
import { type GitContext, runGit } from './run-git.ts';
import { judgedBounds, measureTree } from './tree-bounds.ts';
import { listChangedPaths, listSubmodules, readTreeFile } from './tree-contents.ts';
import { findMergeBase, mergeOnTrial } from './trial-merge.ts';
import { inspectWorkingTree } from './working-tree.ts';

export interface GitCliDeps {
  /**
   * Usually `process.env`. Of it git gets PATH, TMPDIR, the ssh agent, proxies and certificates. The user's own
   * `safe.directory` settings and list of ignored files are honoured; no other setting of theirs is.
   */
  readonly env: NodeJS.ProcessEnv;
  /** Bound on one git on this machine. @default 10 minutes */
  readonly localTimeoutMs?: number;
  /** Bound on one fetch. @default 60 minutes */
  readonly fetchTimeoutMs?: number;
  /** Bound on a git that only asks for branches, tags or a working tree's state. @default 2 minutes */
  readonly listTimeoutMs?: number;
}

/** `git merge-tree --write-tree` came with 2.38. */
const oldest = [2, 38] as const;

const requireVersion = async (context: GitContext): Promise<void> => {
  const { stdout } = await runGit(context, { doing: 'asking git for its version', args: ['--version'] });
  const [, major, minor] = /(\d+)\.(\d+)/.exec(stdout) ?? [];
  if (Number(major) > oldest[0] || (Number(major) === oldest[0] && Number(minor) >= oldest[1])) return;
  throw new GitError(
    'GIT_TOO_OLD',
    `git ${oldest.join('.')} or newer is needed for trial merges, and this is ${stdout.trim()}: install a newer one`,
  );
};

const exists = async (path: string): Promise<boolean> => {
  const found = await lstat(path).catch(() => null);
  return found !== null;
};

const createMirror = (context: GitContext, repository: Repository): Mirror => ({
  resolve: (revision) => resolveRevision(repository, revision),
  defaultBranch: () => findDefaultBranch(repository),
  mergeBase: (a, b) => findMergeBase(repository, a, b),
  trialMerge: async (base, head) => {
    try {
      return await mergeOnTrial(repository, base, head);
    } catch (error) {
      throw await blameFullDisk(error, [repository.folder]);
    }
  },
  exportTree: async (tree, parent) => {
    await measureTree(context, { gitDir: repository.folder, tree }, judgedBounds);
    return exportTree(repository, tree, resolve(parent));
  },
  submodules: (tree) => listSubmodules(repository, tree),
  changedPaths: (a, b) => listChangedPaths(repository, a, b),
  readFile: (tree, path, maxBytes) => readTreeFile(repository, tree, { path, maxBytes }),
  branches: () => listBranches(repository),
});

const open = (context: GitContext, source: GitSource, folder: string): Promise<Repository> => {
  switch (source.kind) {
    case 'local':
      return openLocal(context, source.path, folder);
    case 'url':
      return openUrl(context, source, folder);
  }
};

const readBranches = (listing: string): Branch[] =>
  [...listing.matchAll(/^([0-9a-f]{40}|[0-9a-f]{64})\trefs\/heads\/(.+)$/gm)]
    .map(([, sha = '', name = '']) => ({ name, sha: sha as CommitSha }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));

const list = async (context: GitContext, source: GitSource): Promise<Branch[]> => {
  switch (source.kind) {
    case 'local':
      return readBranches(await listLocalBranches(context, source.path));
    case 'url':
      return readBranches(await listRemoteBranches(context, source));
  }
};

/** For what is only asked. */
const askingContext = (deps: GitCliDeps, signal: AbortSignal | undefined): GitContext => {
  signal?.throwIfAborted();
  const timeoutMs = deps.listTimeoutMs ?? 2 * 60_000;
  return { env: deps.env, signal, localTimeoutMs: timeoutMs, fetchTimeoutMs: timeoutMs };
};

const openOrRemove = async (context: GitContext, source: GitSource, folder: string): Promise<Mirror> => {
  const isNew = !(await exists(folder));
  try {
    return createMirror(context, await open(context, source, folder));
  } catch (error) {
    const failure = await blameFullDisk(error, [folder]);
    if (isNew) await rm(folder, { recursive: true, force: true });
    throw failure;
  }
};

/** One after the other for each folder: two gits that make the same mirror meet at its locks. */
const createFolderTurns = () => {
  const last = new Map<string, Promise<void>>();
  return async <Result>(folder: string, work: () => Promise<Result>): Promise<Result> => {
    const before = last.get(folder);
    const over = Promise.withResolvers<void>();
    last.set(folder, over.promise);
    try {
      await before;
      return await work();
    } finally {
      over.resolve();
      if (last.get(folder) === over.promise) last.delete(folder);
    }
  };
};

const openingContext = (deps: GitCliDeps, signal: AbortSignal | undefined): GitContext => ({
  env: deps.env,
  signal,
  localTimeoutMs: deps.localTimeoutMs ?? 10 * 60_000,
  fetchTimeoutMs: deps.fetchTimeoutMs ?? 60 * 60_000,
});

/** @param inTurn of all mirrors that are opened */
const openMirror = async (
  context: GitContext,
  { source, folder }: { readonly source: GitSource; readonly folder: string },
  inTurn: ReturnType<typeof createFolderTurns>,
): Promise<Mirror> => {
  context.signal?.throwIfAborted();
  await requireVersion(context);
  const work = (): Promise<Mirror> => openOrRemove(context, source, folder);
  // A mirror of a URL is made by the one that fetches, which may take an hour: who only reads does not wait for it.
  return source.kind === 'local' ? inTurn(folder, work) : work();
};

const createGitOf = (deps: GitCliDeps, inTurn: ReturnType<typeof createFolderTurns>): Git => ({
  openMirror: (source, folder, signal) =>
    openMirror(openingContext(deps, signal), { source, folder: resolve(folder) }, inTurn),
  listBranches: async (source, signal) => await list(askingContext(deps, signal), source),
  findCommits: async (source, revisions, signal) => {
    const context = askingContext(deps, signal);
    return source.kind === 'local'
      ? await findLocalCommits(context, source.path, revisions)
      : await findRemoteCommits(context, source, revisions);
  },
  inspectWorkingTree: async ({ path }, signal) => await inspectWorkingTree(askingContext(deps, signal), path),
  exportRemoteCommit: async (asked, signal) => {
    const context = { ...openingContext(deps, signal), signal };
    signal.throwIfAborted();
    await requireVersion(context);
    try {
      return await exportRemoteCommit(context, { ...asked, folder: resolve(asked.folder) });
    } catch (error) {
      throw await blameFullDisk(error, [asked.folder]);
    }
  },
});

export const createGitCli = (deps: GitCliDeps): Git => createGitOf(deps, createFolderTurns());
