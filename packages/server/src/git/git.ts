// The port to git: what the pipeline needs of a repository, read-only towards whoever owns it.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';

/** A repository on this machine: `path` may be its root, a folder inside it, a linked worktree or a bare one. */
export interface LocalSource {
  readonly kind: 'local';
  readonly path: string;
}

export interface UrlSource {
  readonly kind: 'url';
  /** `https://`, `http://`, `ssh://`, `git://` or `file://`, or ssh's short form `user@host:path`. */
  readonly url: string;
  /** Fetched beside branches and tags: full names such as `refs/pull/7/head`, or full commit shas. @default [] */
  readonly refs?: readonly string[];
  /**
   * Value of the HTTP `Authorization` header, sent to the URL's own host only. It never reaches a command line, a
   * file or a message.
   */
  readonly authorization?: string;
  /** False: the mirror is opened as the last fetch left it, and the remote is not asked. @default true */
  readonly fetch?: boolean;
}

export type GitSource = LocalSource | UrlSource;

export interface Git {
  /**
   * Makes `folder` a bare mirror of the source, or brings the one that is there up to date. A local repository is
   * borrowed from and never written to (git may renew the times of object files that it meets again there); a URL
   * is fetched. One fetch at a time a folder; who reads a mirror is not disturbed by it, and sees the branches move.
   * Mirrors in different folders do not disturb each other.
   * @param folder made when missing, removed again when the first opening fails
   * @param signal ends the opening and whatever the mirror does later; what was cut short rejects with its reason,
   *   leaves nothing half-made and no process behind
   * @throws GitError any code but those of single methods
   */
  openMirror(source: GitSource, folder: string, signal?: AbortSignal): Promise<Mirror>;
  /**
   * All branches with their tips, sorted by name, without a mirror: a URL is only asked, nothing is fetched.
   * @throws GitError as of openMirror
   */
  listBranches(source: GitSource, signal?: AbortSignal): Promise<readonly Branch[]>;
  /**
   * Finds commits by their names without a mirror, in the order of the names; null names the default branch. A URL is
   * only asked, nothing is fetched: a name is a branch, a tag or `HEAD` there, and a full sha is taken at its word.
   * @throws GitError as of openMirror and of `Mirror.resolve`
   */
  findCommits(
    source: GitSource,
    revisions: readonly (string | null)[],
    signal?: AbortSignal,
  ): Promise<readonly FoundCommit[]>;
  /**
   * What is checked out at a local path; null in a bare repository, or before the first commit.
   * @throws GitError as of openMirror
   */
  inspectWorkingTree(source: LocalSource, signal?: AbortSignal): Promise<WorkingTree | null>;
  /**
   * Fetches one commit of a repository that a stranger named, without its history, and writes its tree to
   * `<folder>/source` as `Mirror.exportTree` does. Sends no credentials but those it is given, and follows no redirect.
   * @throws GitError GIT_URL_INVALID for anything but http and https; as of openMirror and `Mirror.exportTree`
   */
  exportRemoteCommit(asked: RemoteCommit, signal: AbortSignal): Promise<ExportedCommit>;
}

export interface RemoteCommit {
  readonly url: string;
  /** Its full sha. */
  readonly rev: string;
  /** Connects to these and nowhere else, whatever the host's name means; empty: as the system resolves it. */
  readonly addresses: readonly string[];
  /** Ours alone; made when missing. */
  readonly folder: string;
  /** About what is fetched at most; what is written may be some times as much. */
  readonly maxBytes: number;
  /** Files and folders that are written at most. @default some times what the largest package sets have */
  readonly maxEntries?: number;
  /** As of `UrlSource`. @default none */
  readonly authorization?: string;
  /** Whether somebody wants to know of its submodules; at most so many. @default none, however many there are */
  readonly maxSubmodules?: number;
}

/** A folder of a commit that is another repository at one of its commits. It is empty in what was written. */
export interface Submodule {
  /** Names of folders that are there and no links, joined by `/`. */
  readonly path: string;
  readonly rev: string;
  /** As `.gitmodules` has it, which may be anything; null where it has none for this path. */
  readonly url: string | null;
}

export interface ExportedCommit {
  readonly tree: string;
  /** Empty where nobody wanted to know. */
  readonly submodules: readonly Submodule[];
  /** Files and folders. */
  readonly entries: number;
  /** What it came to, in terms of `maxBytes`. */
  readonly sizeBytes: number;
}

export interface FoundCommit {
  /** As it was asked for; the default branch by its name. */
  readonly revision: string;
  readonly sha: CommitSha;
}

export interface WorkingTree {
  readonly head: CommitSha;
  /** True where files are there that no commit has, files that git is told to ignore aside. */
  readonly hasUncommitted: boolean;
}

export interface ResolvedCommit {
  readonly sha: CommitSha;
  readonly tree: TreeSha;
  /** First line of the message: written by anyone, of any length. */
  readonly subject: string;
  /** Milliseconds since 1970, as the committer's clock said. */
  readonly committedAt: number;
}

