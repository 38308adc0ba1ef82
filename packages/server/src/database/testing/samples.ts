// Values that tests of the database store: every one new, so that tests can share a database.
import type { BuildState } from '@eka-ci/core/build-state';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath, TreeSha } from '@eka-ci/core/ids';
import type { BuildTransition, ChangeResult } from '../database.ts';

let pathsMade = 0;

/** A path no other test has. */
export const newPath = (name = 'package-1.0'): DrvPath =>
  `/nix/store/${String(pathsMade++).padStart(32, '0')}-${name}.drv` as DrvPath;

export const newNode = (inputs: DrvNode['inputs'] = [], more: Partial<DrvNode> = {}): DrvNode => {
  const path = more.path ?? newPath();
  const outputs = [{ name: 'out', path: path.slice(0, -4) }];
  const flags = { fixedOutput: false, preferLocalBuild: false, allowSubstitutes: true };
  return { path, system: 'x86_64-linux', ...flags, requiredFeatures: [], outputs, inputs, ...more };
};

export const step = (
  drv: DrvPath,
  from: BuildState | null,
  to: BuildState,
  more: Partial<BuildTransition> = {},
): BuildTransition => {
  const nothing = { cause: null, culprit: null, message: null, logFile: null };
  return { drv, attempt: 1, from, to, atMs: 1000, ...nothing, ...more };
};

/** All that the batches hold. */
export const collect = async <T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> => {
  const all: T[] = [];
  for await (const batch of batches) all.push(...batch);
  return all;
};

/** What judging came to, well as it is unless `more` says otherwise. */
export const judgedResult = (more: Partial<JudgedResult> = {}): JudgedResult => ({
  state: 'judged',
  base: null,
  judgedTree: 'd'.repeat(40) as TreeSha,
  title: 'libpng: 1 -> 2',
  conclusion: 'success',
  summaryJson: '{}',
  markdown: '# fine',
  ...more,
});
type JudgedResult = Extract<ChangeResult, { state: 'judged' }>;
