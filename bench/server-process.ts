// The real server in a process of its own, on a database that was made before.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { benchRepository } from './stored-state.ts';

export interface ServerProcess {
  readonly child: Child;
  readonly socketPath: string;
  /** From its start until it listens and says that it is ready. */
  readonly startMs: number;
  stop(): Promise<void>;
}

export interface ServerFolder {
  /** Holds the database `db.sqlite` and all else. */
  readonly folder: string;
  readonly nix: NixInstallation;
}

const main = fileURLToPath(new URL('eka-ci-server.mjs', import.meta.resolve('@eka-ci/server/main')));

const configure = async (folder: string): Promise<string> => {
  const file = join(folder, 'ekaci.toml');
  const lines = [
    `db_path = ${JSON.stringify(join(folder, 'db.sqlite'))}`,
    `logs_dir = ${JSON.stringify(join(folder, 'logs'))}`,
    '[web]',
    'port = 0',
    '[unix]',
    `socket_path = ${JSON.stringify(join(folder, 'socket'))}`,
    '[[git_repositories]]',
    `name = ${JSON.stringify(benchRepository)}`,
    // It cannot be read, so nothing comes of it.
    `url = ${JSON.stringify(join(folder, 'no-repository'))}`,
    'poll_interval_seconds = 3600',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
};

/** @throws Error when it ends before it listens */
export const startServerProcess = async ({ folder, nix }: ServerFolder): Promise<ServerProcess> => {
  const args = [main, '--config-file', await configure(folder)];
  const env = {
    ...nix.env,
    HOME: folder,
    EKA_CI_LOG: 'error',
    WEBHOOK_SECRET: 'only-for-this-benchmark-0123456789',
  };
  const startedAt = performance.now();
  const child = await startChild({ command: process.execPath, args, env });
  child.stderr.pipe(process.stderr, { end: false });
  for await (const line of readLines(child.stdout)) {
    if (!line.includes('listens on')) continue;
    const startMs = performance.now() - startedAt;
    const stop = async (): Promise<void> => {
      child.end();
      await child.exited;
    };
    return { child, socketPath: join(folder, 'socket'), startMs, stop };
  }
  throw new Error('the server ended before it listened');
};

/** Resident memory of the process, children not counted. */
export const residentBytes = async ({ child }: ServerProcess): Promise<number> => {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
};
