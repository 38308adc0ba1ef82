import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Derivation,
  DerivationError,
  isFixedOutput,
  parseDerivation,
  printDerivation,
} from './derivation.ts';
import { factsOf } from './derivation-facts.ts';
import { createFileReader } from './derivation-files.ts';
import {
  findRealDerivations,
  unpackRealDerivations,
  whereRealDerivationsAre,
} from './testing/real-derivations.ts';

const hello = '/nix/store/00000000000000000000000000000000-hello-1.0.drv' as DrvPath;

/** Any bytes, with those that the format treats specially among them often. */
const byteString = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
      fc.constantFrom('"', '\\', '\n', '\r', '\t', '),(', '")', 'n', 'u0041', 'é', '\0'),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

const drvPath = fc
  .tuple(
    fc.stringMatching(/^[0-9a-df-np-sv-z]{32}$/),
    fc.stringMatching(/^[0-9a-zA-Z+_?=][0-9a-zA-Z+\-._?=]{0,20}$/),
  )
  .map(([hash, name]) => `/nix/store/${hash}-${name}.drv` as DrvPath);

const derivations: fc.Arbitrary<Derivation> = fc.record({
  outputs: fc.array(
    fc.record({ name: byteString, path: byteString, hashAlgorithm: byteString, hash: byteString }),
    { maxLength: 3 },
  ),
  inputs: fc.array(fc.record({ path: drvPath, outputs: fc.array(byteString, { maxLength: 3 }) }), {
    maxLength: 4,
  }),
  sources: fc.array(byteString, { maxLength: 3 }),
  system: byteString,
  builder: byteString,
  args: fc.array(byteString, { maxLength: 3 }),
  env: fc.array(fc.tuple(byteString, byteString), { maxLength: 5 }),
});

const faultOf = (text: string): DerivationError => {
  try {
    parseDerivation(text, hello);
  } catch (error) {
    if (error instanceof DerivationError) return error;
    throw error;
  }
  throw new Error(`was read: ${text}`);
};

const small =
  'Derive([("out","/nix/store/0-x","","")],[("/nix/store/00000000000000000000000000000000-a.drv",["out"])],[],' +
  '"x86_64-linux","/bin/sh",["-c","a\\n"],[("name","x")])';

describe('a derivation file', () => {
  it('is what it was after printing and reading, whatever bytes it holds', () => {
    fc.assert(
      fc.property(derivations, (derivation) => {
        const text = printDerivation(derivation);
        expect(parseDerivation(text)).toEqual(derivation);
        expect(printDerivation(parseDerivation(text))).toBe(text);
      }),
    );
  });

  it('is refused at every place where it could be cut short, and never read by half', () => {
    for (let length = 0; length < small.length; length++) {
      const fault = faultOf(small.slice(0, length));
      expect([length, fault.code]).toEqual([length, 'DRV_CUT_SHORT']);
      expect(fault.offset).toBeLessThanOrEqual(length);
    }
  });

  it('with any one byte changed is read as another derivation or refused, and nothing else', () => {
    fc.assert(
      fc.property(derivations, fc.nat(), fc.integer({ min: 0, max: 255 }), (derivation, place, byte) => {
        const text = printDerivation(derivation);
        const at = place % text.length;
        const changed = text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1);
        try {
          const read = parseDerivation(changed);
          if (changed !== text) expect(read).not.toEqual(derivation);
        } catch (error) {
          expect(error).toBeInstanceOf(DerivationError);
        }
      }),
    );
  });

  it.each([
    ['more text after the end', `${small}\n`, 'DRV_TRAILING_TEXT', small.length],
    ['a second derivation', small + small, 'DRV_TRAILING_TEXT', small.length],
    ['something else', '#!/bin/sh\n', 'DRV_MALFORMED', 0],
    [
      'a list closed as a tuple',
      small.replace('["out"])', '["out")]'),
      'DRV_MALFORMED',
      small.indexOf('])],[],'),
    ],
    [
      'a tuple with a field too many',
      small.replace('("name","x")', '("name","x","y")'),
      'DRV_MALFORMED',
      small.length - 3,
    ],
    [
      'a list that ends with a comma',
      small.replace('["out"]', '["out",]'),
      'DRV_MALFORMED',
      small.indexOf('],[],') - 1,
    ],
    [
      'a string where a list belongs',
      small.replace(',[],', ',"",'),
      'DRV_MALFORMED',
      small.indexOf('[],"x86'),
    ],
    ['spaces between its tokens', small.replace('],[', '], ['), 'DRV_MALFORMED', small.indexOf('[("/nix')],
    [
      'an input outside of any store',
      small.replace('/nix/store/0000', '/nix/store/../0'),
      'DRV_MALFORMED',
      small.indexOf('/nix/store/0000'),
    ],
    ['text decoded as UTF-8', small.replace('/bin/sh', '/bin/š'), 'DRV_NOT_BYTES', 0],
  ])('is refused with its place: %s', (_, text, code, offset) => {
    const fault = faultOf(text);
    expect(fault).toMatchObject({ code, offset, path: hello });
    expect(fault.message).toContain(hello);
  });

  it('is refused by name when it is a dynamic one', () => {
    const fault = faultOf('DrvWithVersion("xp-dyn-drv",[],[],[],"","",[],[])');
    expect(fault.code).toBe('DRV_DYNAMIC');
    expect(fault.message).toMatch(/hello-1\.0\.drv.*dynamic derivations are not supported/);
  });

  it('reads escapes as Nix does, JSON escapes that Nix does not have included', () => {
    const text = String.raw`Derive([],[],[],"a\"b\\c\nd\re\tf","\u0041\/\b\f",["\\\\","\\\""],[])`;
    const { system, builder, args } = parseDerivation(text);
    expect([system, builder, args]).toEqual(['a"b\\c\nd\re\tf', 'u0041/bf', ['\\\\', '\\"']]);
  });

  it('takes time in proportion to its size when it is hostile', () => {
    // Only backslashes: a reader that counts them anew at each quote would take minutes.
    const nested = `Derive([],[],[],"${'\\\\\\"'.repeat(300_000)}","",[],[])`;
    expect(parseDerivation(nested).system).toHaveLength(600_000);
    expect(faultOf(`Derive([],[],[],"${'\\'.repeat(1_000_000)}`).code).toBe('DRV_CUT_SHORT');
    expect(faultOf(`Derive(${'['.repeat(1_000_000)}`).code).toBe('DRV_MALFORMED');
  });
});

