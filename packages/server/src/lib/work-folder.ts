// A private temporary folder that goes when its work ends, or, after a crash, when the next one is made.

import { randomUUID } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCodeOf } from './error-code.ts';
import { startIn } from './process-stat.ts';

export interface WorkFolder {
  readonly path: string;
  /** Removes the folder and all in it, write-protected folders included. Safe to call twice. */
  remove(): Promise<void>;
}

const ownerFile = 'owner.pid';

const unlessGone = (error: unknown): null => {
  if (errorCodeOf(error) === 'ENOENT') return null;
  throw error;
};

/** Half of what the system takes as a path, so that what is one name deeper can still be named. */
const longPathBytes = 2000;

/**
 * Folders copied from a store are write-protected, and only their owner's write bit lets `rm` empty them. Those that
 * lie too deep for a path are moved up, whatever their names are made of. Links are not followed.
 */
const makeRemovable = async (root: string): Promise<void> => {
  const within = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, Buffer.from('/'), name]);
  const top = Buffer.from(root);
  const folders: Buffer[] = [top];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    await chmod(folder, 0o700).catch(unlessGone);
    const entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' }).catch(unlessGone);
    for (const entry of entries ?? []) {
      if (!entry.isDirectory()) continue;
      const path = within(folder, entry.name);
      if (path.length <= longPathBytes) {
        folders.push(path);
        continue;
      }
      const nearer = within(top, Buffer.from(`.deep-${randomUUID()}`));
      await chmod(path, 0o700).catch(unlessGone);
      await rename(path, nearer).catch(unlessGone);
      folders.push(nearer);
    }
  }
};

/** Removes a folder even where folders inside it are write-protected or too deep; a missing one is fine. */
export const removeTree = async (path: string): Promise<void> => {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    // What it had begun may still go on: some of what is found is gone a moment later.
    await makeRemovable(path);
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
  }
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

const readOr = (path: string, otherwise: string): Promise<string> =>
  readFile(path, 'utf8').then(
    (text) => text.trim() || otherwise,
    () => otherwise,
  );

/** Says nothing, for what this system does not tell. */
const untold = '-';

const startOf = async (pid: number | 'self'): Promise<string> =>
  startIn(await readOr(`/proc/${pid}/stat`, '')) || untold;

/** Who works in a folder: a process, and where and since when its id means that process. */
interface Owner {
  readonly pid: number;
  /** In a container sharing our temporary folder ids mean other processes. */
  readonly namespace: string;
  readonly start: string;
  /** Another one on the same machine: every process of that time is gone. */
  readonly boot: string;
  /** Of a temporary folder that several machines share. */
  readonly machine: string;
}

const ourselves = async (): Promise<Owner> => ({
  pid: process.pid,
  namespace: await readlink('/proc/self/ns/pid').catch(() => 'none'),
  start: await startOf('self'),
  boot: await readOr('/proc/sys/kernel/random/boot_id', untold),
  machine: hostname().replace(/\s/g, '') || untold,
});

const ownerText = ({ pid, namespace, start, boot, machine }: Owner): string =>
  `${pid} ${namespace} ${start} ${boot} ${machine}\n`;

/** Null for what names no owner. What an older version did not write counts as untold. */
const parseOwner = (text: string): Owner | null => {
  const [id = '', namespace = '', start = untold, boot = untold, machine = untold] = text.trim().split(' ');
  const pid = Number(id);
  if (!Number.isInteger(pid) || pid <= 0 || namespace === '') return null;
  return { pid, namespace, start, boot, machine };
};

const differ = (a: string, b: string): boolean => a !== untold && b !== untold && a !== b;

/** Only where that is certain. */
const isGone = async (owner: Owner, us: Owner): Promise<boolean> => {
  if (differ(owner.machine, us.machine)) return false;
  if (differ(owner.boot, us.boot)) return true;
  if (owner.namespace !== us.namespace) return false;
  return !isAlive(owner.pid) || differ(owner.start, await startOf(owner.pid));
};

/** One that has no owner yet may be about to get one. */
const ownerlessMs = 24 * 60 * 60_000;

/** True where it was removed. */
const removeIfAbandoned = async (path: string, us: Owner, nowMs: number): Promise<boolean> => {
  const found = await lstat(path).catch(() => null);
  if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) return false;
  const owner = parseOwner(await readFile(join(path, ownerFile), 'utf8').catch(() => ''));
  if (owner === null) {
    // It died before it could write who it was: an empty folder costs nobody anything.
    if (nowMs - found.mtimeMs <= ownerlessMs) return false;
    return rmdir(path).then(
      () => true,
      () => false,
    );
  }
  if (!(await isGone(owner, us))) return false;
  return removeTree(path).then(
    () => true,
    () => false,
  );
};

/**
 * Removes folders of this user whose owner is certainly gone, and empty ones that got no owner within a day. What
 * cannot be removed stays. No link is followed.
 * @returns how many
 */
export const removeAbandonedFolders = async (
  parent: string,
  prefix: string,
  nowMs: number,
): Promise<number> => {
  const us = await ourselves();
  let removed = 0;
  for (const name of await readdir(parent).catch(() => [])) {
    if (name.startsWith(prefix) && (await removeIfAbandoned(join(parent, name), us, nowMs))) removed += 1;
  }
  return removed;
};

/**
 * Makes `<parent>/<prefix>XXXXXX`, readable by this user alone, and removes what crashed runs left beside it.
 * @param parent @default the system's temporary folder
 */
export const createWorkFolder = async (prefix: string, parent = tmpdir()): Promise<WorkFolder> => {
  await removeAbandonedFolders(parent, prefix, Number.NEGATIVE_INFINITY);
  const path = await mkdtemp(join(parent, prefix));
  await writeFile(join(path, ownerFile), ownerText(await ourselves()));
  return { path, remove: () => removeTree(path) };
};
