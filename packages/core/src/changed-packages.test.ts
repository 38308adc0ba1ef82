import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  findChangedPackages,
  type JobPackages,
  mayAnswerForAll,
  packagesWithout,
} from './changed-packages.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { evaluateSets, type PackageSet, type PackageSpec } from './testing/package-set.ts';

const judge = (base: PackageSet, judged: PackageSet): JobPackages => {
  const sets = evaluateSets(base, judged);
  return findChangedPackages(planRebuilds(sets), sets.graph);
};
const maintainedBy =
  (id: number) =>
  ({ maintainerIds }: { readonly maintainerIds: readonly number[] }): boolean =>
    maintainerIds.includes(id);
const answers = (base: PackageSet, judged: PackageSet, paths: readonly string[], id = 1): boolean =>
  mayAnswerForAll([judge(base, judged)], paths, maintainedBy(id));

const fileOf = (name: string): string => `pkgs/${name}/package.nix`;
const packageOf = (
  name: string,
  maintainerIds: readonly number[],
  inputs: readonly string[] = [],
): PackageSpec => ({
  version: '1',
  inputs,
  maintainerIds,
  position: `${fileOf(name)}:12`,
});
const bumped = (set: PackageSet, names: readonly string[], more: PackageSpec = {}): PackageSet => ({
  ...set,
  ...Object.fromEntries(names.map((name) => [name, { ...set[name], version: '2', ...more }])),
});

const nobodysPaths = [
  'README.md',
  'default.nix',
  'lib/shared.nix',
  'pkgs/shared.nix',
  '.github/workflows/ci.yml',
  '.gitlab-ci.yml',
  'pkgs/a/sub/package.nix',
  'pkgs/a/.envrc',
  'pkgs/unknown/package.nix',
] as const;

const names = ['a', 'b', 'c', 'd', 'e'] as const;
/** Each may need those before it. */
const someSet = fc
  .tuple(...names.map((_, index) => fc.tuple(fc.subarray([1, 2, 3]), fc.subarray(names.slice(0, index)))))
  .map(
    (specs): PackageSet =>
      Object.fromEntries(
        specs.map(([ids, inputs], index) => {
          const name = names[index] ?? '';
          return [name, packageOf(name, ids, inputs)] as const;
        }),
      ),
  );
const someChange = fc.record({ set: someSet, edited: fc.subarray([...names], { minLength: 1 }) });

describe('who may answer for all that a change does', () => {
  it('is exactly who maintains every package that was edited, and none but its causes count', () => {
    fc.assert(
      fc.property(someChange, ({ set, edited }) => {
        const packages = judge(set, bumped(set, edited));
        const below = (name: string): readonly string[] =>
          (set[name]?.inputs ?? []).flatMap((input) => [input, ...below(input)]);
        const causes = edited.filter(
          (name) => !below(name).some((input) => edited.some((one) => one === input)),
        );
        expect(packages.changed.map(({ attr }) => attr)).toEqual(causes);
        const paths = causes.map(fileOf);
        for (const id of [1, 2, 3]) {
          const maintainsAll = causes.every((name) => set[name]?.maintainerIds?.includes(id));
          expect(mayAnswerForAll([packages], paths, maintainedBy(id))).toBe(maintainsAll);
        }
      }),
    );
  });

  it('is nobody where anything else is touched, alone or beside their own', () => {
    fc.assert(
      fc.property(someChange, fc.constantFrom(...nobodysPaths), ({ set, edited }, path) => {
        const everywhere = Object.fromEntries(
          Object.entries(set).map(([name, spec]) => [name, { ...spec, maintainerIds: [1] }]),
        );
        const judged = bumped(everywhere, edited);
        expect(answers(everywhere, judged, [...edited.map(fileOf), path])).toBe(false);
        expect(answers(everywhere, judged, [path])).toBe(false);
        expect(answers(everywhere, everywhere, [path])).toBe(false);
      }),
    );
  });

  it('is not told by the judged tree, whatever that says of maintainers and positions', () => {
    fc.assert(
      fc.property(someChange, fc.constantFrom(...nobodysPaths), ({ set, edited }, path) => {
        const claim = { maintainerIds: [9], position: `${path}:1` };
        for (const name of names) {
          const judged = bumped(bumped(set, edited), [name], claim);
          expect(answers(set, judged, [...edited.map(fileOf), fileOf(name)], 9)).toBe(false);
          const without = answers(set, bumped(set, edited), edited.map(fileOf));
          const withClaim = answers(set, bumped(bumped(set, edited), [name], claim), edited.map(fileOf));
          expect(withClaim && !without && !edited.some((one) => one === name)).toBe(false);
        }
      }),
    );
  });
});

