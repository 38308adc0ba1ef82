import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePathGlob } from './path-glob.ts';

/** The meaning of a pattern, word by word; takes exponential time. */
const means = (pattern: string, path: string, startsSegment = true): boolean => {
  if (startsSegment && pattern.startsWith('**/')) {
    const slash = path.indexOf('/');
    return means(pattern.slice(3), path) || (slash !== -1 && means(pattern, path.slice(slash + 1)));
  }
  const wildcard = pattern.startsWith('**') ? '**' : pattern.startsWith('*') ? '*' : '';
  if (wildcard !== '') {
    const rest = pattern.slice(wildcard.length);
    for (let taken = 0; taken <= path.length; taken++) {
      if (wildcard === '*' && path.slice(0, taken).includes('/')) break;
      if (means(rest, path.slice(taken), false)) return true;
    }
    return false;
  }
  if (pattern === '' || path === '') return pattern === path;
  return pattern[0] === path[0] && means(pattern.slice(1), path.slice(1), pattern[0] === '/');
};

describe('compilePathGlob', () => {
  it.each([
    ['doc/**', ['doc/a.md', 'doc/a/b/.c', 'doc/a\nb'], ['doc', 'docs/a', 'x/doc/a']],
    ['**/*.md', ['README.md', 'a/b/c.md', '.hidden.md'], ['README.md/x', 'a.mdx']],
    ['*.md', ['README.md', '.md'], ['a/README.md']],
    ['*', ['a', '.a'], ['a/b']],
    ['**', ['a', 'a/b'], []],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['ab', 'a/xb', 'x/a/b']],
    ['a**b', ['ab', 'a/x/b'], ['a/x/c']],
    ['/flake.lock', ['flake.lock'], ['x/flake.lock']],
    ['./doc/*', ['doc/a'], ['./doc/a']],
    ['[ab]{c,d}?!.+$', ['[ab]{c,d}?!.+$'], ['ac!']],
  ])('%s', (pattern, matching, others) => {
    const matches = compilePathGlob(pattern);
    expect(matching.filter((path) => !matches(path))).toEqual([]);
    expect(others.filter(matches)).toEqual([]);
  });

  it('means what its definition says', () => {
    const pattern = fc.array(fc.constantFrom('a', 'b', '/', '*', '**', '**/'), { maxLength: 7 });
    const path = fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 8 });
    fc.assert(
      fc.property(pattern, path, (patternParts, pathParts) => {
        const text = patternParts.join('');
        fc.pre(!text.startsWith('/') && !text.includes('***'));
        expect(compilePathGlob(text)(pathParts.join(''))).toBe(means(text, pathParts.join('')));
      }),
      { numRuns: 5000 },
    );
  });

  it('takes linear time on patterns that make backtracking explode', () => {
    expect(compilePathGlob(`${'*a'.repeat(100)}b`)('a'.repeat(4000))).toBe(false);
    expect(compilePathGlob(`${'**/a'.repeat(50)}b`)('a/'.repeat(2000))).toBe(false);
  });
});
