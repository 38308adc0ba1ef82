// What permissions let through, and that no name of a fork's branch opens what is kept for a branch.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPermitted, type Permissions, permitsRepository, unmergedBranch } from './permissions.ts';

const limited = (given: Partial<Permissions>): Permissions => ({
  allow_all: false,
  allowed_repos: [],
  allowed_branches: [],
  ...given,
});

describe('permissions', () => {
  it.each<[string, Partial<Permissions>, string, string | null, boolean]>([
    ['all', { allow_all: true }, 'any/repo', 'main', true],
    ['all, whatever the lists say', { allow_all: true, allowed_branches: ['main'] }, 'any/repo', null, true],
    ['none', {}, 'any/repo', 'main', false],
    ['none, for a list of branches alone', { allowed_branches: ['main'] }, 'any/repo', 'main', false],
    ['an owner', { allowed_repos: ['myorg/*'] }, 'myorg/x', 'main', true],
    ['a repository, whatever the case', { allowed_repos: ['MyOrg/Repo'] }, 'MYORG/repo', 'main', true],
    ['not a letter that only looks so', { allowed_repos: ['kit/*'] }, '\u212ait/x', 'main', false],
    ['not one that begins so', { allowed_repos: ['myorg/*'] }, 'myorg-evil/x', 'main', false],
    ['not one that ends so', { allowed_repos: ['myorg/*'] }, 'evil/myorg/x', 'main', false],
    ['not what is deeper', { allowed_repos: ['myorg/*'] }, 'myorg/x/y', 'main', false],
    ['what is deeper', { allowed_repos: ['myorg/**'] }, 'myorg/x/y', 'main', true],
    ['every repository', { allowed_repos: ['*'] }, 'a/b', 'main', true],
    ['not nothing', { allowed_repos: ['*'] }, '', 'main', false],
    ['a branch', { allowed_repos: ['*'], allowed_branches: ['release/*'] }, 'a/b', 'release/1', true],
    ['not another', { allowed_repos: ['*'], allowed_branches: ['release/*'] }, 'a/b', 'releases/1', false],
    [
      'not what is deeper in a branch',
      { allowed_repos: ['*'], allowed_branches: ['release/*'] },
      'a/b',
      'release/1/x',
      false,
    ],
    ['branches differ by case', { allowed_repos: ['*'], allowed_branches: ['main'] }, 'a/b', 'Main', false],
    ['not a ref', { allowed_repos: ['*'], allowed_branches: ['main'] }, 'a/b', 'refs/heads/main', false],
    [
      'no branch where one is asked',
      { allowed_repos: ['*'], allowed_branches: ['main'] },
      'a/b',
      null,
      false,
    ],
    ['no branch where none is asked', { allowed_repos: ['*'] }, 'a/b', null, true],
    ['not an empty branch', { allowed_repos: ['*'], allowed_branches: ['*'] }, 'a/b', '', false],
    [
      'pull requests that are named',
      { allowed_repos: ['*'], allowed_branches: ['pull/*'] },
      'a/b',
      unmergedBranch(7),
      true,
    ],
  ])('%s', (_, given, repository, branch, permitted) => {
    expect(isPermitted(limited(given), { repository, branch })).toBe(permitted);
  });

  it('may be asked of a repository alone', () => {
    const permissions = limited({ allowed_repos: ['myorg/*'], allowed_branches: ['main'] });
    expect(['MyOrg/x', 'myorg-evil/x', ''].map((name) => permitsRepository(permissions, name))).toEqual([
      true,
      false,
      false,
    ]);
  });
});

it('no name of an unmerged branch opens what is kept for branches', () => {
  const names = fc.oneof(
    fc.constantFrom(
      'main',
      'refs/heads/main',
      '*',
      '**',
      'mаin',
      'ｍain',
      '',
      '/main',
      '../main',
      'main\n',
      'heads/main',
      'release/1',
      'main\0',
      '.',
    ),
    fc.string({ unit: fc.integer({ min: 0, max: 0xd7ff }).map((code) => String.fromCodePoint(code)) }),
    fc.nat(),
  );
  const kept = fc.constantFrom(
    ['main'],
    ['main', 'release/*'],
    ['*ain'],
    ['release/**'],
    ['refs/heads/*'],
    ['m*n'],
  );
  fc.assert(
    fc.property(names, kept, (name, branches) => {
      const permissions = limited({ allowed_repos: ['*'], allowed_branches: branches });
      expect(isPermitted(permissions, { repository: 'a/b', branch: unmergedBranch(name) })).toBe(false);
    }),
    { numRuns: 300 },
  );
});
