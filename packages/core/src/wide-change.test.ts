import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttrOutcome } from './attr-outcome.ts';
import { buildChangeSummary } from './change-summary/build.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { evaluateSets, type PackageSet } from './testing/package-set.ts';
import { judgeJobset, type Verdict } from './verdict.ts';
import { describeWide, findWide } from './wide-change.ts';

const held: AttrOutcome = { state: 'not-built', reason: 'it waits', awaitsApproval: true };
const valid: AttrOutcome = { state: 'succeeded' };

interface Package {
  readonly changes: boolean;
  readonly isValid: boolean;
  readonly breaks: boolean;
}

const packages = fc.array(
  fc.record<Package>({ changes: fc.boolean(), isValid: fc.boolean(), breaks: fc.boolean() }),
  { maxLength: 8 },
);

const setOf = (all: readonly Package[], side: 'before' | 'after'): PackageSet =>
  Object.fromEntries(
    all.map(({ changes, breaks }, index): [string, PackageSet[string]] => {
      if (side === 'after' && breaks) return [`p${index}`, { failing: 'a typo' }];
      return [`p${index}`, { recipe: side === 'after' && changes ? '2' : '1' }];
    }),
  );

const judge = (all: readonly Package[]) => {
  const sets = evaluateSets(setOf(all, 'before'), setOf(all, 'after'));
  const plan = planRebuilds(sets);
  const isLacking = (path: string): boolean =>
    all.some(({ isValid, breaks }, index) => !isValid && !breaks && sets.judgedDrv(`p${index}`) === path);
  const outcomes = {
    judged: (path: string) => (isLacking(path) ? held : valid),
    base: (): AttrOutcome => ({ state: 'unknown' }),
  };
  return { plan, graph: sets.graph, verdict: judgeJobset({ plan, outcomes, allowEvalFailures: true }) };
};

const expected = (all: readonly Package[]): Verdict['conclusion'] => {
  if (all.some(({ breaks }) => breaks)) return 'failure';
  return all.some(({ changes, isValid }) => changes && !isValid) ? 'action-required' : 'success';
};

describe('a wide change', () => {
  it('is one that takes more builds than the limit, and none where there is no limit', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.option(fc.nat(50)), (builds, limit) => {
        const isWide = limit !== null && builds > limit;
        expect(findWide(builds, limit)).toEqual(isWide ? { builds, limit } : null);
      }),
    );
    expect(describeWide({ builds: 23_456, limit: 20_000 })).toBe(
      'it takes 23,456 builds, where a change may start 20,000 by itself',
    );
  });

  it('needs somebody as long as anything is held, unless what is known is enough to fail it', () => {
    fc.assert(
      fc.property(packages, (all) => {
        const { verdict } = judge(all);
        expect(verdict.conclusion).toBe(expected(all));
        const unbuilt = verdict.rows.filter(({ kind }) => kind === 'not-built');
        expect(unbuilt.length).toBe(
          all.filter(({ changes, isValid, breaks }) => changes && !isValid && !breaks).length,
        );
      }),
    );
  });

  it('says in its headline how much it takes, and keeps that as data also where it fails', () => {
    const summaryOf = (all: readonly Package[]) => {
      const { plan, graph, verdict } = judge(all);
      return buildChangeSummary({
        change: {
          repository: null,
          number: null,
          baseSha: null,
          headSha: 'a'.repeat(40),
          judgedTree: 'b'.repeat(40),
          merged: true,
        },
        jobs: [
          {
            kind: 'judged',
            plan,
            graph,
            verdict,
            packageChanges: [],
            impact: null,
            source: null,
            sizes: null,
            sizeCheck: null,
            notices: [],
          },
        ],
        wide: { builds: 1, limit: 0 },
        notices: [],
      });
    };
    const lacking: Package = { changes: true, isValid: false, breaks: false };
    expect(summaryOf([lacking])).toMatchObject({
      conclusion: 'action-required',
      headline: 'Waits for approval: it takes 1 build, where a change may start 0 by itself.',
      wide: { builds: 1, limit: 0 },
      jobs: [{ headline: '1 package not built before the change is approved.' }],
    });
    expect(summaryOf([lacking, { ...lacking, breaks: true }])).toMatchObject({
      conclusion: 'failure',
      headline: expect.stringMatching(/^Do not merge\./) as string,
      wide: { builds: 1, limit: 0 },
    });
  });
});
