import type { DrvPath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  derivationNameOf,
  drvPathFault,
  hasDrvPathForm,
  hashPartOf,
  nameOf,
  parseDrvPath,
  parseStorePath,
  StorePathError,
  storePathFault,
} from './store-path.ts';

const storeDir = '/nix/store';
const hash = 'v994l4pwla451nb46mjqirimz1z14gds';
const at = (base: string): string => `${storeDir}/${base}`;

/** Written apart from the code, as one pattern: what Nix takes for a path of that store. */
const asNixHasIt = /^\/nix\/store\/[0-9a-df-np-sv-z]{32}-(?!\.{1,2}(-|$))[0-9a-zA-Z+\-._?=]{1,211}$/;

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        storeDir,
        `${storeDir}/${hash}-`,
        hash,
        '/',
        '..',
        '.',
        '-',
        '.drv',
        '\0',
        '\n',
        'é',
        '𝒳',
        'e',
      ),
      fc.constantFrom('name', 'x'.repeat(207), 'x'.repeat(211), '%2e', ' ', '"', '$(id)', '\\', '?=', '~'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 7 },
  )
  .map((parts) => parts.join(''));

describe('a store path', () => {
  it('is what Nix takes for one, whatever is offered', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const accepted = storePathFault(text, storeDir) === null;
        expect(accepted).toBe(asNixHasIt.test(text) && !text.endsWith('\n'));
        expect(drvPathFault(text, storeDir) === null).toBe(accepted && /-.+\.drv$/.test(text));
        if (accepted) {
          expect(
            `${storeDir}/${hashPartOf(parseStorePath(text, storeDir))}-${nameOf(parseStorePath(text, storeDir))}`,
          ).toBe(text);
        } else {
          expect(() => parseStorePath(text, storeDir)).toThrow(StorePathError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a path of another store', `/gnu/store/${hash}-a`],
    ['the store itself', storeDir],
    ['a store whose name only begins alike', `${storeDir}2/${hash}-a`],
    ['a store whose name ends elsewhere', `${storeDir}-${hash}-a`],
    ['something inside of a path', at(`${hash}-a/bin/sh`)],
    ['a way out', at(`../store/${hash}-a`)],
    ['a way out behind the name', at(`${hash}-a/../../../etc/passwd`)],
    ['a NUL', at(`${hash}-a\0`)],
    ['a hash with a letter that base 32 lacks', at(`${hash.replace('v', 'e')}-a`)],
    ['a hash in capitals', at(`${hash.toUpperCase()}-a`)],
    ['no dash', at(`${hash}a`)],
    ['no name', at(`${hash}-`)],
    ['a name of 212 characters', at(`${hash}-${'x'.repeat(212)}`)],
    ['a directory entry', at(`${hash}-..`)],
  ])('is not %s', (_, text) => {
    expect(() => parseStorePath(text, storeDir)).toThrow(
      expect.objectContaining({ code: 'STORE_PATH_INVALID' }),
    );
  });

  it('of a derivation has a name besides its ending', () => {
    const path = parseDrvPath(at(`${hash}-hello-1.0.drv`), storeDir);
    expect([hashPartOf(path), nameOf(path), derivationNameOf(path)]).toEqual([
      hash,
      'hello-1.0.drv',
      'hello-1.0',
    ]);
    expect(drvPathFault(at(`${hash}-.drv`), storeDir)).not.toBeNull();
    expect(drvPathFault(at(`${hash}-hello`), storeDir)).not.toBeNull();
  });

  it('is known by its form inside of a longer text', () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (before, middle, after) => {
        const range = { start: before.length, end: before.length + middle.length };
        const alone = hasDrvPathForm(middle, { start: 0, end: middle.length });
        expect(hasDrvPathForm(before + middle + after, range)).toBe(alone);
        if (drvPathFault(middle, storeDir) === null) expect(alone).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('in a store elsewhere needs that store', () => {
    const path = `/tmp/x/store/${hash}-a.drv`;
    expect(parseDrvPath(path, '/tmp/x/store')).toBe(path as DrvPath);
    expect(drvPathFault(path, storeDir)).toBe('is not in /nix/store');
  });
});
