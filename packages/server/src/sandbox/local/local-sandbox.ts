// A sandbox on this machine whose runner is a child of the server's.
import { fileURLToPath } from 'node:url';
import { startChild } from '@eka-ci/process';
import { createRunnerClient, type RunnerClientDeps, type RunnerConnection } from '../runner-client.ts';
import type { Sandbox } from '../sandbox.ts';

export interface LocalSandboxDeps extends Pick<RunnerClientDeps, 'onBounds'> {
  /** Parent of the copies of trees. */
  readonly folder: string;
  /** Where bwrap is looked for. @default the process's own PATH */
  readonly searchPath?: string;
}

const program = fileURLToPath(new URL('../../eka-ci-server.mjs', import.meta.url));

const maxComplaintCharacters = 1000;
/** What the runner has to end what it runs and to remove the copy; then it goes by force. */
const patienceMs = 10_000;

/** Where the runner finds what Node compiled before. Nothing else of ours is its affair. */
const cacheVariables = ['CACHE_DIRECTORY', 'XDG_CACHE_HOME', 'HOME'];

const runnerEnvironment = (searchPath: string): Record<string, string> => {
  const named = cacheVariables.map((name) => [name, process.env[name] ?? ''] as const);
  return { ...Object.fromEntries(named.filter(([, value]) => value !== '')), PATH: searchPath };
};

const connect = async (folder: string, searchPath: string): Promise<RunnerConnection> => {
  const child = await startChild({
    command: process.execPath,
    args: [program, 'sandbox-runner', folder],
    env: runnerEnvironment(searchPath),
    keepStdinOpen: true,
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString('utf8')}`.slice(0, maxComplaintCharacters);
  });
  const { stdin } = child;
  if (stdin === null) throw new Error('the runner has no standard input');
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stdin.end();
    child.stdout.resume();
    const force = setTimeout(() => child.end(), patienceMs);
    await child.exited;
    clearTimeout(force);
  };
  return {
    input: child.stdout,
    output: stdin,
    complaint: () => complaint.trim(),
    close: () => (closing ??= close()),
  };
};

export const createLocalSandbox = ({ folder, searchPath, ...deps }: LocalSandboxDeps): Sandbox =>
  createRunnerClient({
    connect: () => connect(folder, searchPath ?? process.env['PATH'] ?? ''),
    seesFolders: true,
    ...deps,
  });
