import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Jobset } from './evaluation.ts';
import { planRebuilds, type RebuildPlan, RebuildPlanError } from './rebuild-plan.ts';
import { type EvaluatedSets, evaluateSets, type PackageSet } from './testing/package-set.ts';

const base: PackageSet = {
  src: { hash: 'hello source', hidden: true, inputs: ['curl'] },
  curl: { version: '8.0' },
  libc: { version: '2.40', recipe: 'a' },
  hello: { version: '1.0', inputs: ['libc', 'src'], aliases: ['hi'] },
  lonely: { version: '3' },
};

const plan = (before: PackageSet, after: PackageSet): { plan: RebuildPlan; sets: EvaluatedSets } => {
  const sets = evaluateSets(before, after);
  return { plan: planRebuilds(sets), sets };
};

const changesOf = ({ rows }: RebuildPlan): Record<string, string> =>
  Object.fromEntries(rows.map(({ attr, change }) => [attr, change]));

const names = ({ graph }: EvaluatedSets, ids: Iterable<number>): string[] =>
  [...ids].map((id) => graph.nameOf(id)).sort();

describe('planRebuilds', () => {
  it('follows an edit upwards, and tells it from its fallout', () => {
    const { plan: made, sets } = plan(base, { ...base, libc: { version: '2.40', recipe: 'b' } });
    expect(changesOf(made)).toEqual({
      curl: 'unchanged',
      hello: 'changed',
      hi: 'changed',
      libc: 'changed',
      lonely: 'unchanged',
    });
    expect(names(sets, made.rebuilt.nodes)).toEqual(['hello-1.0', 'libc-2.40']);
    expect(names(sets, made.rebuilt.causes)).toEqual(['libc-2.40']);
    expect(made.rootsToBuild).toEqual([sets.judgedDrv('hello'), sets.judgedDrv('libc')]);
    expect(made.rebuilt.buildCount).toBe(2);
  });

  it('sees through a fixed output: another fetcher gives every dependent another derivation and no other output', () => {
    const { plan: made, sets } = plan(base, { ...base, curl: { version: '8.1' } });
    expect(sets.judgedDrv('hello')).not.toBe(sets.baseDrv('hello'));
    expect(changesOf(made)).toMatchObject({ curl: 'changed', hello: 'unchanged', hi: 'unchanged' });
    expect(names(sets, made.rebuilt.nodes)).toEqual(['curl-8.1']);
  });

  it('does not ask for a new tool that only an unchanged source would be fetched with', () => {
    const hidden = { ...base, curl: { version: '8.0', hidden: true } };
    const { plan: made } = plan(hidden, { ...hidden, curl: { version: '8.1', hidden: true } });
    expect(made.rootsToBuild).toEqual([]);
    expect(made.rebuilt.buildCount).toBe(0);
  });

  it('takes a new source for a cause, although its fetcher was rebuilt as well', () => {
    const after = { ...base, curl: { version: '8.1' }, src: { ...base.src, hash: 'newer source' } };
    const { plan: made, sets } = plan(base, after);
    expect(names(sets, made.rebuilt.causes)).toEqual(['curl-8.1', 'src']);
    expect(changesOf(made)).toMatchObject({ hello: 'changed' });
  });

  it('compares floating outputs by derivation', () => {
    const before = { a: { floating: true, recipe: '1' }, b: { inputs: ['a'] }, c: { floating: true } };
    const { plan: made } = plan(before, { ...before, a: { floating: true, recipe: '2' } });
    expect(changesOf(made)).toEqual({ a: 'changed', b: 'changed', c: 'unchanged' });
    expect(made.rebuilt.buildCount).toBe(2);
  });

  it('tells what failed before from what fails now', () => {
    const before: PackageSet = {
      gone: {},
      mended: { failing: 'no' },
      newlyBroken: {},
      newlyFailing: {},
      offered: { broken: true },
      stillBroken: { broken: true },
      stillFailing: { failing: 'x' },
      worse: { broken: true },
    };
    const { plan: made } = plan(before, {
      fresh: { failing: 'new' },
      mended: {},
      newlyBroken: { broken: true },
      newlyFailing: { failing: 'oh' },
      offered: {},
      stillBroken: { broken: true },
      stillFailing: { failing: 'y' },
      worse: { failing: 'worse' },
    });
    const told = made.rows.map((row) => [row.attr, row.change, 'newly' in row ? row.newly : null]);
    expect(told).toEqual([
      ['fresh', 'unevaluable', true],
      ['gone', 'removed', null],
      ['mended', 'added', null],
      ['newlyBroken', 'unavailable', true],
      ['newlyFailing', 'unevaluable', true],
      ['offered', 'added', null],
      ['stillBroken', 'unavailable', false],
      ['stillFailing', 'unevaluable', false],
      ['worse', 'unevaluable', true],
    ]);
    expect(made.counts).toEqual({
      added: 2,
      removed: 1,
      changed: 0,
      unchanged: 0,
      unavailable: 2,
      unevaluable: 4,
    });
  });

  it('adds a name for what the base builds already without a rebuild', () => {
    const { plan: made, sets } = plan(base, { ...base, lonely: { version: '3', aliases: ['alias'] } });
    expect(changesOf(made)).toMatchObject({ alias: 'added', lonely: 'unchanged' });
    expect(made.rootsToBuild).toEqual([sets.judgedDrv('lonely')]);
    expect(made.rebuilt.buildCount).toBe(0);
  });

  it('knows what the base builds from another source of the same content, also where that source stays', () => {
    const { plan: made } = plan(base, {
      ...base,
      mirror: { hash: 'hello source', hidden: true, pname: 'src', inputs: ['libc'] },
      copy: { pname: 'hello', version: '1.0', inputs: ['libc', 'mirror'] },
    });
    expect(changesOf(made)).toMatchObject({ copy: 'added', hello: 'unchanged' });
    expect(made.rebuilt.buildCount).toBe(0);
  });

  it('refuses input that would be judged wrongly', () => {
    const sets = evaluateSets(base, base);
    const unsorted: Jobset = { job: 'packages', records: sets.base.records.toReversed() };
    const other = evaluateSets({ elsewhere: {} }, {});
    const codeOf = (make: () => unknown): string => {
      try {
        make();
      } catch (error) {
        if (error instanceof RebuildPlanError) return error.code;
      }
      return 'no error';
    };
    expect(codeOf(() => planRebuilds({ ...sets, judged: unsorted }))).toBe('REBUILD_PLAN_UNSORTED_JOBSET');
    expect(codeOf(() => planRebuilds({ ...sets, judged: other.base }))).toBe(
      'REBUILD_PLAN_UNKNOWN_DERIVATION',
    );
  });

  it('agrees with the definitions, whatever is edited', () => {
    fc.assert(
      fc.property(arbitraryEdit, ({ before, after }) => {
        const { plan: made, sets } = plan(before, after);
        const outputs = (set: PackageSet, drv: (key: string) => string): Map<string, string> =>
          new Map(Object.keys(set).map((key) => [key, outputOf(sets, drv(key))]));
        const [old, now] = [outputs(before, sets.baseDrv), outputs(after, sets.judgedDrv)];
        for (const [attr, change] of Object.entries(changesOf(made))) {
          const expected = !old.has(attr)
            ? 'added'
            : !now.has(attr)
              ? 'removed'
              : old.get(attr) === now.get(attr)
                ? 'unchanged'
                : 'changed';
          expect([attr, change]).toEqual([attr, expected]);
        }
        const known = new Set(old.values());
        // Every key is an attribute here, so all that is new is asked for.
        const fresh = [...new Set(now.values())].filter((output) => !known.has(output));
        expect(made.rebuilt.buildCount).toBe(fresh.length);
      }),
    );
  });
});

