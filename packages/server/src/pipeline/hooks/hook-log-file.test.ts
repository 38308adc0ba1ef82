import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import { createWorkFolder } from '../../lib/work-folder.ts';
import { logFileOf } from '../builds/run-attempt.ts';
import { findLogs } from '../upkeep/old-logs.ts';
import { hookLogFileOf } from './hook-log-file.ts';

const drvOf = (name: string): DrvPath => `/nix/store/${'0'.repeat(31)}a-${name}.drv` as DrvPath;

it('names logs so that retention and compression take them for logs, each its own', async () => {
  const folder = await createWorkFolder('ekaci-test-');
  try {
    const long = drvOf('n'.repeat(203));
    const files = [
      ...[logFileOf(drvOf('hello-1.0'), 2), logFileOf(long, 1)],
      ...[hookLogFileOf(drvOf('hello-1.0'), 2, 'a'), hookLogFileOf(drvOf('hello-1.0'), 2, 'b')],
      ...[hookLogFileOf(drvOf('hello-1.0'), 3, 'a'), hookLogFileOf(long, 1, `${'h'.repeat(99)}a`)],
      hookLogFileOf(long, 1, `${'h'.repeat(99)}b`),
    ];
    expect(new Set(files).size).toBe(files.length);
    for (const file of files) {
      expect(basename(file).length).toBeLessThanOrEqual(255 - '.zst.part'.length);
      await mkdir(join(folder.path, dirname(file)), { recursive: true });
      await writeFile(join(folder.path, file), 'x');
    }
    const { logs } = await findLogs(folder.path);
    expect(logs.map(({ file }) => file).toSorted()).toEqual(files.toSorted());
  } finally {
    await folder.remove();
  }
});