export interface MergeConflict {
  readonly path: string;
  /** In git's words: `contents`, `modify/delete`, `rename/rename`, `binary`, `file/directory`, … */
  readonly kind: string;
}

export type TrialMerge =
  | { readonly kind: 'merged'; readonly tree: TreeSha }
  /** `files` are sorted and none comes twice; `message` is git's account of the conflicts, a line each. */
  | { readonly kind: 'conflict'; readonly files: readonly MergeConflict[]; readonly message: string }
  /** The two share no history at all. */
  | { readonly kind: 'unrelated' };

export interface Branch {
  /** Without `refs/heads/`; bytes that are not UTF-8 come as U+FFFD. */
  readonly name: string;
  readonly sha: CommitSha;
}

/** Paths are relative to the repository's root and joined by `/`; bytes that are not UTF-8 come as U+FFFD. */
export interface Mirror {
  /**
   * Finds the one commit that a revision names: a branch, a tag, a sha, `HEAD~2` … in the words of gitrevisions(7).
   * A name that means two different commits is refused rather than guessed.
   * @throws GitError GIT_REVISION_INVALID, GIT_REVISION_NOT_FOUND, GIT_AMBIGUOUS_REVISION, GIT_EMPTY_REPOSITORY,
   *   GIT_SHALLOW
   */
  resolve(revision: string): Promise<ResolvedCommit>;
  /** The branch that changes most likely want to join: the remote's HEAD, else `main`, else `master`, else null. */
  defaultBranch(): Promise<string | null>;
  /** A best common ancestor, or null when there is none. @throws GitError GIT_SHALLOW when it may be cut off */
  mergeBase(a: CommitSha, b: CommitSha): Promise<CommitSha | null>;
  /**
   * Merges `head` into `base` without a working tree, as `git merge` would with its default settings; merge drivers
   * and attributes of the repository have no say. @throws GitError GIT_SHALLOW
   */
  trialMerge(base: CommitSha, head: CommitSha): Promise<TrialMerge>;
  /**
   * Writes a tree's files, byte for byte as committed, to `<parent>/source` without `.git`, and gives that path.
   * It appears only when it is complete. Symbolic links are written as they are, also those that lead out of the
   * tree; folders of submodules are empty (`submodules` names them); Git LFS pointers stay pointers.
   * @throws GitError GIT_EXPORT_EXISTS, GIT_UNSAFE_TREE (a name such as `.git` or `..`), GIT_PATH_TOO_LONG,
   * GIT_TREE_TOO_LARGE (more than 8 GiB, or a million files and folders)
   */
  exportTree(tree: TreeSha, parent: string): Promise<string>;
  /** Paths at which other repositories are mounted, and whose files no export contains. */
  submodules(tree: TreeSha): Promise<readonly string[]>;
  /** Every path that is not the same in both trees, sorted; a renamed file counts as both its names. */
  changedPaths(a: TreeSha, b: TreeSha): Promise<readonly string[]>;
  /**
   * The first `maxBytes` bytes of a file, null when nothing is there. Ask for one more than a bound to notice
   * longer files. Never follows a symbolic link.
   * @throws GitError GIT_NOT_A_FILE when a link, a folder or a submodule is there, or a link is on the way
   */
  readFile(tree: TreeSha, path: string, maxBytes: number): Promise<Uint8Array | null>;
  /** All local branches of a local source, all branches of a fetched one, sorted by name. */
  branches(): Promise<readonly Branch[]>;
}

export type GitErrorCode =
  | 'GIT_NOT_INSTALLED'
  | 'GIT_TOO_OLD'
  | 'GIT_NOT_A_REPOSITORY'
  | 'GIT_UNTRUSTED_OWNER'
  | 'GIT_UNSUPPORTED_REPOSITORY'
  | 'GIT_EMPTY_REPOSITORY'
  | 'GIT_REVISION_INVALID'
  | 'GIT_REVISION_NOT_FOUND'
  | 'GIT_AMBIGUOUS_REVISION'
  | 'GIT_SHALLOW'
  | 'GIT_OBJECT_MISSING'
  | 'GIT_NOT_A_FILE'
  | 'GIT_UNSAFE_TREE'
  | 'GIT_PATH_TOO_LONG'
  | 'GIT_TREE_TOO_LARGE'
  | 'GIT_EXPORT_EXISTS'
  | 'GIT_URL_INVALID'
  | 'GIT_AUTHENTICATION_FAILED'
  | 'GIT_FETCH_FAILED'
  | 'GIT_LOCKED'
  | 'GIT_DISK_FULL'
  | 'GIT_READ_ONLY'
  | 'GIT_PERMISSION_DENIED'
  | 'GIT_TIMEOUT'
  | 'GIT_FAILED';

/** Thrown when git cannot do what was asked. The message says what to do; it may hold text of the repository. */
export class GitError extends Error {
  readonly code: GitErrorCode;
  constructor(code: GitErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'GitError';
    this.code = code;
  }
}
