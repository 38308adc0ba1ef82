// Small git repositories for stories: files in, commits out.
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runChild } from '@eka-ci/process';

/** File to its text; null removes it; `{ link }` is a symbolic link. */
export type Files = Readonly<Record<string, string | null | { readonly link: string }>>;

export interface Repository {
  readonly path: string;
  git(...args: readonly string[]): Promise<string>;
  /** Writes the files onto the checked-out branch and commits them. */
  commit(message: string, files: Files): Promise<void>;
  /** Makes a branch from `from` with one commit, and goes back to main. */
  branch(name: string, files: Files, from?: string): Promise<void>;
}

const identity = { NAME: 'Ada', EMAIL: 'ada@example.org', DATE: '2026-01-05T10:00:00Z' };

const environment = (): Record<string, string> => {
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
  };
  for (const [key, value] of Object.entries(identity)) {
    env[`GIT_AUTHOR_${key}`] = value;
    env[`GIT_COMMITTER_${key}`] = value;
  }
  return env;
};

const writeFiles = async (folder: string, files: Files): Promise<void> => {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await rm(path, { force: true });
    if (content === null) continue;
    await mkdir(dirname(path), { recursive: true });
    await (typeof content === 'string' ? writeFile(path, content) : symlink(content.link, path));
  }
};

/** A repository whose main branch has one commit with `files`. */
export const createRepository = async (path: string, files: Files): Promise<Repository> => {
  await mkdir(path, { recursive: true });
  const git = async (...args: readonly string[]): Promise<string> => {
    const run = await runChild({ command: 'git', args: ['-C', path, ...args], env: environment() });
    if (run.code !== 0) throw new Error(`git ${args.join(' ')}: ${run.stderr}`);
    return run.stdout.trim();
  };
  const commit = async (message: string, changed: Files): Promise<void> => {
    await writeFiles(path, changed);
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', `--message=${message}`);
  };
  await git('init', '--quiet', '--initial-branch=main');
  await commit('first', files);
  return {
    path,
    git,
    commit,
    branch: async (name, changed, from = 'main') => {
      // It appears with its commit: a server that looks in between would see a branch without a change.
      await git('checkout', '--quiet', '--detach', from);
      await commit(name, changed);
      await git('branch', name);
      await git('checkout', '--quiet', 'main');
    },
  };
};
