// Whatever address git takes for a repository is the one name under which it may be private.
import { expect, it } from 'vitest';
import { plainNameOf } from './repositories.ts';

it.each([
  'github.com/octo/one',
  'https://github.com/octo/one',
  'https://github.com:443/octo/one.git',
  'https://someone@github.com//octo/one/',
  'http://github.com:80/octo/one',
  'ssh://git@github.com:22/octo/one.git',
  'ssh://git@github.com./octo/one',
  'git+ssh://git@github.com/octo/one',
  'git://github.com/octo/one',
  'git@github.com:octo/one.git',
  'git@github.com:/octo/one',
  'github.com:octo/one',
])('%s is the repository of that name', (address) => {
  expect(plainNameOf(address)).toBe('github.com/octo/one');
});

it.each([
  ['https://github.com:8443/octo/one', 'github.com:8443/octo/one'],
  ['github.com:8443/octo/one', 'github.com:8443/octo/one'],
  ['git@github.com:8443/one', 'github.com/8443/one'],
  ['/srv/git/a:b.git', '/srv/git/a:b'],
  ['github.com/#5/set-aside', 'github.com/#5/set-aside'],
])('%s stays what it is', (address, name) => {
  expect(plainNameOf(address)).toBe(name);
});
