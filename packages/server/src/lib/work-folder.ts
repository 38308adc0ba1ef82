// A private temporary folder that goes when its work ends, or, after a crash, when the next one is made.
import { chmod, lstat, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface WorkFolder {
  readonly path: string;
  /** Removes the folder and all in it, write-protected folders included. Safe to call twice. */
  remove(): Promise<void>;
}

const ownerFile = 'owner.pid';

/** Folders copied from a store are write-protected, and only their owner's write bit lets `rm` empty them. */
const makeWritable = async (folder: string): Promise<void> => {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name));
  }
};

/** Removes a folder even where folders inside it are write-protected; a missing one is fine. */
export const removeTree = async (path: string): Promise<void> => {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
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

/** Where process ids mean the same: in a container sharing our temporary folder they do not. */
const processNamespace = (): Promise<string> => readlink('/proc/self/ns/pid').catch(() => 'none');

/** Only folders of this user whose owner is certainly gone: one without an owner, or of elsewhere, is left alone. */
const removeAbandoned = async (parent: string, prefix: string): Promise<void> => {
  const ours = await processNamespace();
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => null);
    if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) continue;
    const owner = await readFile(join(path, ownerFile), 'utf8').catch(() => '');
    const [id, namespace] = owner.trim().split(' ');
    const pid = Number(id);
    if (namespace !== ours) continue;
    if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) await removeTree(path).catch(() => {});
  }
};

/**
 * Makes `<parent>/<prefix>XXXXXX`, readable by this user alone, and removes what crashed runs left beside it.
 * @param parent @default the system's temporary folder
 */
export const createWorkFolder = async (prefix: string, parent = tmpdir()): Promise<WorkFolder> => {
  await removeAbandoned(parent, prefix);
  const path = await mkdtemp(join(parent, prefix));
  await writeFile(join(path, ownerFile), `${process.pid} ${await processNamespace()}\n`);
  return { path, remove: () => removeTree(path) };
};
