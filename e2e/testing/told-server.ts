// The real server, of which all is kept that it says, on both of its streams.
import { startChild } from '@eka-ci/process';
import { ChangeDetail, ChangePage } from '@eka-ci/protocol/change';
import type { World } from './ekaci.ts';
import { serverProcess, until } from './server.ts';

export interface ToldServer {
  readonly pid: number;
  /** An answer of any status, with its headers before it. */
  ask(path: string): Promise<string>;
  changes(): Promise<ChangePage['changes']>;
  change(number: number): Promise<ChangeDetail>;
  /** Both streams. */
  said(): string;
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** Resolves when it listens. */
export const startToldServer = async (world: World, configFile: string): Promise<ToldServer> => {
  const child = await startChild(serverProcess(world, configFile));
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      said[name] += chunk;
    });
  }
  const ended = { is: false };
  const exited = child.exited.finally(() => {
    ended.is = true;
  });
  const address = await until(async () => {
    if (ended.is) throw new Error(`the server ended: ${said.stderr}`);
    return /listens on (http:\S+)/.exec(said.stdout)?.[1] ?? null;
  });
  const ask = async (path: string): Promise<Response> => fetch(`${address}${path}`);
  const json = async (path: string): Promise<unknown> => {
    const answer = await ask(path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    pid: child.pid,
    ask: async (path) => {
      const answer = await ask(path);
      return `${answer.status} ${JSON.stringify([...answer.headers])}\n${await answer.text()}`;
    },
    changes: async () => ChangePage.parse(await json('/v1/prs?limit=100')).changes,
    change: async (number) => ChangeDetail.parse(await json(`/v1/prs/git/demo/package-set/${number}`)),
    said: () => `${said.stdout}\n${said.stderr}`,
    end: async (signal) => {
      child.end(signal);
      await exited;
    },
  };
};