describe('a fixed output', () => {
  const of = (...outputs: [hashAlgorithm: string, hash: string][]): boolean =>
    isFixedOutput({
      ...parseDerivation(small),
      outputs: outputs.map(([hashAlgorithm, hash], index) => ({
        name: `o${index}`,
        path: '',
        hashAlgorithm,
        hash,
      })),
    });

  it('has an algorithm and a hash, and stands alone', () => {
    expect(of(['sha256', 'abc'])).toBe(true);
    expect(of(['r:sha256', ''])).toBe(false);
    expect(of(['', ''])).toBe(false);
    expect(of(['r:sha256', 'impure'])).toBe(false);
    expect(of(['sha256', 'abc'], ['sha256', 'abc'])).toBe(false);
    expect(of()).toBe(false);
  });
});

const real = findRealDerivations();

describe.skipIf(real === null)(
  `the derivations of a real package set (else ${whereRealDerivationsAre})`,
  () => {
    it('are all read, print the same bytes, and hold what is known of them', async () => {
      if (real === null) return;
      const { folder, dispose } = await unpackRealDerivations(real);
      try {
        const files = readdirSync(folder);
        const readFile = createFileReader();
        const counts = {
          files: files.length,
          edges: 0,
          fixed: 0,
          structured: 0,
          builtin: 0,
          i686: 0,
          changed: 0,
        };
        for (const name of files) {
          const text = readFile(join(folder, name));
          const derivation = parseDerivation(text, name);
          factsOf(derivation, name);
          counts.edges += derivation.inputs.length;
          counts.fixed += isFixedOutput(derivation) ? 1 : 0;
          counts.structured += derivation.env.some(([key]) => key === '__json') ? 1 : 0;
          counts.builtin += derivation.system === 'builtin' ? 1 : 0;
          counts.i686 += derivation.system === 'i686-linux' ? 1 : 0;
          counts.changed += printDerivation(derivation) === text ? 0 : 1;
        }
        const expected = { edges: 72_915, fixed: 10_338, structured: 43, builtin: 62, i686: 51, changed: 0 };
        expect(counts).toEqual({ files: 12_902, ...expected });
        const [some = ''] = files;
        expect(readFile(join(folder, some))).toBe(readFileSync(join(folder, some), 'latin1'));
      } finally {
        await dispose();
      }
    });
  },
);
