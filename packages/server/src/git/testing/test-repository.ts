// Repositories for tests, made by git itself, with fixed dates and names so that every sha is the same each time.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { afterEach } from 'vitest';
import { errorCodeOf } from '../../lib/error-code.ts';

const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/homeless-shelter',
  LC_ALL: 'C',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A. Author',
  GIT_AUTHOR_EMAIL: 'author@example.org',
  GIT_COMMITTER_NAME: 'A. Author',
  GIT_COMMITTER_EMAIL: 'author@example.org',
  GIT_AUTHOR_DATE: '1700000000 +0000',
  GIT_COMMITTER_DATE: '1700000000 +0000',
};

export type TestFile =
  | string
  | Uint8Array
  | { readonly link: string }
  | { readonly executable: string }
  | null;

export interface TestRepository {
  readonly path: string;
  /** Runs git there and gives what it prints, without the last line feed. */
  git(...args: string[]): string;
  gitWith(stdin: string | Uint8Array, ...args: string[]): string;
  /** Writes files (null removes one) into the working tree. */
  write(files: Readonly<Record<string, TestFile>>): void;
  /** Writes files and commits everything. */
  commit(message: string, files?: Readonly<Record<string, TestFile>>): CommitSha;
  treeOf(revision: string): TreeSha;
}

const writeTestFile = (path: string, file: TestFile): void => {
  rmSync(path, { recursive: true, force: true });
  if (file === null) return;
  mkdirSync(dirname(path), { recursive: true });
  if (typeof file === 'string' || file instanceof Uint8Array) writeFileSync(path, file);
  else if ('link' in file) symlinkSync(file.link, path);
  else {
    writeFileSync(path, file.executable);
    chmodSync(path, 0o755);
  }
};

/** The repository at `path`, which exists already. */
export const testRepositoryAt = (path: string): TestRepository => {
  const gitWith = (input: string | Uint8Array, ...args: string[]): string =>
    execFileSync('git', args, { cwd: path, env, input, stdio: ['pipe', 'pipe', 'pipe'], maxBuffer: 1 << 28 })
      .toString()
      .replace(/\n$/, '');
  const git = (...args: string[]): string => gitWith('', ...args);
  const write = (files: Readonly<Record<string, TestFile>>): void => {
    for (const [name, file] of Object.entries(files)) writeTestFile(join(path, name), file);
  };
  return {
    path,
    git,
    gitWith,
    write,
    commit: (message, files = {}) => {
      write(files);
      git('add', '--all', '--force', '.');
      git('commit', '--quiet', '--allow-empty', '-m', message);
      return git('rev-parse', 'HEAD') as CommitSha;
    },
    treeOf: (revision) => git('rev-parse', `${revision}^{tree}`) as TreeSha,
  };
};

/** Makes an empty repository whose first branch is `main`. */
export const initTestRepository = (path: string, ...initArgs: string[]): TestRepository => {
  mkdirSync(path, { recursive: true });
  const repository = testRepositoryAt(path);
  repository.git('init', '--quiet', '--initial-branch=main', ...initArgs);
  return repository;
};

/** A folder a test, removed after it; called at the top of a `describe`. */
export const useTestFolder = (): (() => string) => {
  let folder = '';
  afterEach(() => {
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
    folder = '';
  });
  return () => {
    if (folder === '') folder = mkdtempSync(join(tmpdir(), 'eka-git-test-'));
    return folder;
  };
};

export interface ImportedFile {
  readonly path: string | Uint8Array;
  readonly mode: '100644' | '100755' | '120000';
  readonly content: string | Uint8Array;
}

/** As fast-import unquotes it: C escapes, bytes in octal. */
const quoteBytes = (path: string | Uint8Array): string =>
  `"${[...Buffer.from(path)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')}"`;

/** Commits exactly these bytes under exactly these names, without a working tree or any conversion. */
export const importCommit = (
  repository: TestRepository,
  files: readonly ImportedFile[],
  submodules: Readonly<Record<string, string>> = {},
): TreeSha => {
  const parts: (string | Uint8Array)[] = ['commit refs/heads/imported\ncommitter A <a@b> 1 +0000\ndata 0\n'];
  for (const { path, mode, content } of files) {
    const bytes = Buffer.from(content);
    parts.push(`M ${mode} inline ${quoteBytes(path)}\ndata ${bytes.length}\n`, bytes, '\n');
  }
  for (const [path, sha] of Object.entries(submodules)) parts.push(`M 160000 ${sha} ${quoteBytes(path)}\n`);
  repository.gitWith(
    Buffer.concat(parts.map((part) => Buffer.from(part))),
    'fast-import',
    '--quiet',
    '--force',
  );
  return repository.treeOf('imported');
};

/** Names, kinds, modes and contents of everything below a folder. */
export const fingerprint = (root: string): Record<string, string> => {
  const found: Record<string, string> = {};
  const visit = (folder: string): void => {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const path = join(folder, name);
      const status = lstatSync(join(root, path));
      const mode = (status.mode & 0o7777).toString(8);
      if (status.isDirectory()) {
        found[path] = `folder ${mode}`;
        visit(path);
      } else if (status.isSymbolicLink()) found[path] = `link ${readlinkSync(join(root, path))}`;
      else {
        const content = readFileSync(join(root, path));
        found[path] = `file ${mode} ${createHash('sha256').update(content).digest('hex')}`;
      }
    }
  };
  visit('');
  return found;
};

/** `main` with three commits that change `a.nix`. */
export const threeCommits = (repository: TestRepository): TestRepository => {
  repository.commit('first', { 'a.nix': '1\n', 'b.nix': 'b\n' });
  repository.commit('second', { 'a.nix': '2\n' });
  repository.commit('third: été\n\nbody', { 'a.nix': '3\n' });
  return repository;
};

/** `main` and `change` from a common commit, each with files of its own. */
export const fork = (
  repository: TestRepository,
  files: {
    common: Record<string, string>;
    main: Record<string, string | null>;
    change: Record<string, string | null>;
  },
): { base: CommitSha; head: CommitSha } => {
  repository.commit('common', files.common);
  repository.git('checkout', '--quiet', '-b', 'change');
  const head = repository.commit('change', files.change);
  repository.git('checkout', '--quiet', 'main');
  return { base: repository.commit('main', files.main), head };
};

/** Code and message of what was thrown, for example `GIT_SHALLOW: …`. */
export const failureOf = async (work: Promise<unknown>): Promise<string> => {
  const error: unknown = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  return error instanceof Error ? `${errorCodeOf(error)}: ${error.message}` : 'no error';
};
