// Adds up what ran, whatever ran it. A run that ran nothing has failed.

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const addTallies = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
  failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
  skipped: tallies.reduce((sum, { skipped }) => sum + skipped, 0),
});

/** What vitest's JSON report tells; only what is read here. Its own sums leave out tests that skip themselves. */
export interface TestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * A file that cannot be loaded has no tests that could fail, and an error outside of every test fails none either:
 * each counts as one failure.
 * @param report null when vitest wrote none
 * @param status vitest's exit status, null when a signal ended it
 */
export const tallyTests = (report: TestReport | null, status: number | null): Tally => {
  if (report === null) return { passed: 0, failed: 1, skipped: 0 };
  const files = report.testResults;
  const tests = files.flatMap((file) => file.assertionResults);
  const passed = tests.filter((test) => test.status === 'passed').length;
  const broken = tests.filter((test) => test.status === 'failed').length;
  const unloaded = files.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  const failed = broken + unloaded;
  return {
    passed,
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: tests.length - passed - broken,
  };
};

const closingLine = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/**
 * Reads the closing line of a run that prints one.
 * @param status the run's exit status, null when a signal ended it
 */
export const tallyClosingLine = (output: string, status: number | null): Tally => {
  const found = output
    .split('\n')
    .flatMap((line) => closingLine.exec(line.trim()) ?? [])
    .slice(-4);
  const [, passed = 0, failed = 0, skipped = 0] = found.map(Number);
  const unexplained = failed === 0 && (found.length === 0 || status !== 0) ? 1 : 0;
  return { passed, failed: failed + unexplained, skipped };
};

export const verdictOf = ({ passed, failed, skipped }: Tally): { ok: boolean; line: string } => ({
  ok: failed === 0 && passed > 0,
  line: `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
});
