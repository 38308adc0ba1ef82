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

const configuration = (folder: string, repository: string): string => `
db_path = ${JSON.stringify(join(folder, 'server.db'))}
logs_dir = ${JSON.stringify(join(folder, 'build-logs'))}
[web]
port = 0
[unix]
socket_path = ${JSON.stringify(join(folder, 'ekaci.socket'))}
[[git_repositories]]
name = "demo/package-set"
url = ${JSON.stringify(repository)}
poll_interval_seconds = 2
`;

const environment = (): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  ),
  // Nobody sends this server webhooks, and nobody can guess how to.
  WEBHOOK_SECRET: randomBytes(32).toString('hex'),
  EKA_CI_LOG: process.env['EKA_CI_LOG'] ?? 'warn',
});

const addressOf = async (server: Child): Promise<string> => {
  for await (const line of readLines(server.stdout)) {
    const address = /listens on (http:\S+)/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error('the server ended before it listened');
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
  const file = join(folder, 'ekaci.toml');
  await writeFile(file, configuration(folder, repository));
  const main = fileURLToPath(import.meta.resolve('@eka-ci/server/main'));
  const server = await startChild({
    command: process.execPath,
    args: [main, '--config-file', file],
    env: environment(),
    killGraceMs: 30_000,
  });
  server.stderr.pipe(process.stderr, { end: false });
  const address = await addressOf(server);
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
