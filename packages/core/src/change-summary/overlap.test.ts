import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyPackageChanges } from '../package-changes.ts';
import { planRebuilds, type RebuildPlan } from '../rebuild-plan.ts';
import { evaluateSets, type PackageSet, type PackageSpec, testNameRules } from '../testing/package-set.ts';
import { judgeJobset } from '../verdict.ts';
import { buildChangeSummary } from './build.ts';
import type { ChangeSummary } from './document.ts';
import { summariesOverlap } from './overlap.ts';

const summarize = (before: PackageSet, after: PackageSet, lists = true) => {
  const sets = evaluateSets(before, after);
  const plan = planRebuilds(sets);
  const succeeded = () => ({ state: 'succeeded' }) as const;
  const summary = buildChangeSummary({
    change: {
      repository: 'example/packages',
      number: 1,
      baseSha: 'b'.repeat(40),
      headSha: 'a'.repeat(40),
      judgedTree: 'c'.repeat(40),
      merged: true,
    },
    jobs: [
      {
        kind: 'judged',
        plan,
        graph: sets.graph,
        verdict: judgeJobset({
          plan,
          outcomes: { judged: succeeded, base: succeeded },
          allowEvalFailures: true,
        }),
        packageChanges: lists ? classifyPackageChanges(plan, testNameRules) : [],
        impact: null,
        source: null,
        sizes: null,
        sizeCheck: null,
        notices: [],
      },
    ],
    wide: null,
    notices: [],
  });
  return { plan, summary };
};

/** What the plan says of attributes that are not what they were. */
const differences = ({ rows }: RebuildPlan): Set<string> =>
  new Set(
    rows
      .filter((row) => row.change !== 'unchanged' && (!('newly' in row) || row.newly))
      .map(({ attr }) => attr),
  );

const names = ['a', 'b', 'c', 'd', 'e'] as const;
/** `inputs` lead to later names only. */
const specOf = (at: number): fc.Arbitrary<PackageSpec> =>
  fc.record(
    {
      recipe: fc.constantFrom('1', '2'),
      inputs: fc.subarray(names.slice(at + 1)),
      failing: fc.constantFrom('no such attribute'),
      broken: fc.constant(true),
      hidden: fc.constant(true),
      aliases: fc.constantFrom([`${names[at]}_alias`]),
    },
    { requiredKeys: ['recipe'] },
  );
const packageSet: fc.Arbitrary<PackageSet> = fc
  .tuple(...names.map((_, at) => specOf(at)))
  .map((specs) =>
    Object.fromEntries(specs.map((spec, at): [string, PackageSpec] => [names[at] ?? '', spec])),
  );
/** The same set with some packages done anew. */
const edited = (set: PackageSet) =>
  fc.tuple(packageSet, fc.subarray([...names], { minLength: 1, maxLength: 2 })).map(([other, which]) => ({
    ...set,
    ...Object.fromEntries(which.map((name): [string, PackageSpec] => [name, other[name] ?? {}])),
  }));
const twoEdits = packageSet.chain((set) => fc.tuple(fc.constant(set), edited(set), edited(set)));

describe('summariesOverlap', () => {
  it('holds whenever the plans differ from their bases in the same attribute', () => {
    const seen: boolean[] = [];
    fc.assert(
      fc.property(twoEdits, fc.boolean(), ([set, one, other], lists) => {
        const [first, second] = [summarize(set, one, lists), summarize(set, other, lists)];
        const overlap = summariesOverlap(first.summary, second.summary);
        expect(summariesOverlap(second.summary, first.summary)).toBe(overlap);
        const others = differences(second.plan);
        const meet = [...differences(first.plan)].some((attr) => others.has(attr));
        expect(overlap || !meet).toBe(true);
        seen.push(overlap);
      }),
      { numRuns: 600 },
    );
    const met = seen.filter((overlap) => overlap).length;
    expect([met > 15, seen.length - met > 15]).toEqual([true, true]);
  });

  it('lets packages pass that have nothing to do with each other, and what neither changed', () => {
    const set: PackageSet = {
      libc: { recipe: '1' },
      curl: { recipe: '1', inputs: ['libc'] },
      jq: { recipe: '1' },
      parser: { failing: 'on both sides' },
      unfree: { unfree: 'refused' },
    };
    const curl = summarize(set, { ...set, curl: { recipe: '2', inputs: ['libc'] } }).summary;
    const jq = summarize(set, { ...set, jq: { recipe: '2' } }).summary;
    const libc = summarize(set, { ...set, libc: { recipe: '2' } }).summary;
    const nothing = summarize(set, set).summary;
    expect(summariesOverlap(curl, jq)).toBe(false);
    expect(summariesOverlap(curl, libc)).toBe(true);
    expect([curl, jq, libc, nothing].some((one) => summariesOverlap(one, nothing))).toBe(false);
  });

  it('takes an evaluation that failed for any difference, and one that was not needed for none', () => {
    const set: PackageSet = { jq: { recipe: '1' } };
    const jq = summarize(set, { jq: { recipe: '2' } }).summary;
    const unjudged = (conclusion: 'success' | 'failure' | 'neutral', job = 'packages'): ChangeSummary =>
      buildChangeSummary({
        change: jq.change,
        jobs: [{ kind: 'not-judged', job, conclusion, reason: 'because', notices: [] }],
        wide: null,
        notices: [],
      });
    const [failed, untouched] = [unjudged('failure'), unjudged('success')];
    expect(summariesOverlap(failed, jq)).toBe(true);
    expect(summariesOverlap(failed, failed)).toBe(true);
    expect(summariesOverlap(failed, untouched)).toBe(false);
    expect(summariesOverlap(untouched, jq)).toBe(false);
    expect(summariesOverlap(unjudged('failure', 'another job'), jq)).toBe(false);
    expect(summariesOverlap(unjudged('neutral'), jq)).toBe(false);
  });
});
