import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { runConfined } from './confined-run.ts';
import { createOutputPipe } from './output-pipe.ts';
import { testLimits } from './sandbox.contract.ts';

it('goes on watching processes while the disk is looked at', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-confined-'));
  try {
    const searchPath = process.env['PATH'] ?? '';
    const pipe = await createOutputPipe(join(folder, 'output'), searchPath);
    // The kernel ends each of them, but not their parent: only who watches them all makes this a run that timed out.
    const script = 'spin() { while :; do :; done; }; spin & spin & wait';
    // Its folders of memory are the machine's own here.
    const limits = { ...testLimits, maxCpuSeconds: 1, maxProcesses: 4096, maxMemoryMib: 2 ** 30 };
    const result = await runConfined(
      {
        // In place of bubblewrap: one who stays, and has the command for a child.
        wrapper: ['/bin/sh', '-c', '"$@" >"$0"; exit', pipe.path],
        asked: { command: ['sh', '-c', script], env: { PATH: searchPath }, limits },
        pipe,
        disk: { isWithin: () => sleep(8000).then(() => true) },
        onOutput: () => Promise.resolve(),
      },
      new AbortController().signal,
    );
    pipe.stream.destroy();
    expect(result).toMatchObject({ kind: 'timed-out' });
    expect(result).toHaveProperty(
      'durationMs',
      expect.toSatisfy((ms: number) => ms < 6000),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
