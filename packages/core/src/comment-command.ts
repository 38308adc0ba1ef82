// What a comment tells us to do: the first of its lines that is a command. Comments are written by anybody, and are
// read in time linear in their length.
import { readLiveLines } from './comment-lines.ts';

export const mergeMethods = ['merge', 'squash', 'rebase'] as const;
export type MergeMethod = (typeof mergeMethods)[number];

export type RebuildTarget =
  | { readonly kind: 'everything' }
  | { readonly kind: 'failed' }
  /** At least one, none twice; shaped like attribute paths. Which of them exist, the jobset says. */
  | { readonly kind: 'attributes'; readonly paths: readonly string[] };

export type CommentCommand =
  /** `method` is null where none was asked for. */
  | { readonly kind: 'merge'; readonly method: MergeMethod | null }
  | { readonly kind: 'merge-cancel' }
  /** `merge` with a word that is nearly a method: to be answered with the list of methods, never to be guessed. */
  | { readonly kind: 'merge-unclear'; readonly word: string }
  /** `forAuthor`: their changes for good, not this head alone. */
  | { readonly kind: 'approve'; readonly forAuthor: boolean }
  | { readonly kind: 'rebuild'; readonly target: RebuildTarget }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'help' };

/** Without the `u` flag no other letter folds to one of these: U+212A is no `k`. */
const mention = /^@eka-ci$/i;
const attrPath = /^[A-Za-z0-9_"'][A-Za-z0-9_"'.+-]*$/;
const longestAttrPath = 500;
const mostAttrPaths = 100;
/** No word of a command is longer than an attribute path; what is longer is not even looked at. */
const longestCommandLine = 20_000;

/** Insertions, deletions and replacements that turn one short word into another. */
const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, replaced));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
};

/** Whether somebody who wrote this probably meant one of the words that may follow `merge`. */
const isNearMethod = (word: string): boolean => {
  if (word.length > 12) return false;
  const allowed = word.length < 5 ? 1 : 2;
  return [...mergeMethods, 'cancel'].some((known) => editDistance(word.toLowerCase(), known) <= allowed);
};

const readMerge = (word: string | undefined): CommentCommand => {
  if (word === 'cancel') return { kind: 'merge-cancel' };
  const method = mergeMethods.find((known) => known === word) ?? null;
  if (method === null && word !== undefined && isNearMethod(word)) return { kind: 'merge-unclear', word };
  return { kind: 'merge', method };
};

/** The words up to the first that can be no attribute path: from there on it is prose. */
const readTarget = (words: readonly string[]): RebuildTarget => {
  if (words[0] === 'failed') return { kind: 'failed' };
  const paths = new Set<string>();
  for (const word of words) {
    const path = word.replace(/^`+/, '').replace(/[`,]+$/, '');
    if (path.length > longestAttrPath || !attrPath.test(path) || paths.size === mostAttrPaths) break;
    paths.add(path);
  }
  return paths.size === 0 ? { kind: 'everything' } : { kind: 'attributes', paths: [...paths] };
};

const readLine = (line: string): CommentCommand | null => {
  const [first = '', verb = '', ...rest] = line
    .slice(0, longestCommandLine)
    .split(/[ \t]+/)
    .filter((word) => word !== '');
  if (!mention.test(first)) return null;
  switch (verb) {
    case 'merge':
      return readMerge(rest[0]);
    case 'approve':
      return { kind: 'approve', forAuthor: rest[0] === 'author' };
    case 'rebuild':
      return { kind: 'rebuild', target: readTarget(rest) };
    case 'cancel':
    case 'help':
      return { kind: verb };
    default:
      return null;
  }
};

/**
 * The first line that is a command: its first word is the mention `@eka-ci` in any case, its second a verb that we
 * know, and it stands outside of code blocks, quotes and HTML comments. Words after a complete command are prose.
 * @param comment Markdown, as it was written
 * @returns null where no line is one
 */
export const readCommentCommand = (comment: string): CommentCommand | null => {
  for (const line of readLiveLines(comment)) {
    const command = readLine(line);
    if (command !== null) return command;
  }
  return null;
};
