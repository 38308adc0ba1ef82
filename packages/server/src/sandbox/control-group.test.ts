import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeControlGroup, memoryBoundIn } from './control-group.ts';

it.each([
  [
    '0::/unit',
    { 'memory.max': '2147483648\n', 'pids.max': '600\n' },
    ['2048 MiB of memory and 600 processes and threads'],
  ],
  ['4:memory:/x\n0::/unit\n', { 'memory.max': 'max\n', 'pids.max': '600' }, ['600 processes and threads']],
  ['0::/unit', { 'memory.max': 'max\n', 'pids.max': 'max\n' }, []],
  ['0::/unit', {}, []],
  // The runner has moved down, and its unit is bounded as before.
  ['0::/unit/runner', { 'memory.max': '1048576\n' }, ['1 MiB of memory']],
  ['0::/../unit', { 'memory.max': '1048576\n' }, []],
  ['4:memory:/unit\n', { 'memory.max': '1048576' }, []],
])('the control group of %j with %j bounds %j', (text, files, expected) => {
  const root = mkdtempSync(join(tmpdir(), 'eka-ci-cgroup-'));
  try {
    const folder = join(root, 'sys/fs/cgroup/unit');
    const folders = [folder, join(folder, 'runner')];
    for (const each of [...folders, join(root, 'proc/self')]) mkdirSync(each, { recursive: true });
    for (const each of folders) writeFileSync(join(each, 'cgroup.controllers'), '');
    writeFileSync(join(root, 'proc/self/cgroup'), text);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const words = expected.map((bound) => `${bound} for all of the unit by its control group`);
    expect(describeControlGroup(root)).toEqual(words);
    const memoryMib = /^(\d+) MiB/.exec(words.join())?.[1];
    expect(memoryBoundIn(['system calls by a filter', ...describeControlGroup(root)])).toBe(
      memoryMib === undefined ? null : Number(memoryMib),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
