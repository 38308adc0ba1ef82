import { describe, expect, it } from 'vitest';
import type { Jobset } from './evaluation.ts';
import { classifyPackageChanges, type PackageChange } from './package-changes.ts';
import { planRebuilds } from './rebuild-plan.ts';
import { evaluateSets, type PackageSet, testNameRules } from './testing/package-set.ts';

const classify = (before: PackageSet, after: PackageSet): readonly PackageChange[] =>
  classifyPackageChanges(planRebuilds(evaluateSets(before, after)), testNameRules);

const primaryOf = (changes: readonly PackageChange[]) =>
  Object.fromEntries(changes.map(({ attr, primary }) => [attr, primary]));

describe('classifyPackageChanges', () => {
  it('knows every kind', () => {
    const changes = classify(
      {
        bumped: { version: '1.9' },
        called: { version: '1', pname: 'old-name' },
        dependent: { version: '1', inputs: ['bumped'] },
        failing: { version: '1' },
        gone: { version: '7' },
        lowered: { version: '2.0' },
        refused: { version: '1' },
        same: { version: '1' },
        mended: { failing: 'x' },
      },
      {
        bumped: { version: '1.10' },
        called: { version: '1', pname: 'new-name' },
        dependent: { version: '1', inputs: ['bumped'] },
        failing: { version: '1', failing: 'boom' },
        fresh: { version: '0.1' },
        lowered: { version: '1.0' },
        refused: { version: '1', broken: true },
        same: { version: '1' },
        mended: { version: '4' },
      },
    );
    expect(primaryOf(changes)).toEqual({
      bumped: { kind: 'VersionBump', old: '1.9', new: '1.10', downgrade: false },
      called: {
        kind: 'Renamed',
        old: { pname: 'old-name', version: '1' },
        new: { pname: 'new-name', version: '1' },
      },
      dependent: { kind: 'RebuildOnly', version: '1' },
      failing: { kind: 'Unevaluable', failure: { kind: 'throw', message: 'boom', position: null } },
      fresh: { kind: 'Added', version: '0.1', previously: 'absent' },
      gone: { kind: 'Removed', version: '7' },
      lowered: { kind: 'VersionBump', old: '2.0', new: '1.0', downgrade: true },
      mended: { kind: 'Added', version: '4', previously: 'unevaluable' },
      refused: { kind: 'Unavailable', reasons: ['broken'] },
    });
    expect(changes.map(({ attr }) => attr)).toEqual(changes.map(({ attr }) => attr).toSorted());
  });

  it('shows what a package says of itself beside the change, and also without one', () => {
    const changes = classify(
      {
        both: { version: '1', licenses: ['MIT'], maintainers: ['ann', 'bob'] },
        only: { licenses: ['MIT', 'BSD-3-Clause'] },
        reordered: { licenses: ['A', 'B'], maintainers: ['x', 'y'] },
      },
      {
        both: { version: '2', licenses: ['GPL-3.0-only'], maintainers: ['bob', 'cy'] },
        only: { licenses: ['MIT'] },
        reordered: { licenses: ['B', 'A'], maintainers: ['y', 'x'] },
      },
    );
    expect(changes.map(({ attr, primary, secondary }) => [attr, primary?.kind, secondary])).toEqual([
      [
        'both',
        'VersionBump',
        [
          { kind: 'LicenseChange', old: ['MIT'], new: ['GPL-3.0-only'] },
          { kind: 'MaintainerChange', added: ['cy'], removed: ['ann'] },
        ],
      ],
      ['only', undefined, [{ kind: 'LicenseChange', old: ['MIT', 'BSD-3-Clause'], new: ['MIT'] }]],
    ]);
  });

  it('invents nothing where meta cannot be read on one side', () => {
    const [change, ...others] = classify(
      { a: { version: '1', licenses: ['MIT'], pname: 'python3.11-a' } },
      { a: { version: '2', metaless: true, pname: 'python3.11-a' } },
    );
    expect(others).toEqual([]);
    expect(change?.primary?.kind).toBe('VersionBump');
    expect(change?.secondary).toEqual([]);
    // The same with a pname in meta that is not the derivation's.
    const sets = evaluateSets(
      { a: { version: '1', pname: 'python3.11-a' } },
      { a: { version: '2', metaless: true, pname: 'python3.11-a' } },
    );
    const renamed: Jobset = {
      ...sets.base,
      records: sets.base.records.map((record) =>
        record.kind === 'derivation' && record.meta !== null
          ? { ...record, meta: { ...record.meta, pname: 'a' } }
          : record,
      ),
    };
    const kinds = classifyPackageChanges(planRebuilds({ ...sets, base: renamed }), testNameRules);
    expect(kinds.map(({ primary }) => primary?.kind)).toEqual(['VersionBump']);
  });

  it('shows names of one derivation as one row', () => {
    const changes = classify(
      { zsh: { version: '1', aliases: ['shells.zsh', 'other'] } },
      { zsh: { version: '2', aliases: ['shells.zsh', 'fresh'] } },
    );
    expect(changes.map(({ attr, aliases, primary }) => [attr, aliases, primary?.kind])).toEqual([
      ['fresh', [], 'Added'],
      ['other', [], 'Removed'],
      ['shells.zsh', ['zsh'], 'VersionBump'],
    ]);
  });
});
