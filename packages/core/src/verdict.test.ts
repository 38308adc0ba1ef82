import { describe, expect, it } from 'vitest';
import type { AttrOutcome } from './attr-outcome.ts';
import type { DrvPath } from './ids.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { evaluateSets, type PackageSet } from './testing/package-set.ts';
import { basesNeeded, culpritsOfNewFailures, judgeJobset, type Verdict } from './verdict.ts';

const ok: AttrOutcome = { state: 'succeeded' };
const failed: AttrOutcome = { state: 'failed', cause: 'builder-exit' };
const unknown: AttrOutcome = { state: 'unknown' };

interface Story {
  readonly before: PackageSet;
  readonly after: PackageSet;
  /** By attribute; what is not named succeeded. */
  readonly judged?: Readonly<Record<string, AttrOutcome>>;
  readonly base?: Readonly<Record<string, AttrOutcome>>;
  readonly allowEvalFailures?: boolean;
}

const judge = (
  story: Story,
): {
  verdict: Verdict;
  needed: readonly string[];
  culprits: readonly string[];
  kinds: Record<string, string>;
} => {
  const sets = evaluateSets(story.before, story.after);
  const plan = planRebuilds(sets);
  const look = (given: Story['judged'], drvOf: (key: string) => string) => {
    const byPath = new Map(Object.entries(given ?? {}).map(([key, outcome]) => [drvOf(key), outcome]));
    return (path: string): AttrOutcome => byPath.get(path) ?? ok;
  };
  const outcomes = { judged: look(story.judged, sets.judgedDrv), base: look(story.base, sets.baseDrv) };
  const verdict = judgeJobset({ plan, outcomes, allowEvalFailures: story.allowEvalFailures ?? true });
  return {
    verdict,
    needed: basesNeeded(plan, outcomes),
    culprits: culpritsOfNewFailures(plan, outcomes),
    kinds: Object.fromEntries(verdict.rows.map(({ attr, kind }) => [attr, kind])),
  };
};

/** One package whose recipe changes. */
const edited = { before: { a: { recipe: '1' } }, after: { a: { recipe: '2' } } } as const;

