// The demo's repository under a real server: it judges every branch, and again whenever one moves.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { type Change, ChangePage } from '@eka-ci/protocol/change';

export interface DemoService {
  readonly address: string;
  readonly socket: string;
  /** Every branch with what became of it, once all have been judged. */
  judged(count: number): Promise<readonly Change[]>;
  /** Resolves when the server has ended. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** Holds the database, the logs, the socket and the configuration. */
  readonly folder: string;
  readonly repository: string;
  /** 0: any free one. */
  readonly port: number;
}

const configuration = ({ folder, repository, port }: ServiceOptions): string => `
db_path = ${JSON.stringify(join(folder, 'server.db'))}
logs_dir = ${JSON.stringify(join(folder, 'build-logs'))}
[web]
port = ${port}
[unix]
socket_path = ${JSON.stringify(join(folder, 'ekaci.socket'))}
[disk]
min_free_mib = 64
[[git_repositories]]
name = "demo/package-set"
url = ${JSON.stringify(repository)}
poll_interval_seconds = 2
`;

/** Where the server's own program is. */
export const serverProgram = fileURLToPath(
  new URL('eka-ci-server.mjs', import.meta.resolve('@eka-ci/server/main')),
);

/** @returns the file's path */
export const writeServiceConfig = async (options: ServiceOptions): Promise<string> => {
  const file = join(options.folder, 'ekaci.toml');
  await writeFile(file, configuration(options));
  return file;
};

export const serviceEnvironment = (): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  ),
  // Nobody sends this server webhooks, and nobody can guess how to.
  WEBHOOK_SECRET: randomBytes(32).toString('hex'),
  EKA_CI_LOG: process.env['EKA_CI_LOG'] ?? 'warn',
});

/** Null when it ended before it listened. */
export const addressOf = async (server: Child): Promise<string | null> => {
  for await (const line of readLines(server.stdout)) {
    const address = /listens on (http:\S+)/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  return null;
};

const listChanges = async (address: string): Promise<readonly Change[]> => {
  const response = await fetch(`${address}/v1/prs?limit=100`);
  return ChangePage.parse(await response.json()).changes;
};

const isDecided = ({ state }: Change): boolean => state === 'judged' || state === 'failed';

/**
 * Starts the server in `folder`, which also holds its database and logs.
 * @throws Error when it does not come up
 */
export const startDemoService = async (folder: string, repository: string): Promise<DemoService> => {
  const file = await writeServiceConfig({ folder, repository, port: 0 });
  const server = await startChild({
    command: process.execPath,
    args: [serverProgram, '--config-file', file],
    env: serviceEnvironment(),
    killGraceMs: 30_000,
  });
  server.stderr.pipe(process.stderr, { end: false });
  const address = await addressOf(server);
  if (address === null) throw new Error('the server ended before it listened');
  return {
    address,
    socket: join(folder, 'ekaci.socket'),
    judged: async (count) => {
      for (;;) {
        const changes = await listChanges(address);
        if (changes.length >= count && changes.every(isDecided)) return changes;
        await sleep(100);
      }
    },
    ended: server.exited,
    stop: async () => {
      server.end();
      await server.exited;
    },
  };
};
