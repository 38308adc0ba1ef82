// Checks in the change summary: the verdict hangs on them, and what they say is shown as text.
import { expect, it } from 'vitest';
import type { CheckOutcome, JudgedCheck } from '../check-outcome.ts';
import { exampleSummary } from '../testing/example-summary.ts';
import type { Conclusion } from '../verdict.ts';
import { buildChangeSummary } from './build.ts';
import { utf8Length } from './byte-budget.ts';
import type { ChangeSummary } from './document.ts';
import { MARKDOWN_BYTES_CAP, renderMarkdown } from './markdown.ts';

const change = exampleSummary().change;
const check = (name: string, outcome: CheckOutcome, more: Partial<JudgedCheck> = {}): JudgedCheck => ({
  ...{ name, id: name, outcome, status: null, reason: null, durationMs: 1500 },
  ...{ outputTail: [], logUrl: null, kept: false, ...more },
});
const summaryOf = (checks: readonly JudgedCheck[], conclusions: readonly Conclusion[] = []): ChangeSummary =>
  buildChangeSummary({
    change,
    jobs: conclusions.map((conclusion) => ({
      ...{ kind: 'not-judged', job: conclusion, conclusion, reason: 'r', notices: [] },
    })),
    checks,
    notices: [],
  });

it('is as good as the worst of jobs and checks, and says which it was', () => {
  const told = (...given: Parameters<typeof summaryOf>) => {
    const { conclusion, headline } = summaryOf(...given);
    return [conclusion, headline];
  };
  expect(told([check('a', 'passed'), check('b', 'passed')], ['success'])).toEqual([
    'success',
    'Safe to merge. Nothing to judge. 2 checks passed.',
  ]);
  expect(told([check('a', 'passed')])).toEqual(['success', 'Safe to merge. 1 check passed.']);
  for (const outcome of ['failed', 'timed-out', 'refused'] as const) {
    expect(told([check('a', outcome), check('b', 'passed')], ['success'])).toEqual([
      'failure',
      'Do not merge. 1 check did not pass.',
    ]);
  }
  expect(told([check('a', 'failed')], ['failure'])).toEqual([
    'failure',
    'Do not merge. It could not be evaluated. 1 check did not pass.',
  ]);
  expect(told([check('a', 'interrupted')], ['success'])[0]).toBe('neutral');
  expect(told([check('a', 'cancelled')], ['neutral'])[0]).toBe('cancelled');
});

it('keeps checks by name, with twenty lines of each', () => {
  const lines = Array.from({ length: 30 }, (_, at) => `line ${at}${'x'.repeat(at * 100)}`);
  const { checks } = summaryOf([check('b', 'failed', { outputTail: lines }), check('a', 'passed')]);
  expect(checks.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(checks[1]?.outputTail).toHaveLength(20);
  expect(Math.max(...(checks[1]?.outputTail ?? []).map(({ length }) => length))).toBe(1001);
});

it('shows a table, those that did not pass first and with their output, and reads nothing of it as markup', () => {
  const hostile = '</details> @everyone | [x](http://evil)\n# head';
  const text = renderMarkdown(
    summaryOf([
      check('a', 'passed', { kept: true, outputTail: ['not shown'] }),
      check(hostile, 'failed', {
        ...{ reason: hostile, outputTail: ['```', hostile], logUrl: 'https://ci.example/log' },
      }),
    ]),
    { pageUrl: null },
  );
  const rows = text.split('\n').filter((line) => line.startsWith('| '));
  expect(rows.map((row) => row.split('|').length)).toEqual([6, 6, 6]);
  expect(rows[1]).toContain('[log](https://ci.example/log)');
  expect(rows[2]).toBe('| ✅ `a` | passed (run before) | 1.5 s |  |');
  expect(text).not.toContain('not shown');
  expect(text.match(/^<\/details>$/gm)).toHaveLength(1);
  expect(text).not.toMatch(/^# head/m);
});

it('never takes more than a forge does, however many checks say how much', () => {
  const checks = Array.from({ length: 100 }, (_, at) =>
    check(`check ${at} ${'n'.repeat(80)}`, 'failed', {
      ...{ reason: 'r'.repeat(2000), outputTail: Array.from({ length: 20 }, () => '€'.repeat(999)) },
    }),
  );
  const text = renderMarkdown(summaryOf(checks), { pageUrl: null });
  expect(utf8Length(text)).toBeLessThanOrEqual(MARKDOWN_BYTES_CAP);
  expect(text).toContain('Do not merge. 100 checks did not pass.');
  expect(text).toContain('### Checks');
});
