// Reads what git and the file system say when they fail (git's messages with LC_ALL=C) into errors that say what to
// do.
import { statfs } from 'node:fs/promises';
import { errorCodeOf } from '../../lib/error-code.ts';
import { GitError, type GitErrorCode } from '../git.ts';

interface Known {
  readonly says: RegExp;
  readonly code: GitErrorCode;
  readonly advice: string;
}

/** The first that matches decides, so the particular stands before the general. */
const known: readonly Known[] = [
  {
    says: /invalid path '/,
    code: 'GIT_UNSAFE_TREE',
    advice: 'the tree has a path that could harm a checkout (such as ".git" or ".."), so it is not written',
  },
  {
    says: /No space left on device|Disk quota exceeded/,
    code: 'GIT_DISK_FULL',
    advice: 'the disk is full: free some space and try again',
  },
  {
    says: /Read-only file system/,
    code: 'GIT_READ_ONLY',
    advice: 'the file system is read-only: choose another folder',
  },
  { says: /File name too long/, code: 'GIT_PATH_TOO_LONG', advice: 'a path is too long for this system' },
  {
    says: /dubious ownership/,
    code: 'GIT_UNTRUSTED_OWNER',
    advice:
      'the repository belongs to another user, and git refuses it. If you trust it, run the command that git names ' +
      'below (git config --global --add safe.directory …), or run as its owner',
  },
  {
    says: /(?:unknown repository extension|unknown extension|Expected git repo version|repository version|reftable)/i,
    code: 'GIT_UNSUPPORTED_REPOSITORY',
    advice: 'the repository uses a format that this git does not know: install a newer git',
  },
  {
    says: /not a git repository/i,
    code: 'GIT_NOT_A_REPOSITORY',
    advice: 'this is not a git repository: name the folder of one, or run "git init" there',
  },
  {
    says: /[Uu]nable to create '[^']*\.lock': File exists|[Cc]annot lock ref/,
    code: 'GIT_LOCKED',
    advice: 'another git is at work there; if none is, remove the lock file that is named below',
  },
  {
    says: /requested URL returned error: 30\d/,
    code: 'GIT_FETCH_FAILED',
    advice:
      'the remote redirects to another URL, and that is not followed: was it moved or renamed? Use its new URL',
  },
  {
    says: /could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|Permission denied \(|Host key verification failed|The requested URL returned error: 40[13]/,
    code: 'GIT_AUTHENTICATION_FAILED',
    advice:
      'the remote asks for a user name and password (or an ssh key) that it did not get: configure a token for it, ' +
      'or use a URL that needs none. Nothing is ever asked at a prompt',
  },
  {
    says: /not our ref|couldn't find remote ref|could not find remote ref/i,
    code: 'GIT_REVISION_NOT_FOUND',
    advice: 'the remote does not have this commit or ref (any more): was it force-pushed or deleted?',
  },
  {
    says: /transport '.*' not allowed/,
    code: 'GIT_OBJECT_MISSING',
    advice:
      'the repository is a partial clone that lacks objects, and none are fetched behind your back: run ' +
      '"git fetch --refetch --no-filter" in it',
  },
  {
    says: /Permission denied/,
    code: 'GIT_PERMISSION_DENIED',
    advice: 'this user may not read or write there',
  },
  {
    says: /Could not resolve host|unable to access|Could not read from remote|Connection (?:refused|reset|timed out)|unable to connect|early EOF|remote end hung up|RPC failed|does not appear to be a git repository|remote error|repository '.*' not found/,
    code: 'GIT_FETCH_FAILED',
    advice: 'the remote could not be fetched from: check the URL and the network',
  },
  {
    says: /unable to read|bad object|missing (?:blob|tree|commit)|[Cc]ould not (?:read|parse)|is corrupt|is empty|unable to (?:find|unpack|parse)|not a tree object|bad tree|not a valid object/,
    code: 'GIT_OBJECT_MISSING',
    advice:
      'the repository is damaged or incomplete: run "git fsck" in it; a partial clone needs ' +
      '"git fetch --refetch --no-filter"',
  },
];

/** Passwords in URLs stay out of messages. */
const hideCredentials = (text: string): string => text.replace(/:\/\/[^/\s@']*@/g, '://');

const longestQuote = 2000;

/** The error for a git that ended badly. `doing` completes "git failed while …". */
export const readGitFailure = (doing: string, stderr: string, exit: string): GitError => {
  const match = known.find(({ says }) => says.test(stderr));
  const text = hideCredentials(stderr.trim());
  const said = text.length > longestQuote ? `… ${text.slice(-longestQuote)}` : text;
  return new GitError(
    match?.code ?? 'GIT_FAILED',
    `git failed while ${doing}: ${match === undefined ? exit : match.advice}${said === '' ? '' : `\n${said}`}`,
  );
};

const fileErrors: Readonly<Record<string, readonly [GitErrorCode, string]>> = {
  ENOSPC: ['GIT_DISK_FULL', 'the disk is full: free some space and try again'],
  EDQUOT: ['GIT_DISK_FULL', 'the disk quota is used up: free some space and try again'],
  EROFS: ['GIT_READ_ONLY', 'the file system is read-only: choose another folder'],
  EACCES: [
    'GIT_PERMISSION_DENIED',
    'this user may not write there: choose another folder or change its owner',
  ],
  EPERM: [
    'GIT_PERMISSION_DENIED',
    'this user may not write there: choose another folder or change its owner',
  ],
};

/** The error for a file operation that failed; what is no file error is given back as it is. */
export const readFileFailure = (doing: string, path: string, error: unknown): unknown => {
  const known = fileErrors[errorCodeOf(error)];
  return known === undefined ? error : new GitError(known[0], `${doing} ${path}: ${known[1]}`, error);
};

const leastFreeBytes = 64 * 1024;

/**
 * Git does not always say why a write failed ("unable to write new index file"): when a folder that was written to
 * has no space left, that is why.
 */
export const blameFullDisk = async (error: unknown, folders: readonly string[]): Promise<unknown> => {
  if (!(error instanceof GitError) || error.code === 'GIT_DISK_FULL') return error;
  if (
    !/unable to (?:write|create|append)|write error|failed to write|index-pack failed|insufficient/i.test(
      error.message,
    )
  ) {
    return error;
  }
  for (const folder of folders) {
    const space = await statfs(folder).catch(() => null);
    if (
      space !== null &&
      (space.bavail * space.bsize < leastFreeBytes || (space.files > 0 && space.ffree === 0))
    ) {
      return new GitError(
        'GIT_DISK_FULL',
        `the disk of ${folder} is full: free some space and try again`,
        error,
      );
    }
  }
  return error;
};
