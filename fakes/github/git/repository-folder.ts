// Making bare repositories, and changing what is in them.
import { mkdir } from 'node:fs/promises';
import type { Git } from './git.ts';

/** As GitHub serves: any commit by its id, partial clones, and nobody pushes to what it keeps for pull requests. */
const settings = [
  ['uploadpack.allowAnySHA1InWant', 'true'],
  ['uploadpack.allowFilter', 'true'],
  ['http.receivepack', 'true'],
  ['receive.hideRefs', 'refs/pull'],
  ['gc.auto', '0'],
  ['receive.autogc', 'false'],
] as const;

const configure = async (git: Git, folder: string): Promise<void> => {
  for (const [key, value] of settings) await git.run(folder, ['config', key, value]);
};

export const initRepository = async (git: Git, folder: string, branch: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await git.run(folder, ['init', '--quiet', '--bare', `--initial-branch=${branch}`]);
  await configure(git, folder);
};

/** A copy of all branches and tags of a repository on this machine. */
export const copyRepository = async (git: Git, from: string, folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await git.run(folder, ['clone', '--quiet', '--bare', '--no-hardlinks', '--', from, folder]);
  await configure(git, folder);
};

export const readBranches = async (git: Git, folder: string): Promise<Map<string, string>> => {
  const listed = await git.run(folder, [
    'for-each-ref',
    '--format=%(objectname) %(refname:lstrip=2)',
    'refs/heads',
  ]);
  const lines = listed.split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(41), line.slice(0, 40)]));
};

/** The commit that a name means, or null. */
export const resolveCommit = async (git: Git, folder: string, name: string): Promise<string | null> => {
  if (name.startsWith('-')) return null;
  for (const candidate of [`refs/heads/${name}`, `refs/tags/${name}`, name]) {
    const { code, stdout } = await git.attempt(folder, [
      'rev-parse',
      '--verify',
      '--quiet',
      `${candidate}^{commit}`,
    ]);
    if (code === 0) return stdout.trim();
  }
  return null;
};

export interface NewCommit {
  readonly branch: string;
  /** Path → text; null removes the file. Paths that are not named stay as they are. */
  readonly files: Readonly<Record<string, string | null>>;
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly atMs: number;
  /** A commit or branch; null for none. The branch moves there whatever it held. */
  readonly parent: string | null;
}

const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;

/** Writes one commit and moves a branch to it; gives its id. */
export const writeCommit = async (git: Git, folder: string, commit: NewCommit): Promise<string> => {
  const { branch, files, message, author, atMs, parent } = commit;
  const who = `${author.name} <${author.email}> ${Math.floor(atMs / 1000)} +0000`;
  const changes = Object.entries(files).map(([path, text]) =>
    text === null ? `D ${JSON.stringify(path)}\n` : `M 100644 inline ${JSON.stringify(path)}\n${data(text)}`,
  );
  const from = parent === null ? '' : `from ${parent}\n`;
  // A ref of its own first: fast-import refuses to move a branch to where it did not come from.
  const scratch = `refs/scratch/${process.hrtime.bigint()}`;
  const stdin = `commit ${scratch}\nauthor ${who}\ncommitter ${who}\n${data(message)}${from}${changes.join('')}\ndone\n`;
  await git.run(folder, ['fast-import', '--quiet', '--done'], { stdin });
  const sha = await git.run(folder, ['rev-parse', scratch]);
  await git.run(folder, ['update-ref', `refs/heads/${branch}`, sha]);
  await git.run(folder, ['update-ref', '-d', scratch]);
  return sha;
};

/** Brings a commit of another repository on this machine here, under a ref. */
export const bringCommit = async (
  git: Git,
  folder: string,
  what: { readonly from: string; readonly sha: string; readonly ref: string },
): Promise<void> => {
  if (what.from === folder) await git.run(folder, ['update-ref', what.ref, what.sha]);
  else await git.run(folder, ['fetch', '--quiet', '--no-tags', what.from, `+${what.sha}:${what.ref}`]);
};

/** Null for no ref. */
export const moveRef = async (git: Git, folder: string, ref: string, sha: string | null): Promise<void> => {
  await git.run(folder, sha === null ? ['update-ref', '-d', ref] : ['update-ref', ref, sha]);
};

export const isAncestor = async (git: Git, folder: string, older: string, newer: string): Promise<boolean> =>
  (await git.attempt(folder, ['merge-base', '--is-ancestor', older, newer])).code === 0;
