// Finds and removes build logs that are older than they are kept. Only what looks like a log of ours is touched, in
// folders of ours, and no symbolic link is followed.
import { lstat, readdir, realpath, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from '../../lib/error-code.ts';

export interface FoundLog {
  /** Relative to the log folder: as attempts name it, with what its compression adds. */
  readonly file: string;
  readonly modifiedMs: number;
  readonly sizeBytes: number;
}

export interface LogTree {
  /** Absolute, and no link itself. */
  readonly folder: string;
  readonly logs: readonly FoundLog[];
  /** Of ours, and empty; relative. `modifiedMs` is when the last log in it was removed. */
  readonly emptyFolders: readonly { readonly name: string; readonly modifiedMs: number }[];
}

/** As logFileOf in run-attempt.ts names them: the hash in two parts, the name, the attempt. */
const folderName = /^[0-9a-z]{2}$/;
const fileName = /^[0-9a-z]{30}-.+\.\d+\.log(?:\.zst)?(?:\.part)?$/s;
const addedToName = /(?:\.zst)?(?:\.part)?$/;

/** As attempts name it, in whatever form it is. */
const logOf = (file: string): string => file.replace(addedToName, '');
export const isPlainLog = (file: string): boolean => file.endsWith('.log');
/** Somebody makes it, or did when the process ended. */
export const isPartOfLog = (file: string): boolean => file.endsWith('.part');

/** What was there a moment ago may be gone: null. */
const gone = (error: unknown): null => {
  const code = errorCodeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return null;
  throw error;
};

/** A log folder that is not there has nothing in it. */
export const findLogs = async (logsDir: string): Promise<LogTree> => {
  const folder = await realpath(logsDir).catch(gone);
  const logs: FoundLog[] = [];
  const emptyFolders: { name: string; modifiedMs: number }[] = [];
  if (folder === null) return { folder: logsDir, logs, emptyFolders };
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || !folderName.test(entry.name)) continue;
    const inside = await readdir(join(folder, entry.name), { withFileTypes: true }).catch(gone);
    if (inside === null) continue;
    if (inside.length === 0) {
      const found = await lstat(join(folder, entry.name)).catch(gone);
      if (found !== null) emptyFolders.push({ name: entry.name, modifiedMs: found.mtimeMs });
    }
    for (const { name } of inside.filter((one) => one.isFile() && fileName.test(one.name))) {
      const file = join(entry.name, name);
      const found = await lstat(join(folder, file)).catch(gone);
      if (found !== null && found.isFile()) {
        logs.push({ file, modifiedMs: found.mtimeMs, sizeBytes: found.size });
      }
    }
  }
  return { folder, logs, emptyFolders };
};

export interface LogAge {
  readonly nowMs: number;
  readonly maxAgeMs: number;
  /** Logs that are written now, as they are named in the log folder. */
  readonly live: ReadonlySet<string>;
}

/** An empty folder may be about to get a log: it stays a while. */
const emptyFolderMs = 60 * 60_000;

const isOlder = (modifiedMs: number, { nowMs }: LogAge, maxAgeMs: number): boolean =>
  nowMs - modifiedMs > maxAgeMs;

/** Pure. */
export const chooseOldLogs = (tree: LogTree, age: LogAge): Pick<LogTree, 'logs' | 'emptyFolders'> => ({
  logs: tree.logs.filter(
    ({ file, modifiedMs }) => !age.live.has(logOf(file)) && isOlder(modifiedMs, age, age.maxAgeMs),
  ),
  emptyFolders: tree.emptyFolders.filter(({ modifiedMs }) => isOlder(modifiedMs, age, emptyFolderMs)),
});

/** True when the folder is still one: somebody may have put a link in its place meanwhile. */
const isFolder = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(gone))?.isDirectory() === true;

/** Null where it went by itself. */
const removeLog = async (folder: string, { file, sizeBytes }: FoundLog): Promise<number | null> => {
  if (!(await isFolder(join(folder, file.slice(0, 2))))) return null;
  return unlink(join(folder, file)).then(() => sizeBytes, gone);
};

/** @throws what the file system throws; what was removed before that stays removed */
export const removeLogs = async (
  folder: string,
  { logs, emptyFolders }: Pick<LogTree, 'logs' | 'emptyFolders'>,
  onRemoved: (sizeBytes: number) => void,
): Promise<void> => {
  for (const log of logs) {
    const sizeBytes = await removeLog(folder, log);
    if (sizeBytes !== null) onRemoved(sizeBytes);
  }
  for (const { name } of emptyFolders) {
    await rmdir(join(folder, name)).catch((error: unknown) => {
      if (errorCodeOf(error) !== 'ENOTEMPTY' && errorCodeOf(error) !== 'EEXIST') gone(error);
    });
  }
};
