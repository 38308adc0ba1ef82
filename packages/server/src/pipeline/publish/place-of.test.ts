// Where changes are, for permissions: whatever their authors called their branches.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isPermitted } from '../../config/permissions.ts';
import type { ChangeKind } from '../../database/database.ts';
import { createFakeHostedForge } from '../../forge/hosted-forge.fake.ts';
import { placeOf } from './place-of.ts';

const forge = createFakeHostedForge('forge.example.org');
const change = (kind: ChangeKind, more: { repository?: string; number?: number; branch?: string } = {}) => ({
  ...{ kind, repository: 'owner/set', number: 7, branch: 'topic', ...more },
});

it('knows only a baseline on its branch, and nothing of what somebody asked for by hand', () => {
  const repository = 'owner/set';
  const unmerged = { repository, branch: 'pull/7', isOnBranch: false };
  expect(placeOf([], change('baseline', { number: 0, branch: 'main' }))).toEqual({
    ...{ repository, branch: 'main', isOnBranch: true },
  });
  expect(placeOf([], change('branch', { branch: 'main' }))).toEqual(unmerged);
  expect(placeOf([], change('offered', { branch: 'pull/7' }))).toEqual(unmerged);
  expect(placeOf([], change('group', { number: 0, branch: 'main' }))).toEqual({
    ...{ repository, branch: 'pull/merge-queue', isOnBranch: false },
  });
  expect(placeOf([], change('submitted', { branch: 'main' }))).toBeNull();
});

it('goes by the name that the forge has for a repository', () => {
  const hosted = change('baseline', { repository: 'forge.example.org/owner/set', branch: 'main' });
  expect(placeOf([forge], hosted)?.repository).toBe('owner/set');
  // Of a forge that is configured no more, or of a plain repository: no pattern of owner/repo is meant for it.
  expect(placeOf([], hosted)?.repository).toBe('forge.example.org/owner/set');
});

it('property: no name of a branch brings what waits to be merged to a cache of base branches', () => {
  const permissions = {
    allow_all: false,
    allowed_repos: ['owner/*'],
    allowed_branches: ['main', 'release/*'],
  };
  const branches = fc.oneof(fc.constantFrom('main', 'release/1', 'pull/main', 'heads/main', ''), fc.string());
  const kinds = fc.constantFrom<ChangeKind>('branch', 'offered', 'group', 'submitted');
  fc.assert(
    fc.property(kinds, branches, fc.nat(), (kind, branch, number) => {
      const place = placeOf([forge], change(kind, { branch, number }));
      expect(place !== null && isPermitted(permissions, place)).toBe(false);
    }),
  );
});