describe('judgeJobset', () => {
  it('does not take a refusal for the reason where the base evaluates in spite of it', () => {
    const { kinds, verdict } = judge({
      before: { hidden: { unfree: 'allowed' }, always: { unfree: 'refused' } },
      after: { hidden: { unfree: 'refused' }, always: { unfree: 'refused' } },
    });
    expect(kinds).toEqual({ hidden: 'newly-unevaluable' });
    expect(verdict.conclusion).toBe('failure');
  });

  it('learns nothing from a base whose evaluation ran out of memory or time', () => {
    const { kinds, verdict } = judge({
      before: {
        fails: { failing: 'it used too much', failingKind: 'out-of-memory' },
        throws: { failing: 'it took too long', failingKind: 'timeout' },
      },
      after: { fails: { recipe: '2' }, throws: { failing: 'a typo' } },
      judged: { fails: failed },
    });
    expect(kinds).toEqual({ fails: 'newly-failing', throws: 'newly-unevaluable' });
    expect(verdict.rows.map(({ note }) => note)).toEqual([
      'counted as newly failing: the base was not evaluated (it used too much)',
      'counted as new: the base was not evaluated (it took too long)',
    ]);
  });

  it('knows a build that fails on the base under another name', () => {
    const { kinds, verdict } = judge({
      before: { a: {} },
      after: { a: { aliases: ['b'] } },
      judged: { a: failed },
    });
    expect(kinds).toEqual({ b: 'still-failing' });
    expect(verdict.conclusion).toBe('success');
  });

  it('names what is behind each new failure, and says what earlier attempts came to', () => {
    const set = (recipe: string): PackageSet =>
      Object.fromEntries(['both', 'moody', 'user', 'worse'].map((key) => [key, { recipe }]));
    const culprit = { drvPath: '/nix/store/library.drv' as DrvPath, name: 'library' };
    const { verdict, culprits } = judge({
      before: set('1'),
      after: set('2'),
      judged: {
        both: failed,
        moody: { ...ok, flaky: true, attempts: 'failed once, then built' },
        user: { state: 'dependency-failed', cause: 'builder-exit', culprit },
        worse: { ...failed, attempts: 'failed twice' },
      },
      base: { both: failed, worse: { state: 'not-built' } },
    });
    const worse = verdict.rows.find(({ attr }) => attr === 'worse');
    expect(culprits).toEqual([culprit.drvPath, worse?.drvPath]);
    expect(worse?.note).toBe('counted as newly failing: the base was not built; failed twice');
    expect(verdict.rows.find(({ attr }) => attr === 'moody')).toMatchObject({
      kind: 'flaky',
      note: 'failed once, then built',
    });
  });

  it('weighs each failure against the base', () => {
    const keys = ['better', 'both', 'fine', 'flaky', 'unsure', 'worse'];
    const set = (recipe: string): PackageSet => Object.fromEntries(keys.map((key) => [key, { recipe }]));
    const { verdict, kinds, needed } = judge({
      before: { ...set('1'), same: {} },
      after: { ...set('2'), same: {}, fresh: {}, freshFailing: {} },
      judged: {
        both: failed,
        unsure: failed,
        worse: failed,
        freshFailing: failed,
        flaky: { state: 'succeeded', flaky: true },
      },
      base: { better: failed, both: failed, unsure: unknown },
    });
    expect(kinds).toEqual({
      better: 'newly-succeeding',
      both: 'still-failing',
      fine: 'still-succeeding',
      flaky: 'flaky',
      fresh: 'newly-succeeding',
      freshFailing: 'newly-failing',
      unsure: 'failing-base-unknown',
      worse: 'newly-failing',
    });
    expect(verdict.conclusion).toBe('pending');
    expect(verdict.unchanged).toBe(1);
    expect(needed).toHaveLength(1);
    expect(verdict.rows.slice(0, 2).map(({ attr }) => attr)).toEqual(['freshFailing', 'worse']);
  });

  it.each([
    ['success', ok, ok, 'still-succeeding'],
    ['failure', failed, ok, 'newly-failing'],
    ['success', failed, failed, 'still-failing'],
    ['pending', failed, unknown, 'failing-base-unknown'],
    ['pending', unknown, ok, 'in-progress'],
    ['pending', { state: 'interrupted', cause: 'scheduler-death' }, ok, 'in-progress'],
    ['failure', { state: 'interrupted', cause: 'out-of-memory' }, ok, 'newly-failing'],
    ['timed-out', { state: 'interrupted', cause: 'max-duration' }, ok, 'timed-out'],
    ['timed-out', { state: 'dependency-failed', cause: 'timeout' }, ok, 'timed-out'],
    ['cancelled', { state: 'interrupted', cause: 'cancelled' }, ok, 'cancelled'],
    ['cancelled', { state: 'dependency-failed', cause: 'cancelled' }, ok, 'cancelled'],
    ['neutral', { state: 'unsatisfiable', reason: 'no builder for x' }, ok, 'not-built'],
    ['neutral', { state: 'not-built', reason: 'no space' }, ok, 'not-built'],
    ['action-required', { state: 'not-built', reason: 'wide', awaitsApproval: true }, ok, 'not-built'],
    // What cannot be known counts against the change, and is said.
    ['failure', failed, { state: 'not-built', reason: 'no space' }, 'newly-failing'],
    ['failure', failed, { state: 'interrupted', cause: 'timeout' }, 'newly-failing'],
    ['failure', failed, { state: 'failed', cause: 'network' }, 'newly-failing'],
    [
      'success',
      { state: 'failed', cause: 'network' },
      { state: 'failed', cause: 'network' },
      'still-failing',
    ],
  ] satisfies [string, AttrOutcome, AttrOutcome, string][])(
    'is %s for %j against %j',
    (conclusion, judged, base, kind) => {
      const { verdict, kinds } = judge({ ...edited, judged: { a: judged }, base: { a: base } });
      expect([verdict.conclusion, kinds['a']]).toEqual([conclusion, kind]);
      const isSaid = verdict.rows[0]?.note !== null;
      expect(isSaid).toBe(verdict.rows[0]?.base === 'unknowable' && kind === 'newly-failing');
    },
  );

  it('lets only new evaluation failures fail the gate, unless none is allowed', () => {
    const still = { before: { a: { failing: 'x' } }, after: { a: { failing: 'y' } } };
    expect(judge(still).verdict.conclusion).toBe('success');
    expect(judge({ ...still, allowEvalFailures: false }).verdict.conclusion).toBe('failure');
    const newly = { before: { a: {} }, after: { a: { failing: 'y' } } };
    expect(judge(newly).verdict.conclusion).toBe('failure');
    expect(judge(newly).kinds).toEqual({ a: 'newly-unevaluable' });
  });

  it('never blames a package for being refused by its own meta, and blames unbreaking it when it fails', () => {
    const refused = judge({
      before: { a: {}, b: { broken: true } },
      after: { a: { broken: true }, b: { broken: true } },
    });
    expect(refused.verdict.conclusion).toBe('success');
    expect(refused.kinds).toEqual({ a: 'unavailable' });
    expect(refused.verdict.counts.unavailable).toBe(2);
    const unbroken = judge({ before: { a: { broken: true } }, after: { a: {} }, judged: { a: failed } });
    expect(unbroken.kinds).toEqual({ a: 'newly-failing' });
    const mended = judge({ before: { a: { failing: 'x' } }, after: { a: {} }, judged: { a: failed } });
    expect(mended.kinds).toEqual({ a: 'still-failing' });
  });

  it('concludes each system for itself and counts names of one derivation once', () => {
    const set = (recipe: string): PackageSet => ({
      linux: { recipe, aliases: ['other'] },
      mac: { recipe, system: 'aarch64-darwin' },
    });
    const { verdict } = judge({
      before: set('1'),
      after: set('2'),
      judged: { mac: { state: 'unsatisfiable', reason: 'no builder offers aarch64-darwin' } },
    });
    expect(verdict.systems).toEqual([
      { system: 'aarch64-darwin', conclusion: 'neutral' },
      { system: 'x86_64-linux', conclusion: 'success' },
    ]);
    expect(verdict.counts['still-succeeding']).toBe(1);
    expect(verdict.rows.find(({ attr }) => attr === 'linux')?.aliases).toEqual(['other']);
  });
});
