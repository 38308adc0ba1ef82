import type { ChangeSummary as CoreChangeSummary } from '@eka-ci/core/change-summary/document';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { ChangeSummary } from './change-summary.ts';

/** The core's documents are immutable, what a parser gives is not: nothing else may differ. */
type Mutable<T> = T extends object ? { -readonly [Key in keyof T]: Mutable<T[Key]> } : T;

describe('ChangeSummary', () => {
  it('is the core document, neither more nor less', () => {
    expectTypeOf<ChangeSummary>().toEqualTypeOf<Mutable<CoreChangeSummary>>();
  });

  it('takes what the core builds, and gives it back whole', () => {
    const summary = exampleSummary();
    expect(ChangeSummary.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
  });

  it('refuses a document of another version', () => {
    expect(ChangeSummary.safeParse({ ...exampleSummary(), schemaVersion: 2 }).success).toBe(false);
  });
});
