// Where submodules are, by what strangers write.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { submoduleAddress } from './submodule-address.ts';

const parent = 'https://x.example/team/big.git';

it.each([
  ['https://y.example/r', 'https://y.example/r'],
  ['http://y.example/r/', 'http://y.example/r'],
  ['git@y.example:team/r.git', 'https://y.example/team/r.git'],
  ['ssh://git@y.example:22/team/r', 'https://y.example/team/r'],
  ['../small.git', 'https://x.example/team/small.git'],
  ['./in', 'https://x.example/team/big.git/in'],
  ['../../other/r', 'https://x.example/other/r'],
  ['.././../r/', 'https://x.example/r'],
  ...[
    ...['', '.', '..', '../', 'r', '/srv/r', 'file:///srv/r', 'ext::sh -c id', '-oProxyCommand=id'],
    ...[
      '--upload-pack=id',
      '../../../r',
      '../a/../../../r',
      '../a//b',
      '../a b',
      '../a\\b',
      '../a?b',
      'fd::0',
    ],
  ].map((one): [string, null] => [one, null]),
])('%j is at %j', (url, expected) => {
  expect(submoduleAddress(parent, url)).toBe(expected);
});

it('leads to a server or nowhere, and from beside it to the same one', () => {
  const word = fc.constantFrom(
    '..',
    '.',
    '/',
    '../',
    './',
    'a',
    ':',
    '@',
    '%2e%2e',
    '\\',
    ' ',
    '?',
    '#',
    '://',
    '-',
  );
  fc.assert(
    fc.property(fc.array(word), fc.boolean(), (words, isBeside) => {
      const address = submoduleAddress(parent, `${isBeside ? '../' : ''}${words.join('')}`);
      if (address === null) return;
      const { protocol, host } = new URL(address);
      expect(protocol).toMatch(/^https?:$/);
      if (isBeside) expect(host).toBe('x.example');
    }),
  );
});
