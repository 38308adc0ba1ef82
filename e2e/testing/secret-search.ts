// Looks for secrets wherever a server could have left them: in files, database rows, and what its children are told.
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { inflateRawSync, zstdDecompressSync } from 'node:zlib';

/** By what is known of it: its text, or how it looks. */
export interface Canary {
  readonly name: string;
  readonly pattern: RegExp | string;
}

/** Names of those that are in it. */
export const findCanaries = (canaries: readonly Canary[], text: string): string[] =>
  canaries
    .filter(({ pattern }) => (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text)))
    .map(({ name }) => name);

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

const textOf = (bytes: Buffer): string =>
  (bytes.subarray(0, 4).equals(zstdMagic) ? zstdDecompressSync(bytes) : bytes).toString('latin1');

/** What goes away meanwhile is passed over. @returns each file with what is in it */
export const searchFolder = async (canaries: readonly Canary[], folder: string): Promise<string[]> => {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path).catch(() => null);
    const names = bytes === null ? [] : findCanaries(canaries, textOf(bytes));
    found.push(...names.map((name) => `${name} in ${path}`));
  }
  return found;
};

const cellText = (value: unknown): string => {
  if (!(value instanceof Uint8Array)) return String(value);
  try {
    return inflateRawSync(value).toString('latin1');
  } catch {
    return Buffer.from(value).toString('latin1');
  }
};

/** Of a server that has ended. @returns each table with what is in it, and how many rows were read */
export const searchDatabase = (
  canaries: readonly Canary[],
  path: string,
): { readonly found: readonly string[]; readonly rows: number } => {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const tables = database.prepare("select name from sqlite_schema where type = 'table'").all();
    const found = new Set<string>();
    let rows = 0;
    for (const { name: table } of tables) {
      for (const row of database.prepare(`select * from "${String(table)}"`).iterate()) {
        rows += 1;
        const text = Object.values(row).map(cellText).join('\n');
        for (const name of findCanaries(canaries, text)) found.add(`${name} in ${String(table)}`);
      }
    }
    return { found: [...found], rows };
  } finally {
    database.close();
  }
};

/** What a process was told. */
export interface ToldProcess {
  readonly command: string;
  readonly env: string;
}

const readProcess = async (pid: string): Promise<(ToldProcess & { readonly parent: string }) | null> => {
  try {
    const read = (name: string): Promise<string> => readFile(join('/proc', pid, name), 'latin1');
    const [stat, command, env] = [await read('stat'), await read('cmdline'), await read('environ')];
    // It was another program's process a moment ago: its arguments are of that, and what it is told is not.
    if ((await read('cmdline')) !== command) return null;
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? '';
    return {
      parent,
      command: command.replaceAll('\0', ' '),
      env: env.replaceAll('\0', '\n'),
    };
  } catch {
    // It has ended.
    return null;
  }
};

const readDescendants = async (isRoot: (command: string) => boolean): Promise<ToldProcess[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const read = await Promise.all(pids.map(async (pid) => [pid, await readProcess(pid)] as const));
  const processes = new Map(read.flatMap(([pid, one]) => (one === null ? [] : [[pid, one] as const])));
  const within = new Set([...processes].filter(([, { command }]) => isRoot(command)).map(([pid]) => pid));
  const told: ToldProcess[] = [];
  for (let before = -1; before !== within.size; ) {
    before = within.size;
    for (const [pid, one] of processes) {
      if (within.has(pid) || !within.has(one.parent)) continue;
      within.add(pid);
      told.push(one);
    }
  }
  return told;
};

/** Watches what is started below a process, as often as it can. @param isRoot tells that process by its command line */
export const watchDescendants = (
  isRoot: (command: string) => boolean,
): { end(): Promise<readonly ToldProcess[]> } => {
  const seen = new Map<string, ToldProcess>();
  let isEnded = false;
  const watch = async (): Promise<void> => {
    while (!isEnded) {
      for (const one of await readDescendants(isRoot)) seen.set(`${one.command}\n${one.env}`, one);
      await sleep(20);
    }
  };
  const watching = watch();
  return {
    async end() {
      isEnded = true;
      await watching;
      return [...seen.values()];
    },
  };
};

/** Programs that write down how they are called, each time, before they do their work. */
export interface RecordedPrograms {
  /** To be first in `PATH`. */
  readonly folder: string;
  calls(): Promise<readonly (ToldProcess & { readonly program: string })[]>;
}

const callMark = '=== call of ';
const envMark = '=== env';

/** @param programs name → path of the real one */
export const recordPrograms = async (
  folder: string,
  programs: Readonly<Record<string, string>>,
): Promise<RecordedPrograms> => {
  const record = join(folder, 'calls');
  await mkdir(join(folder, 'bin'), { recursive: true });
  await writeFile(record, '');
  for (const [name, real] of Object.entries(programs)) {
    const path = join(folder, 'bin', name);
    const told = `{ echo "${callMark}${name}"; printf '%s ' "$@"; echo; echo "${envMark}"; export -p; }`;
    // No process of its own that others could meet. In one write: calls run beside each other.
    await writeFile(
      path,
      `#!/bin/sh\ntold=$(${told})\nprintf '%s\\n' "$told" >> '${record}'\nexec '${real}' "$@"\n`,
    );
    await chmod(path, 0o755);
  }
  return {
    folder: join(folder, 'bin'),
    async calls() {
      const all = (await readFile(record, 'utf8')).split(callMark).slice(1);
      return all.map((call) => {
        const [head = '', env = ''] = call.split(`${envMark}\n`);
        const [program = '', ...command] = head.split('\n');
        return { program, command: command.join('\n'), env };
      });
    },
  };
};
