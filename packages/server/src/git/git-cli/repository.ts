// A bare repository of ours, and the one whose names for commits it uses: its own when it was fetched, the user's
// when it only borrows objects.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCodeOf } from '../../lib/error-code.ts';
import { readFileFailure } from './git-failure.ts';
import { type GitAnswer, type GitCall, type GitContext, readGitOutput, runGit } from './run-git.ts';

export type ObjectFormat = 'sha1' | 'sha256';

export interface RepositoryParts {
  /** Our bare repository. */
  readonly folder: string;
  /** The git directory whose branches and tags count. */
  readonly refsDir: string;
  /** The symbolic ref that names the default branch there. */
  readonly remoteHead: string;
  /** The borrowed repository's list of cut-off commits, which ours must know too; null when it borrows none. */
  readonly borrowedShallowFile: string | null;
}

export interface Repository extends RepositoryParts {
  /** Runs git in our bare repository. */
  run(call: GitCall): Promise<GitAnswer>;
  readOutput(call: GitCall, maxBytes: number): Promise<Uint8Array>;
  /** Runs git where branches and tags are; only for commands that write nothing and start nothing. */
  runOnRefs(call: GitCall): Promise<GitAnswer>;
  /** True when history is cut off. Also brings our repository's knowledge of the cut up to date. */
  isShallow(): Promise<boolean>;
}

/** Null when there is no such file. */
const readIfPresent = async (file: string): Promise<string | null> => {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return null;
    throw readFileFailure('reading', file, error);
  }
};

/**
 * Makes a folder and those above it.
 * @throws GitError as of `readFileFailure`; Node's own recursive mkdir says ENOENT of a read-only disk
 */
export const makeFolders = async (path: string): Promise<void> => {
  const code = await tryFolder(path);
  if (code === '' || code === 'EEXIST') return;
  if (code === 'ENOENT' && dirname(path) !== path) await makeFolders(dirname(path));
  await mkdir(path).catch((error: unknown) => {
    if (errorCodeOf(error) !== 'EEXIST') throw readFileFailure('making', path, error);
  });
};

/** The error's code, empty when the folder was made. */
const tryFolder = (path: string): Promise<string> => mkdir(path).then(() => '', errorCodeOf);

let written = 0;

/** Replaces a file in one step, so that a git which runs meanwhile sees the old or the new one. */
export const replaceFile = async (file: string, content: string): Promise<void> => {
  if ((await readIfPresent(file)) === content) return;
  const draft = `${file}.${process.pid}.${written++}.tmp`;
  try {
    await writeFile(draft, content);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw readFileFailure('writing', file, error);
  }
};

export const createRepository = (context: GitContext, parts: RepositoryParts): Repository => ({
  ...parts,
  run: (call) => runGit(context, { gitDir: parts.folder, ...call }),
  readOutput: (call, maxBytes) => readGitOutput(context, { gitDir: parts.folder, ...call }, maxBytes),
  runOnRefs: (call) => runGit(context, { gitDir: parts.refsDir, ...call }),
  isShallow: async () => {
    const own = join(parts.folder, 'shallow');
    if (parts.borrowedShallowFile === null) return ((await readIfPresent(own)) ?? '') !== '';
    const cut = (await readIfPresent(parts.borrowedShallowFile)) ?? '';
    if (cut === '') await rm(own, { force: true });
    else await replaceFile(own, cut);
    return cut !== '';
  },
});

/**
 * Attributes that outrank those of any tree: an export writes what was committed, byte for byte. Without them
 * .gitattributes could change line ends, expand $Id$ and change encodings.
 */
const plainAttributes = '* -text !eol !crlf !ident !filter !working-tree-encoding\n';

/** Makes `folder` a bare repository of this object format, or finds it to be one. */
export const initBare = async (context: GitContext, folder: string, format: ObjectFormat): Promise<void> => {
  await makeFolders(join(folder, 'info'));
  await runGit(context, {
    doing: `making the mirror ${folder}`,
    args: [
      'init',
      '--quiet',
      '--bare',
      '--template=',
      '--initial-branch=main',
      `--object-format=${format}`,
      '--',
      folder,
    ],
  });
  await replaceFile(join(folder, 'info', 'attributes'), plainAttributes);
};
