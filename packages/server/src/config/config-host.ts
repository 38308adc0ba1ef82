// What loading the configuration asks of the machine: a file, a directory, the user's home, the processors.
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import { errorCodeOf } from '../lib/error-code.ts';

/** The largest configuration file that is read. */
export const maxConfigFileBytes = 1024 * 1024;

export type ReadFile =
  | {
      readonly kind: 'read';
      readonly text: string;
      /** Whether every user of the machine can read it. */
      readonly isPublic: boolean;
    }
  | { readonly kind: 'missing' }
  /** `message` continues a sentence that names the file. */
  | { readonly kind: 'unreadable'; readonly message: string };

export interface ConfigHost {
  readFile(path: string): Promise<ReadFile>;
  isDirectory(path: string): Promise<boolean>;
  /** For where `HOME` is unset. */
  readonly home: string;
  /** Processors that this process may use. */
  readonly cores: number;
}

const unreadable = (message: string): ReadFile => ({ kind: 'unreadable', message });

const readConfigFile = async (path: string): Promise<ReadFile> => {
  try {
    // Of a pipe that nobody writes to, opening it would wait for ever.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = await handle.stat();
      if (!found.isFile()) return unreadable('is not a plain file');
      if (found.size > maxConfigFileBytes) return unreadable('is larger than 1 MiB');
      const bytes = await handle.readFile();
      // The decoder drops a byte order mark.
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      return { kind: 'read', text, isPublic: (found.mode & 0o004) !== 0 };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      return unreadable('is not UTF-8 text: save it as UTF-8');
    return unreadable(`cannot be read (${code === '' ? String(error) : code}): is it readable by this user?`);
  }
};

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // Whatever the reason, nothing can be put there.
  }
};

const findHome = (): string => {
  try {
    return homedir();
  } catch {
    return '/'; // A user that the machine has no record of, as in some containers.
  }
};

/** The machine that this process runs on. */
export const createConfigHost = (): ConfigHost => ({
  readFile: readConfigFile,
  isDirectory,
  home: findHome(),
  cores: availableParallelism(),
});
