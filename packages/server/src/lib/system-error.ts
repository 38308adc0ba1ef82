// What an operating system's error means for people, and what they can do about it.

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on that disk: free some, or set TMPDIR to a folder with room',
  EDQUOT: 'your disk quota is used up: free some, or set TMPDIR to a folder with room',
  EROFS: 'that file system is read-only: set TMPDIR to a folder that can be written',
  EACCES: 'permission is denied: choose another folder, or have its permissions changed',
  ENOENT:
    'that folder does not exist: create it, or choose another (TMPDIR names the one for temporary files)',
  EMFILE: 'too many files are open: raise the limit (ulimit -n) and try again',
  ENFILE: 'the machine has too many files open: close some programs and try again',
  ENOTDIR: 'a part of that path is a file, not a folder: choose another',
};

/** The message of one of Node's system errors with what to do, or null for any other error. */
export const explainSystemError = (error: unknown): string | null => {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return null;
  const known = typeof error.code === 'string' ? advice[error.code] : undefined;
  return known === undefined ? null : `${error.message}: ${known}`;
};
