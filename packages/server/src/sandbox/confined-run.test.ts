import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
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

/** In a process that has nothing else to do, so that what still holds it is the run's. */
const afterSlowLooks = (folder: string): string => `
  import { setTimeout as sleep } from 'node:timers/promises';
  import { runConfined } from '${new URL('confined-run.ts', import.meta.url).href}';
  import { createOutputPipe } from '${new URL('output-pipe.ts', import.meta.url).href}';
  const pipe = await createOutputPipe(${JSON.stringify(join(folder, 'output'))}, process.env.PATH);
  let looks = 0;
  const disk = { isWithin: async () => { looks += 1; await sleep(200); return true; } };
  const limits = ${JSON.stringify({ ...testLimits, ...machine })};
  const asked = { command: ['sleep', '0.5'], env: { PATH: process.env.PATH }, limits };
  const wrapper = ['/bin/sh', '-c', '"$@" >"$0"', pipe.path];
  const run = { wrapper, asked, pipe, disk, group: null, onOutput: async () => {} };
  const { kind } = await runConfined(run, new AbortController().signal);
  const held = process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  console.log(JSON.stringify({ kind, looks, held }));
  process.exit();`;

it('leaves nothing behind that would hold the process, however long the last look at the disk was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-confined-'));
  try {
    // After a look there is a pause five times as long: the command ends in the midst of it.
    const args = ['--input-type=module', '--eval', afterSlowLooks(folder)];
    const { stdout, stderr } = await runChild({
      command: process.execPath,
      args,
      env: { PATH: process.env['PATH'] ?? '' },
    });
    expect(stdout.trim(), stderr).toBe('{"kind":"ended","looks":1,"held":0}');
  } finally {
    rmSync(folder, { recursive: true });
  }
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
