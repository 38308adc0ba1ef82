// `ekaci backup`: a copy of the server's database, taken while the server goes on.
import { randomUUID } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { access, type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import type { Client } from '../client/client.ts';
import { type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';

interface BackupOptions extends ServerCommandOptions {
  readonly force?: true;
}

/** Thrown where the copy cannot be put where it was asked for. */
class BackupFileError extends Error {
  readonly code = 'BACKUP_NOT_WRITTEN';
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no space left on its disk',
  EDQUOT: 'the quota of its disk is used up',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'its file system is read-only',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is none',
  EISDIR: 'it is a folder',
  EEXIST: 'it exists: name another file, or give --force',
};

/** What is not about the file passes unchanged. */
const explain = (error: unknown, file: string): unknown => {
  const reason = reasons[codeOf(error)];
  if (reason === undefined) return error;
  return new BackupFileError(`${file} was not written: ${reason}`, { cause: error });
};

const refuseExisting = async (file: string): Promise<void> => {
  const exists = await access(file, constants.F_OK).then(
    () => true,
    () => false,
  );
  if (exists) throw new BackupFileError(`${file} was not written: ${reasons['EEXIST']}`);
};

const fill = async (handle: FileHandle, pieces: AsyncIterable<Buffer>): Promise<number> => {
  let sizeBytes = 0;
  for await (const piece of pieces) {
    for (let done = 0; done < piece.length; ) {
      done += (await handle.write(piece, done)).bytesWritten;
    }
    sizeBytes += piece.length;
  }
  await handle.sync();
  return sizeBytes;
};

const mib = 1024 * 1024;

const withoutLinks: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'];

/** Does not replace what somebody else put there meanwhile. */
const moveToNew = async (part: string, file: string): Promise<void> => {
  try {
    await link(part, file);
  } catch (error) {
    if (!withoutLinks.includes(codeOf(error))) throw error;
    // A file system without hard links: the name is taken first, then the file.
    await (await open(file, 'wx', 0o600)).close();
    await rename(part, file);
  }
};

const ends = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Takes the part file along when we are told to end. */
const removeOnSignal = (part: string): (() => void) => {
  const handlers = Object.entries(ends).map(([name, status]) => {
    const handler = (): void => {
      rmSync(part, { force: true });
      process.exit(status);
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
};

/** Whole or not at all; nothing that was not there before is left where it fails. */
const save = async (pieces: AsyncIterable<Buffer>, file: string, force: boolean): Promise<number> => {
  const part = join(dirname(file), `.${basename(file)}.part-${randomUUID()}`);
  const release = removeOnSignal(part);
  try {
    const handle = await open(part, 'wx', 0o600);
    try {
      const sizeBytes = await fill(handle, pieces);
      await (force ? rename(part, file) : moveToNew(part, file));
      return sizeBytes;
    } finally {
      await handle.close();
      await rm(part, { force: true });
    }
  } finally {
    release();
  }
};

const backUp = async (client: Client, file: string, options: BackupOptions): Promise<void> => {
  if (!options.force) await refuseExisting(file);
  const sizeBytes = await save(client.download('/v1/backup'), file, options.force ?? false);
  const text = `${file} holds the database as it is now: ${(sizeBytes / mib).toFixed(1)} MiB.\n`;
  process.stdout.write(options.json ? `${jsonText({ file, sizeBytes }, 2)}\n` : text);
};

const backup = (name: string, options: BackupOptions): Promise<void> =>
  withServer(options, async (client) => {
    const file = resolve(name);
    try {
      await backUp(client, file, options);
    } catch (error) {
      const explained = explain(error, file);
      if (!(explained instanceof BackupFileError)) throw explained;
      process.stderr.write(`ekaci: ${explained.code}: ${explained.message}\n`);
      process.exitCode = 2;
    }
  });

export const backupCommand = (): Command =>
  serverCommand('backup', {
    summary: 'copy the database of the server to a file, while it goes on',
    statuses: ['the file holds the copy', 'the server said no: it has no room for one, say'],
    examples: ['ekaci backup /var/backups/ekaci.db', 'ekaci backup --force latest.db'],
  })
    .argument('<file>', 'where the copy goes; only this user can read it')
    .option('--force', 'replace the file where it exists')
    .addHelpText(
      'after',
      `
The copy is whole, and as of one moment; build logs and the Nix store are not in it. Where the file cannot be written,
nothing of it is left, and the exit status is 2.

To restore it: stop eka-ci-server; move the file of db_path away, and those called the same with -wal and -shm at their
end; put the copy in its place, owned by the server's user and with mode 0600; start eka-ci-server. It takes up again
what was under way when the copy was made. Only a server of the same version or a newer one can read it.
`,
    )
    .action(backup);
