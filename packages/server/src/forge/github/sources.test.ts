// Addresses that lock files hold, as GitHub would understand them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findGithubSource, type GithubUrls } from './sources.ts';

const publicUrls: GithubUrls = { webUrl: 'https://github.com', apiUrl: 'https://api.github.com' };
const enterprise: GithubUrls = { webUrl: 'https://ghe.example', apiUrl: 'https://ghe.example/api/v3' };
const find = (url: string, urls = publicUrls) => findGithubSource(urls, url);

describe('an address', () => {
  const archive = { repository: 'o/r', of: 'archive' };
  it.each([
    ['https://github.com/o/r', { repository: 'o/r', of: 'repository', url: 'https://github.com/o/r.git' }],
    ['https://GitHub.com/O/r.js.git/', { repository: 'O/r.js', url: 'https://github.com/O/r.js.git' }],
    [
      'https://github.com/o/r/archive/abc.tar.gz',
      { ...archive, url: 'https://api.github.com/repos/o/r/tarball/abc' },
    ],
    [
      'https://github.com/o/r/archive/refs/tags/v1.0.tar.gz',
      { ...archive, url: 'https://api.github.com/repos/o/r/tarball/refs/tags/v1.0' },
    ],
    [
      'https://api.github.com/repos/o/r/tarball/v1',
      { ...archive, url: 'https://api.github.com/repos/o/r/tarball/v1' },
    ],
    [
      'https://codeload.github.com/o/r/tar.gz/abc',
      { ...archive, url: 'https://api.github.com/repos/o/r/tarball/abc' },
    ],
    [
      'https://codeload.github.com/o/r/legacy.tar.gz/abc',
      { ...archive, url: 'https://api.github.com/repos/o/r/tarball/abc' },
    ],
  ])('%s is of a repository', (url, expected) => {
    expect(find(url)).toMatchObject(expected);
  });

  it('of an Enterprise server is of that', () => {
    const url = 'https://ghe.example/api/v3/repos/o/r/tarball/abc';
    for (const one of [url, 'https://ghe.example/o/r/archive/abc.tar.gz']) {
      expect(find(one, enterprise)).toEqual({ repository: 'o/r', of: 'archive', url });
      expect(find(one)).toBeNull();
    }
    expect(find('https://github.com/o/r', enterprise)).toBeNull();
  });

  it.each([
    ...[
      '',
      'github.com/o/r',
      'ssh://git@github.com/o/r',
      'https://u:p@github.com/o/r',
      'https://github.com:444/o/r',
    ],
    ...[
      'https://github.com.evil.example/o/r',
      'https://github.com/o',
      'https://github.com/o/r/x',
      'https://github.com/o/..',
    ],
    ...[
      'https://github.com/o/r/archive/%2e%2e%2f%2e%2e%2fx%2ftarball%2fy.tar.gz',
      'https://github.com/o/r/archive/.tar.gz',
    ],
    ...[
      'https://github.com/o/r/archive/a%2f%2fb.tar.gz',
      'https://github.com/o/r/archive/a%00.tar.gz',
      'https://github.com/%zz/r',
    ],
    ...[
      'https://github.com/o/r?x=1',
      'https://api.github.com/user',
      'https://github.com/o/r/releases/download/v1/x.tar.gz',
    ],
  ])('%j is of none', (url) => {
    expect(find(url)).toBeNull();
  });
});

it('leads to the repository that it is said to be of, and to nothing beside it', () => {
  const part = fc.constantFrom(
    'o',
    'r',
    '..',
    '.',
    '%2e',
    '%2f',
    '%5c',
    '\\',
    '//',
    '?',
    '#',
    '@',
    ':',
    'archive',
    '.git',
    'x.tar.gz',
    'É',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const source = find(`https://github.com/${parts.join('/')}`);
      if (source === null) return;
      expect(source.repository).toMatch(/^[\w-]+\/[\w.-]+$/);
      const at =
        source.of === 'archive' ? `/repos/${source.repository}/tarball/` : `/${source.repository}.git`;
      expect(new URL(source.url).pathname.startsWith(at)).toBe(true);
    }),
  );
});