describe('a package of one’s own', () => {
  const set: PackageSet = {
    mine: packageOf('mine', [1]),
    other: packageOf('other', [2]),
    flatMine: { version: '1', maintainerIds: [1], position: 'pkgs/flat/mine.nix:3' },
    flatOther: { version: '1', maintainerIds: [2], position: 'pkgs/flat/other.nix:3' },
    rooted: { version: '1', maintainerIds: [1], position: 'rooted.nix:3' },
    absolute: { version: '1', maintainerIds: [1], position: '/etc/passwd:3' },
    bare: { version: '1', maintainerIds: [1] },
  };

  it('takes its patches with it, and no other package that lies beside', () => {
    const judged = bumped(set, ['mine', 'flatMine']);
    const own = [fileOf('mine'), 'pkgs/mine/fix.patch', 'pkgs/flat/mine.nix', 'pkgs/flat/mine.patch'];
    expect(answers(set, judged, own)).toBe(true);
    expect(answers(set, judged, [...own, 'pkgs/flat/other.nix'])).toBe(false);
    expect(answers(set, bumped(set, ['rooted']), ['rooted.nix'])).toBe(true);
    expect(answers(set, bumped(set, ['rooted']), ['rooted.nix', 'flake.lock'])).toBe(false);
  });

  it('has a file in the repository, or none that anybody may touch', () => {
    expect(answers(set, bumped(set, ['absolute']), ['etc/passwd'])).toBe(false);
    expect(answers(set, bumped(set, ['absolute']), ['/etc/passwd'])).toBe(false);
    expect(answers(set, bumped(set, ['bare']), ['pkgs/bare.nix'])).toBe(false);
    expect(answers(set, bumped(set, ['mine', 'bare']), [fileOf('mine')])).toBe(true);
  });

  it('is not what was added, led elsewhere, taken away, refused, or given other maintainers', () => {
    const mine = bumped(set, ['mine']);
    const paths = [fileOf('mine')];
    expect(answers(set, mine, paths)).toBe(true);
    const { other: _, ...without } = mine;
    const hostile: readonly PackageSet[] = [
      without,
      { ...mine, fresh: packageOf('mine', [1]) },
      { ...without, bare: { ...set['bare'], aliases: ['other'] } },
      { ...mine, other: { ...set['other'], failing: 'no more' } },
      { ...mine, other: { ...set['other'], unfree: 'refused' } },
      { ...mine, other: { ...set['other'], maintainerIds: [1, 2] } },
    ];
    for (const judged of hostile) expect(answers(set, judged, paths)).toBe(false);
    // Its own may be: but to say so alone is no reason to merge it.
    const said = { ...set, mine: { ...set['mine'], maintainerIds: [1, 5] } };
    expect(answers(set, said, paths)).toBe(false);
    expect(answers(set, { ...mine, mine: { ...mine['mine'], maintainerIds: [1, 5] } }, paths)).toBe(true);
  });

  it('is nobody’s where there are too many to be listed', () => {
    const many: PackageSet = Object.fromEntries(
      Array.from({ length: 1001 }, (_, index) => [`p${index}`, packageOf(`p${index}`, [1])]),
    );
    const judged = judge(many, bumped(many, Object.keys(many)));
    expect(judged).toMatchObject({ isComplete: false });
    expect(judged.changed).toHaveLength(1000);
    expect(mayAnswerForAll([judged], [fileOf('p1')], maintainedBy(1))).toBe(false);
  });

  it('is asked about in every job', () => {
    const one = judge(set, bumped(set, ['mine']));
    const other = judge(set, bumped(set, ['other']));
    const paths = [fileOf('mine'), fileOf('other')];
    expect(mayAnswerForAll([one, other], paths, maintainedBy(1))).toBe(false);
    expect(mayAnswerForAll([one, other], paths, () => true)).toBe(true);
    expect(packagesWithout([one, other], [maintainedBy(1)])).toEqual(['other']);
    expect(packagesWithout([one, other], [maintainedBy(1), maintainedBy(2)])).toEqual([]);
    expect(packagesWithout([one, other], [])).toEqual(['mine', 'other']);
  });

  it('is known where it is only fallout', () => {
    const linked = { ...set, user: packageOf('user', [3], ['mine']) };
    const judged = judge(linked, bumped(linked, ['mine']));
    expect(judged.changed.map(({ attr }) => attr)).toEqual(['mine']);
    expect(judged.maintained).toEqual([
      ['mine', [1]],
      ['user', [3]],
    ]);
  });
});