const outputOf = ({ graph }: EvaluatedSets, path: string): string => {
  for (let id = 0; id < graph.nodeCount; id++) {
    if (graph.pathOf(id) === path) return graph.outputsOf(id)[0]?.path ?? '';
  }
  return '';
};

/** A random set whose inputs are earlier keys, and the same with some recipes, hashes and keys changed. */
const arbitraryEdit = fc
  .record({
    packages: fc.array(
      fc.record({ inputs: fc.array(fc.nat(30), { maxLength: 4 }), fixed: fc.boolean(), edit: fc.nat(9) }),
      { minLength: 1, maxLength: 25 },
    ),
  })
  .map(({ packages }) => {
    const side = (isAfter: boolean): PackageSet => {
      const set: Record<string, PackageSet[string]> = {};
      for (const [index, { inputs, fixed, edit }] of packages.entries()) {
        if (isAfter && edit === 1 && packages.every((other) => !other.inputs.includes(index))) continue;
        const recipe = isAfter && edit === 0 ? 'edited' : 'same';
        const key = `p${index}`;
        set[key] = {
          inputs: [...new Set(inputs)].filter((input) => input < index).map((input) => `p${input}`),
          recipe,
          ...(fixed ? { hash: isAfter && edit === 2 ? `${key} new` : key } : {}),
        };
      }
      return set;
    };
    return { before: side(false), after: side(true) };
  });
