import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { repositoryUrl } from './repository-url.ts';

it('is made of the domain, the owner and the repository', () => {
  expect(repositoryUrl('GitHub.com', 'ada', 'packages')).toBe('https://github.com/ada/packages');
  expect(repositoryUrl('git.example.org:8443', 'group/sub', 'my.pkgs_2')).toBe(
    'https://git.example.org:8443/group/sub/my.pkgs_2',
  );
});

it.each([
  ['ada@example.org', 'o', 'r'],
  ['ada:secret@example.org', 'o', 'r'],
  ['example.org/x', 'o', 'r'],
  ['https://example.org', 'o', 'r'],
  ['example.org', '..', 'r'],
  ['example.org', 'o/../x', 'r'],
  ['example.org', 'o', '..'],
  ['example.org', 'o', 'r?x=1'],
  ['example.org', '', 'r'],
])('is none of %s %s %s', (domain, owner, repository) => {
  expect(repositoryUrl(domain, owner, repository)).toBeNull();
});

it('property: whatever the parts are, it has that host, that path, and nothing else', () => {
  const part = fc.oneof(fc.string(), fc.constantFrom('..', '.', 'a/b', 'x@y', 'x:1', '%2e%2e', 'a\\b', 'é'));
  fc.assert(
    fc.property(part, part, part, (domain, owner, repository) => {
      const url = repositoryUrl(domain, owner, repository);
      if (url === null) return;
      const { host, pathname, search, hash, username, protocol } = new URL(url);
      expect([protocol, pathname]).toEqual(['https:', `/${owner}/${repository}`]);
      expect([username, search, hash]).toEqual(['', '', '']);
      expect(domain.toLowerCase().replace(/:0*443$/, '')).toContain(host.replace(/:\d+$/, ''));
    }),
  );
});
