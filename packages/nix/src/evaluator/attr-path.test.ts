import { runChild } from '@eka-ci/process';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printAttrPath, quoteNixString } from './attr-path.ts';
import { makeTemporaryStore, type TemporaryStore } from './testing/temporary-store.ts';

describe('attribute paths', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore();
  });
  afterAll(() => store.remove());

  it('are quoted where Nix would', () => {
    expect(printAttrPath(['python3', 'a.b', "x'", '_y-z', '3d', 'with', 'a"b', '${c}', ''])).toBe(
      String.raw`python3."a.b".x'._y-z."3d"."with"."a\"b"."\${c}"."" `.trim(),
    );
  });

  it('and strings mean to Nix exactly what they are', async () => {
    // Nix strings hold no NUL; half surrogates are no UTF-8.
    const text = fc
      .string({ unit: 'grapheme' })
      .filter((value) => !value.includes('\0') && value.isWellFormed());
    const nasty = fc
      .array(fc.oneof(text, fc.constantFrom('$', '${', '$${', '\\', '"', '\n', '\r', '\t', '}', "''")))
      .map((parts) => parts.join(''));
    const samples = fc.sample(nasty, 300);
    const done = await runChild({
      command: store.nix.programs.instantiate,
      args: ['--eval', '--strict', '--json', '-'],
      env: store.nix.env,
      stdin: `[ ${samples.map(quoteNixString).join('\n')} ]`,
    });
    expect(JSON.parse(done.stdout)).toEqual(samples);
  });
});
