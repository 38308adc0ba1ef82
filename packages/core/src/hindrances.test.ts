import { describe, expect, it } from 'vitest';
import type { AttrOutcome } from './attr-outcome.ts';
import { findHindrances } from './hindrances.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { evaluateSets } from './testing/package-set.ts';

const sets = evaluateSets(
  { lib: { recipe: '1' }, a: { recipe: '1', inputs: ['lib'] }, b: { recipe: '1' }, c: { recipe: '1' } },
  { lib: { recipe: '2' }, a: { recipe: '1', inputs: ['lib'] }, b: { recipe: '2' }, c: { recipe: '1' } },
);
const plans = [planRebuilds(sets), planRebuilds(sets)];
const lib = { drvPath: sets.judgedDrv('lib'), name: 'lib' };
const of = (outcomes: Readonly<Record<string, AttrOutcome>>) => {
  const byPath = new Map(Object.entries(outcomes).map(([key, outcome]) => [sets.judgedDrv(key), outcome]));
  const judged = (path: string): AttrOutcome => byPath.get(path as never) ?? { state: 'succeeded' };
  return findHindrances({ plans, outcomes: { judged }, graph: sets.graph });
};

describe('hindrances', () => {
  it('are none where all went well', () => {
    expect(of({})).toEqual({ failures: [], unsatisfiable: [], awaitsApproval: false });
  });

  it('name what failed by itself, once, also where only its dependents were asked for', () => {
    const failed: AttrOutcome = { state: 'failed', cause: 'builder-exit' };
    const above: AttrOutcome = { state: 'dependency-failed', cause: 'builder-exit', culprit: lib };
    const slow: AttrOutcome = { state: 'interrupted', cause: 'timeout' };
    expect(of({ a: above, lib: failed, b: slow }).failures.toSorted()).toEqual(
      [lib.drvPath, sets.judgedDrv('b')].toSorted(),
    );
    expect(of({ a: above }).failures).toEqual([lib.drvPath]);
    expect(of({ b: { state: 'interrupted', cause: 'cancelled' } }).failures).toEqual([]);
  });

  it('tell what no builder had, each kind once, and nothing of what may never be built', () => {
    const unsatisfiable: AttrOutcome = { state: 'unsatisfiable', reason: 'no builder' };
    const { unsatisfiable: asked } = of({ lib: unsatisfiable, a: { ...unsatisfiable, culprit: lib } });
    expect(asked).toEqual([{ system: 'x86_64-linux', requiredFeatures: [], fixedOutput: false }]);
    expect(of({ b: { state: 'not-built', reason: 'builds were not asked for' } }).unsatisfiable).toEqual([]);
  });

  it('tell of an approval that is waited for', () => {
    const held: AttrOutcome = { state: 'not-built', reason: 'wide', awaitsApproval: true };
    expect(of({ b: held })).toMatchObject({ awaitsApproval: true, failures: [] });
  });
});
