// Runs the real `ekaci` command in a world of its own: a private Nix store and a temporary folder.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, type RunResult, runChild, startChild } from '@eka-ci/process';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { createDemoStore } from '../../tools/demo/private-store.ts';

export interface World {
  /** Empty at first; also the parent of whatever the command makes for a while. */
  readonly folder: string;
  readonly temporary: string;
  readonly env: Readonly<Record<string, string>>;
  ekaci(...args: readonly string[]): Promise<RunResult>;
  /** The same with some variables set otherwise. */
  ekaciWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<RunResult>;
  /** Starts the command and leaves it running. */
  start(...args: readonly string[]): Promise<Child>;
  /** Runs `ekaci review --json` and gives its summary; a status of 2 is an error that holds what was said. */
  review(
    ...args: readonly string[]
  ): Promise<{ readonly status: number | null; readonly summary: ChangeSummary }>;
  remove(): Promise<void>;
}

const main = fileURLToPath(new URL('../../packages/cli/src/ekaci.mjs', import.meta.url));
const compileCache = fileURLToPath(new URL('../../.setup/compiled', import.meta.url));

export const createWorld = async (): Promise<World> => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-e2e-'));
  const temporary = await mkdtemp(join(folder, 'tmp-'));
  const env = {
    PATH: process.env['PATH'] ?? '',
    // Shared by all: hundreds of processes of the same sources are started.
    NODE_COMPILE_CACHE: compileCache,
    TMPDIR: temporary,
    HOME: folder,
    ...(await createDemoStore(join(folder, 'nix'))),
  };
  const child = (args: readonly string[], more: Readonly<Record<string, string>> = {}) => ({
    command: process.execPath,
    args: [main, ...args],
    env: { ...env, ...more },
    cwd: folder,
  });
  const ekaci = (...args: readonly string[]): Promise<RunResult> => runChild(child(args));
  return {
    folder,
    temporary,
    env,
    ekaci,
    ekaciWith: (more, ...args) => runChild(child(args, more)),
    start: (...args) => startChild(child(args)),
    review: async (...args) => {
      const run = await ekaci('review', ...args, '--json');
      if (run.stdout === '') throw new Error(`no verdict (status ${run.code}): ${run.stderr}`);
      return { status: run.code, summary: ChangeSummary.parse(JSON.parse(run.stdout)) };
    },
    remove: () => removeTree(folder),
  };
};
