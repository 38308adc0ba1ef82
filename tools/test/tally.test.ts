// A run counts as passed only when something ran and nothing failed, however the failing showed.
import { describe, expect, it } from 'vitest';
import { type TestReport, tallyClosingLine, tallyTests, verdictOf } from './tally.ts';

const report = (...statuses: readonly string[]): TestReport => ({
  testResults: [{ status: 'passed', assertionResults: statuses.map((status) => ({ status })) }],
});

describe('tests', () => {
  it('are counted one by one, whatever way they were skipped', () => {
    const counted = report('passed', 'failed', 'skipped', 'pending', 'todo', 'passed');
    expect(tallyTests(counted, 1)).toEqual({ passed: 2, failed: 1, skipped: 3 });
  });

  it('fail when a file could not be loaded', () => {
    const loaded = report('passed').testResults;
    const unloaded = { testResults: [...loaded, { status: 'failed', assertionResults: [] }] };
    expect(tallyTests(unloaded, 1)).toMatchObject({ passed: 1, failed: 1 });
  });

  it.each([1, null])('fail on status %s though no test failed', (status) => {
    expect(tallyTests(report('passed'), status)).toMatchObject({ passed: 1, failed: 1 });
  });

  it('fail without a report', () => {
    expect(tallyTests(null, 0)).toMatchObject({ failed: 1 });
  });
});

describe('a closing line', () => {
  it('is the last one that was printed', () => {
    const output = '1 passed, 0 failed\n12 passed, 3 failed, 4 skipped\ndone\n';
    expect(tallyClosingLine(output, 1)).toEqual({ passed: 12, failed: 3, skipped: 4 });
  });

  it.each([
    ['is missing', 'all fine\n', 0],
    ['contradicts the exit status', '5 passed, 0 failed\n', 1],
    ['was followed by a signal', '5 passed, 0 failed\n', null],
  ])('counts as a failure when it %s', (_, output, status) => {
    expect(tallyClosingLine(output, status)).toMatchObject({ failed: 1 });
  });
});

describe('the verdict', () => {
  it('is a plain line, with the skipped ones where there are any', () => {
    expect(verdictOf({ passed: 2, failed: 0, skipped: 0 })).toEqual({ ok: true, line: '2 passed, 0 failed' });
    expect(verdictOf({ passed: 2, failed: 1, skipped: 3 })).toEqual({
      ok: false,
      line: '2 passed, 1 failed, 3 skipped',
    });
  });

  it('is no success when nothing ran', () => {
    expect(verdictOf({ passed: 0, failed: 0, skipped: 0 }).ok).toBe(false);
  });
});
