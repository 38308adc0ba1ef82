// The demo's repository under a real server: it judges every branch, and again whenever one moves.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { type Change, ChangePage } from '@eka-ci/protocol/change';

export interface DemoService {
  readonly address: string;
  readonly socket: string;
  /** Every change with what became of it, once all have been judged. */
  judged(count: number): Promise<readonly Change[]>;
  /** Resolves when the server has ended. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** Holds the database, the logs, the socket and the configuration. */
  readonly folder: string;
  /** Lines at the top of ekaci.toml. @default none */
  readonly settings?: string;
  /** Tables of it that tell whose changes are judged. */
  readonly serves: string;
  /** 0: any free one. */
  readonly port: number;
}

/** Nobody listens there now. */
export const findFreePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** The repository at that path. */
export const gitTable = (path: string): string => `
[[git_repositories]]
name = "demo/package-set"
url = ${JSON.stringify(path)}
poll_interval_seconds = 2
`;

/** So that there is something to approve where somebody from outside offers a change. */
export const askForApproval = `require_approval = true
merge_queue_require_approval = true`;

/** What the app of the environment's variables reaches. */
export const githubTables = (apiUrl: string): string => `
[[github_apps]]
id = "demo"
api_url = ${JSON.stringify(apiUrl)}
credentials = { env = { vars = ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY"] } }
`;

const configuration = ({ folder, settings = '', serves, port }: ServiceOptions): string => `${settings}
db_path = ${JSON.stringify(join(folder, 'server.db'))}
logs_dir = ${JSON.stringify(join(folder, 'build-logs'))}
[web]
port = ${port}
[unix]
socket_path = ${JSON.stringify(join(folder, 'ekaci.socket'))}
[disk]
min_free_mib = 64
${serves}`;

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

/** @throws Error when it does not come up */
export const startDemoService = async (
  options: ServiceOptions,
  env: Readonly<Record<string, string>>,
): Promise<DemoService> => {
  const file = await writeServiceConfig(options);
  const server = await startChild({
    command: process.execPath,
    args: [serverProgram, '--config-file', file],
    env: { ...serviceEnvironment(), ...env },
    killGraceMs: 30_000,
  });
  server.stderr.pipe(process.stderr, { end: false });
  const address = await addressOf(server);
  if (address === null) throw new Error('the server ended before it listened');
  return {
    address,
    socket: join(options.folder, 'ekaci.socket'),
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
