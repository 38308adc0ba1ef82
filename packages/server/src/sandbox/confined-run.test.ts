import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runConfined } from './confined-run.ts';
import type { DiskWatch } from './disk-watch.ts';
import { createOutputPipe } from './output-pipe.ts';
import { testLimits } from './sandbox.contract.ts';
import type { SandboxLimits, SandboxResult } from './sandbox.ts';

interface Asked {
  /** In place of bubblewrap: one who stays, and has the command for a child. */
  readonly wrapper: string;
  readonly script: string;
  readonly limits: Partial<SandboxLimits>;
  readonly disk: DiskWatch;
}

/** Its folders of memory are the machine's own here. */
const machine = { maxProcesses: 4096, maxMemoryMib: 2 ** 30, timeoutMs: 10 * 60_000 };

const run = async ({ wrapper, script, limits, disk }: Asked): Promise<SandboxResult> => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-confined-'));
  try {
    const searchPath = process.env['PATH'] ?? '';
    const pipe = await createOutputPipe(join(folder, 'output'), searchPath);
    const result = await runConfined(
      {
        wrapper: ['/bin/sh', '-c', wrapper, pipe.path],
        asked: {
          command: ['sh', '-c', script],
          env: { PATH: searchPath },
          limits: { ...testLimits, ...machine, ...limits },
        },
        ...{ pipe, disk, group: null },
        onOutput: () => Promise.resolve(),
      },
      new AbortController().signal,
    );
    pipe.stream.destroy();
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
};

it('goes on watching processes while the disk is looked at', async () => {
  const result = await run({
    wrapper: '"$@" >"$0"; exit',
    // The kernel ends each of them, but not their parent: only who watches them all makes this a run that timed out.
    script: 'spin() { while :; do :; done; }; spin & spin & wait',
    limits: { maxCpuSeconds: 1 },
    disk: { isWithin: () => new Promise(() => {}) },
  });
  expect(result).toMatchObject({ kind: 'timed-out' });
});

it('counts the time of a command from where it begins', async () => {
  const result = await run({
    wrapper: 'sleep 2; "$@" >"$0"; exit 3',
    script: 'true',
    limits: { timeoutMs: 1900 },
    disk: { isWithin: () => Promise.resolve(true) },
  });
  expect(result).toMatchObject({ kind: 'ended', status: 3 });
});
