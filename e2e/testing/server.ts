// Runs the real server in a world of its own, and asks it over HTTP.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type Child,
  type ChildExit,
  type ChildOptions,
  type RunResult,
  runChild,
  startChild,
} from '@eka-ci/process';
import { ChangeDetail, ChangePage, type ChangeState } from '@eka-ci/protocol/change';
import type { World } from './ekaci.ts';

export interface TestServer {
  readonly address: string;
  /** The answer's JSON; an answer that is no success is an error. */
  get(path: string): Promise<unknown>;
  changes(query?: string): Promise<ChangePage['changes']>;
  change(number: number): Promise<ChangeDetail>;
  /** SIGTERM; gives how it ended. */
  stop(): Promise<ChildExit>;
  /** kill -9. */
  kill(): Promise<void>;
  /** What it has logged so far. */
  log(): string;
}

export type ChangeStateName = (typeof ChangeState.options)[number];

const repositoryName = 'demo/package-set';
const main = fileURLToPath(new URL('../../packages/server/src/eka-ci-server.mjs', import.meta.url));

export const databasePath = (world: World): string => join(world.folder, 'state', 'sqlite.db');

/** @returns the configuration's file */
export const configureServer = async (world: World, repositoryPath: string): Promise<string> => {
  const file = join(world.folder, 'ekaci.toml');
  const lines = [
    `db_path = ${JSON.stringify(databasePath(world))}`,
    `logs_dir = ${JSON.stringify(join(world.folder, 'state', 'logs'))}`,
    '[web]',
    'port = 0',
    '[unix]',
    `socket_path = ${JSON.stringify(join(world.folder, 'ekaci.socket'))}`,
    '[evaluation]',
    'workers = 2',
    // These builds are small.
    '[disk]',
    'min_free_mib = 64',
    '[[git_repositories]]',
    `name = ${JSON.stringify(repositoryName)}`,
    `url = ${JSON.stringify(repositoryPath)}`,
    'poll_interval_seconds = 1',
    // It holds nobody up.
    '[[git_repositories]]',
    'name = "demo/gone"',
    `url = ${JSON.stringify(join(world.folder, 'gone'))}`,
    'poll_interval_seconds = 1',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
};

/** Asks again until the answer is not null; the test's own time limit ends it. */
export const until = async <Answer>(ask: () => Promise<Answer | null>): Promise<Answer> => {
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    await sleep(50);
  }
};

const collect = (child: Child, name: 'stdout' | 'stderr'): (() => string) => {
  let text = '';
  child[name].setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
};

const asker =
  (address: string) =>
  async (path: string): Promise<unknown> => {
    const response = await fetch(`${address}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  };

/** A secret that the server knows. */
export const webhookSecret = 'only-for-this-test-0123456789abcdef';

export const serverProcess = (world: World, configFile: string): ChildOptions => ({
  command: process.execPath,
  args: [main, '--config-file', configFile],
  env: { ...world.env, WEBHOOK_SECRET: webhookSecret },
  cwd: world.folder,
});

/** Runs one that should not start. */
export const runServer = (world: World, configFile: string): Promise<RunResult> =>
  runChild(serverProcess(world, configFile));

/** Resolves when it listens. */
export const startServer = async (world: World, configFile: string): Promise<TestServer> => {
  const child = await startChild(serverProcess(world, configFile));
  const [said, log] = [collect(child, 'stdout'), collect(child, 'stderr')];
  let gone = false;
  const exited = child.exited.finally(() => {
    gone = true;
  });
  const address = await until(async () => {
    if (gone) throw new Error(`the server ended: ${log()}`);
    return /listens on (http:\S+)/.exec(said())?.[1] ?? null;
  });
  const get = asker(address);
  return {
    address,
    get,
    changes: async (query = '') => ChangePage.parse(await get(`/v1/prs?limit=100${query}`)).changes,
    change: async (number) => ChangeDetail.parse(await get(`/v1/prs/git/${repositoryName}/${number}`)),
    stop: () => {
      child.end('SIGTERM');
      return exited;
    },
    kill: async () => {
      child.end('SIGKILL');
      await exited;
    },
    log,
  };
};
