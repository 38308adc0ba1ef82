// Size warnings as gates: there where outputs grow too much, and settled where they do not any more.
import type { CommitSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { expect, it } from 'vitest';
import { settledGate } from './change-gates.ts';
import { ReportedSizes, sizeGates } from './size-gates.ts';

const change = {
  ...{ id: 'c1', head: 'a'.repeat(40) as CommitSha, baseBranch: 'main', defaultBranch: 'main' },
  detailsUrl: 'https://ci.example.org/c1',
};
const mib = 1024 * 1024;
const grown = (attr: string, by: number, breached = true) => {
  const byteChange = {
    baseBytes: mib,
    bytes: mib + by,
    differenceBytes: by,
    differencePercent: (by / mib) * 100,
  };
  const references = { gainedReferences: ['gcc-14'], lostReferences: [] };
  return { attr, output: 'out', nar: byteChange, closure: byteChange, ...references, breached };
};
const sizes = (comparisons: ReturnType<typeof grown>[]) => ({
  maxIncreasePercent: 10,
  breaches: comparisons.filter(({ breached }) => breached).length,
  comparisons,
});

it('shows one neutral gate for a job whose outputs grow too much, the worst of them first', () => {
  const some = [grown('small', 2 * mib), grown('within', 10, false), grown('large | </details>', 9 * mib)];
  const jobs = [
    { job: 'packages', sizes: sizes(some) },
    { job: 'docs', sizes: sizes([grown('within', 10, false)]) },
    { job: 'unmeasured', sizes: null },
    { job: 'of-old' },
  ];
  const [gate, ...others] = sizeGates(change, jobs);
  expect(others).toEqual([]);
  expect(gate).toMatchObject({
    name: 'EkaCI sizes: packages',
    externalId: 'c1/sizes:packages',
    state: { kind: 'concluded', conclusion: 'neutral' },
    title: '2 outputs grew by more than 10 %',
  });
  const rows = (gate?.summary ?? '').split('\n').filter((line) => line.includes('⚠️'));
  expect(rows).toHaveLength(2);
  expect(rows[0]).toContain('large');
  expect(rows[0]).toContain('gcc-14');
  expect(gate?.summary).not.toContain('within');
  const settled = gate === undefined ? null : settledGate(gate);
  expect(settled).toMatchObject({
    state: { conclusion: 'success' },
    title: 'Nothing grows too much any more',
  });
});

it('lists a hundred and counts the rest', () => {
  const many = Array.from({ length: 120 }, (_, index) => grown(`p${index}`, (index + 2) * mib));
  const [gate] = sizeGates(change, [{ job: 'packages', sizes: sizes(many) }]);
  expect(gate?.summary.match(/⚠️/g)).toHaveLength(100);
  expect(gate?.summary).toContain('… and 20 more outputs.');
});

it('reads what summaries hold', () => {
  for (const { sizes: stored } of exampleSummary().jobs) expect(ReportedSizes.parse(stored)).toEqual(stored);
  expect(ReportedSizes.parse(undefined)).toBeUndefined();
});
