import { expect, it } from 'vitest';
import { findServedName } from './repository-address.ts';

const hosted = [
  { kind: 'github' as const, host: 'github.com' },
  { kind: 'github' as const, host: 'github.example.org' },
];
const served = { repositories: [{ name: 'owner/set' }], hosted };
const find = (forge: string, owner: string, name: string) => findServedName({ forge, owner, name }, served);

it('finds what is configured by its name, and nothing else of git', () => {
  expect(find('git', 'owner', 'set')).toBe('owner/set');
  expect(find('git', 'owner', 'other')).toBeNull();
  // The whole name of a hosted one is no name of a configured one.
  expect(find('git', 'github.com/owner', 'set')).toBeNull();
});

it('finds a hosted one by the kind of its forge, or by its host', () => {
  expect(find('github', 'owner', 'set')).toBe('github.com/owner/set');
  expect(find('GitHub.com', 'owner', 'set')).toBe('github.com/owner/set');
  expect(find('github.example.org', 'owner', 'set')).toBe('github.example.org/owner/set');
  expect(find('gitlab', 'owner', 'set')).toBeNull();
  expect(findServedName({ forge: 'github', owner: 'o', name: 's' }, { ...served, hosted: [] })).toBeNull();
});

it('finds one under the name that it has now', () => {
  const nameNow = (host: string, name: string) =>
    host === 'github.com' && ['owner/set', 'owner/old'].includes(name.toLowerCase()) ? 'Owner/Set' : null;
  const now = (forge: string, name: string) =>
    findServedName({ forge, owner: 'OWNER', name }, { ...served, nameNow });
  expect(now('github', 'set')).toBe('github.com/Owner/Set');
  expect(now('github.com', 'Old')).toBe('github.com/Owner/Set');
  expect(now('github.example.org', 'old')).toBe('github.example.org/OWNER/old');
});
