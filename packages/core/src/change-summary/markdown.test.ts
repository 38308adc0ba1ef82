import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exampleSummary } from '../testing/example-summary.ts';
import { utf8Length } from './byte-budget.ts';
import type { ChangeSummary, JobSummary, SummarizedOutcome, SummarizedPackageChange } from './document.ts';
import { MARKDOWN_BYTES, MARKDOWN_BYTES_CAP, renderMarkdown } from './markdown.ts';

const page = { pageUrl: 'https://ci.example.org/changes/7' };
const example = exampleSummary();
const onlyJob = (): JobSummary => {
  const job = example.jobs[0];
  if (job === undefined) throw new Error('the example has a job');
  return job;
};
const withJob = (changed: Partial<JobSummary>): ChangeSummary => ({
  ...example,
  jobs: [{ ...onlyJob(), ...changed }],
});

/** What a forge would read as Markdown or HTML: all but fenced blocks and code spans, by CommonMark's rules. */
const outsideOfCode = (markdown: string): string => {
  const kept: string[] = [];
  let fence: string | null = null;
  for (const line of markdown.split('\n')) {
    if (fence !== null) {
      if (/^`{3,}$/.test(line) && line.length >= fence.length) fence = null;
      continue;
    }
    fence = /^(`{3,})[^`]*$/.exec(line)?.[1] ?? null;
    // A span ends at a run of backticks of the same length; without one the run is text.
    if (fence === null) kept.push(line.replace(/(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)/g, ''));
  }
  expect(fence).toBeNull();
  return kept.join('\n');
};

const expectHarmless = (markdown: string): void => {
  const read = outsideOfCode(markdown).replace(/\]\(https:\/\/[^\s()<>]*\)/g, '');
  const ours = /<\/?(?:summary|b)>|<details(?: open)?>|<\/details>/g;
  expect(read.replace(ours, '')).not.toMatch(/[<>@`\\~!]|#\d|GH-|https?:|www\.|\]\(|\p{Cf}|(?!\n)\p{Cc}/u);
  expect(read.match(/<details(?: open)?>/g) ?? []).toHaveLength((read.match(/<\/details>/g) ?? []).length);
  expect(markdown).not.toMatch(/^\//m);
  expect(markdown.isWellFormed()).toBe(true);
};

/** In a table every row has as many cells as the head. */
const expectWholeTables = (markdown: string): void => {
  const cells = (row: string): number => row.split('|').length;
  let head: number | null = null;
  for (const line of outsideOfCode(markdown).split('\n')) {
    if (!line.startsWith('|')) head = null;
    else if (head === null) head = cells(line);
    else expect(cells(line)).toBe(head);
  }
};

const nasty = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          '</details>',
          '@everyone',
          '#123',
          '`',
          '``',
          '```',
          '````',
          '|',
          '\\',
          '\\|',
          '\n',
          '\r',
          '\u202e',
        ],
        ...[
          '[x](https://evil.example)',
          '<script>',
          '<!--',
          '\ud800',
          '/close',
          '~~~',
          '    ',
          'GH-12',
          '!7',
          '$',
        ],
        ...[
          '\u001b[31m',
          '\u200b',
          'www.evil.example',
          '**',
          '|---|',
          'é',
          '🎉',
          'https://evil.example',
          '\u0000',
        ],
      ),
      fc.string({ maxLength: 6 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));
const texts = fc.array(nasty, { maxLength: 4 });

const arbitraryChange: fc.Arbitrary<SummarizedPackageChange> = fc.record({
  attr: nasty,
  aliases: texts,
  pname: nasty,
  system: nasty,
  drvPath: nasty,
  edited: fc.boolean(),
  why: fc.option(texts),
  primary: fc.option(
    fc.oneof(
      fc.record({
        kind: fc.constant('Added' as const),
        version: nasty,
        previously: fc.constant('absent' as const),
      }),
      fc.record({
        kind: fc.constant('VersionBump' as const),
        old: nasty,
        new: fc.option(nasty),
        downgrade: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('RebuildOnly' as const), version: nasty }),
      nasty.map((message) => ({
        kind: 'Unevaluable' as const,
        failure: { kind: 'throw' as const, message, position: { file: message, line: 1, column: 2 } },
      })),
    ),
  ),
  secondary: fc.tuple(texts, texts).map(([added, removed]) => [
    { kind: 'LicenseChange' as const, old: added, new: removed },
    { kind: 'MaintainerChange' as const, added, removed },
  ]),
});

const arbitraryOutcome: fc.Arbitrary<SummarizedOutcome> = fc
  .record({
    kind: fc.constantFrom(
      'newly-failing',
      'still-failing',
      'not-built',
      'newly-unevaluable',
      'timed-out' as const,
    ),
    text: nasty,
    lines: fc.array(nasty, { maxLength: 20 }),
    evaluated: fc.boolean(),
  })
  .map(({ kind, text, lines, evaluated }) => ({
    kind,
    attr: text,
    aliases: lines.slice(0, 3),
    system: text,
    drvPath: text,
    base: 'unknowable',
    note: text,
    cause: 'network',
    reason: text,
    evaluation: evaluated ? { kind: 'throw', message: text, position: null } : null,
    unavailable: ['broken'],
    culprit: { drvPath: text, name: text, attr: null },
    logTail: lines,
    logUrl: text,
    durationMs: 1,
    substituted: false,
    reproduce: text,
  }));

const arbitrarySummary: fc.Arbitrary<ChangeSummary> = fc
  .record({
    packageChanges: fc.array(arbitraryChange, { maxLength: 30 }),
    outcomes: fc.array(arbitraryOutcome, { maxLength: 30 }),
    text: nasty,
    copies: fc.constantFrom(1, 1, 2, 20),
    jobs: fc.constantFrom(1, 1, 2, 400),
  })
  .map(({ packageChanges, outcomes, text, copies, jobs }) => {
    const many = <T>(items: readonly T[]): T[] => Array.from({ length: copies }, () => items).flat();
    const reference = { drvPath: text, name: text, attr: text };
    const job: JobSummary = {
      ...onlyJob(),
      job: text,
      packageChanges: many(packageChanges),
      outcomes: many(outcomes),
      notJudged: text,
      notices: [{ level: 'warning', about: 'build', message: text }],
      rebuildImpact: {
        systems: [{ system: text, rebuilds: 1234 }],
        kernels: [{ kernel: 'linux', rebuilds: 1234, bucket: '1001-2500' }],
        totalRebuilds: 2000,
        causeCount: 3,
        causes: [reference],
        editedAttrs: [text],
        topBlastRadius: [{ ...reference, dependents: 5 }],
      },
    };
    const change = { ...example.change, headSha: text };
    return { ...example, change, jobs: Array.from({ length: jobs }, () => job) };
  });

describe('renderMarkdown', () => {
  it('answers in the first line, shows what breaks, folds what does not', () => {
    const text = renderMarkdown(example, page);
    expect(text.split('\n')[0]).toMatch(/^## ❌ Do not merge\. 2 packages newly fail/);
    expect(text).toContain('and with it 1 package that needs it: `wget`.');
    expect(text).toContain('| `openssl` (also `openssl_3`) | update | `3.5.0` → `3.6.0` |');
    expect(text).toContain('5 packages are only rebuilt');
    expect(text).not.toContain('| `git` | rebuild |');
    expectHarmless(text);
    const everything = renderMarkdown(example, { ...page, includeRebuildOnly: true, maxTopBlastRadius: 1 });
    expect(everything).toContain('| `git` | rebuild | because of `opensslSrc` |');
    expect(everything).not.toContain('| `curl` | 1 |');
  });

  it('lists as many packages as allowed and says how many are left', () => {
    const text = renderMarkdown(example, { ...page, maxPackagesListed: 2 });
    expect(text).toContain('… and 4 more packages.');
    expect(text).toContain('`jq`');
    expect(text).not.toContain('| `openssl` (also');
  });

  it('leaves out in the order of worth, and says so', () => {
    const grown = (count: number): ChangeSummary => {
      const [first] = onlyJob().packageChanges;
      if (first === undefined) throw new Error('the example has changes');
      const secondary = [
        { kind: 'LicenseChange' as const, old: ['l'.repeat(99)], new: ['m'.repeat(99)] },
        { kind: 'MaintainerChange' as const, added: ['n'.repeat(99)], removed: ['o'.repeat(99)] },
      ];
      const primary = { kind: 'Added' as const, version: '1', previously: 'absent' as const };
      const added = Array.from({ length: count }, (_, index) => ({
        ...first,
        attr: `p${index}${'é'.repeat(40)}`,
        primary,
        secondary,
      }));
      return withJob({ packageChanges: [...onlyJob().packageChanges, ...added] });
    };
    const footers = [10, 130, 250, 600].map((count) => {
      const text = renderMarkdown(grown(count), { ...page, maxPackagesListed: 1000 });
      expect(utf8Length(text)).toBeLessThanOrEqual(MARKDOWN_BYTES);
      return /_Left out here, for size: (.*)\. It is on \[the full page\]/.exec(text)?.[1];
    });
    expect(footers).toEqual([
      undefined,
      'maintainer changes',
      'maintainer changes; license changes',
      'maintainer changes; license changes; the count of packages that are only rebuilt; the list of changed packages',
    ]);
    expect(renderMarkdown(grown(600), { pageUrl: null, maxPackagesListed: 1000 })).not.toContain('full page');
  });

  it('holds its budget, reads nothing from outside as markup, and gives the same bytes twice', () => {
    fc.assert(
      fc.property(arbitrarySummary, fc.boolean(), (summary, includeRebuildOnly) => {
        const options = { ...page, includeRebuildOnly };
        const text = renderMarkdown(summary, options);
        expect(utf8Length(text)).toBeLessThanOrEqual(
          summary.jobs.length < 3 ? MARKDOWN_BYTES : MARKDOWN_BYTES_CAP,
        );
        expectHarmless(text);
        expectWholeTables(text);
        expect(renderMarkdown(summary, options)).toBe(text);
      }),
      { numRuns: 25 },
    );
  });
});
