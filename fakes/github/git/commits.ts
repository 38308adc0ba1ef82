// Reading commits and the differences between them.
import type { Git } from './git.ts';

export interface GitPerson {
  readonly name: string;
  readonly email: string;
  /** ISO 8601 in UTC. */
  readonly date: string;
}

export interface GitCommit {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: GitPerson;
  readonly committer: GitPerson;
  readonly message: string;
}

const format = ['%H', '%T', '%P', '%an', '%ae', '%at', '%cn', '%ce', '%ct', '%B'].join('%x00');

const person = (name: string, email: string, seconds: string): GitPerson => ({
  name,
  email,
  date: new Date(Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
});

const parseCommit = (record: string): GitCommit => {
  const fields = record.split('\0');
  const at = (index: number): string => fields[index] ?? '';
  return {
    sha: at(0),
    tree: at(1),
    parents: at(2).split(' ').filter(Boolean),
    author: person(at(3), at(4), at(5)),
    committer: person(at(6), at(7), at(8)),
    message: at(9).replace(/\n+$/, ''),
  };
};

/** Newest first. `range` is what `git log` takes, options too. */
export const listCommits = async (
  git: Git,
  folder: string,
  range: readonly string[],
): Promise<GitCommit[]> => {
  const printed = await git.run(folder, [
    'log',
    `--format=${format}%x01`,
    ...range,
    ...(range.includes('--') ? [] : ['--']),
  ]);
  return printed
    .split('\u0001')
    .map((record) => record.replace(/^\n/, ''))
    .filter((record) => record !== '')
    .map(parseCommit);
};

export const readCommit = async (git: Git, folder: string, sha: string): Promise<GitCommit> => {
  const [commit] = await listCommits(git, folder, ['-1', sha]);
  if (commit === undefined) throw new Error(`no commit ${sha} in ${folder}`);
  return commit;
};

export interface FileChange {
  readonly path: string;
  readonly status: 'added' | 'removed' | 'modified' | 'renamed';
  readonly previousPath: string | null;
  readonly additions: number;
  readonly deletions: number;
  readonly blob: string;
  readonly patch: string;
}

const statuses: Readonly<Record<string, FileChange['status']>> = {
  A: 'added',
  D: 'removed',
  M: 'modified',
  R: 'renamed',
};

interface RawChange {
  readonly letter: string;
  readonly blob: string;
  readonly previousPath: string | null;
  readonly path: string;
}

/** `git diff --raw -z`: metadata and one path, or two for a rename, each ended by a zero. */
const parseRaw = (printed: string): RawChange[] => {
  const parts = printed.split('\0').filter((part) => part !== '');
  const changes: RawChange[] = [];
  for (let index = 0; index < parts.length; index += 2) {
    const [, , before = '', after = '', letters = ''] = (parts[index] ?? '').split(' ');
    const letter = letters.slice(0, 1);
    const isRename = letter === 'R';
    const first = parts[index + 1] ?? '';
    if (isRename) index += 1;
    const path = isRename ? (parts[index + 1] ?? '') : first;
    changes.push({
      letter,
      blob: letter === 'D' ? before : after,
      previousPath: isRename ? first : null,
      path,
    });
  }
  return changes;
};

/** What `to` changes against `from`, file by file, renames found. */
export const diffCommits = async (
  git: Git,
  folder: string,
  from: string,
  to: string,
): Promise<FileChange[]> => {
  const raw = parseRaw(await git.run(folder, ['diff', '--raw', '-z', '-M', '--no-abbrev', from, to]));
  const patches = (await git.run(folder, ['diff', '-M', '--no-color', from, to]))
    .split(/^diff --git .*\n/m)
    .slice(1);
  return raw.map((change, index) => {
    const text = patches[index] ?? '';
    const hunk = text.search(/^@@/m);
    const patch = hunk === -1 ? '' : text.slice(hunk).replace(/\n$/, '');
    const count = (sign: string): number => patch.split('\n').filter((line) => line.startsWith(sign)).length;
    return {
      path: change.path,
      status: statuses[change.letter] ?? 'modified',
      previousPath: change.previousPath,
      additions: count('+'),
      deletions: count('-'),
      blob: change.blob,
      patch,
    };
  });
};

export const mergeBase = async (git: Git, folder: string, a: string, b: string): Promise<string | null> => {
  const { code, stdout } = await git.attempt(folder, ['merge-base', a, b]);
  return code === 0 ? stdout.trim() : null;
};
