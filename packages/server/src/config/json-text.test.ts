import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonTextError, readJsonText } from './json-text.ts';

const failure = (text: string, maxDepth = 32): JsonTextError => {
  try {
    readJsonText(text, maxDepth);
  } catch (error) {
    if (error instanceof JsonTextError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
};

const accepts = (parse: () => unknown): boolean => {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
};

describe('readJsonText', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.nat(3), (text, indent) => {
        if (text.includes('__proto__')) return;
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        expect(readJsonText(spaced, 32).value).toStrictEqual(JSON.parse(spaced));
      }),
    );
  });

  it('refuses what JSON.parse refuses', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u00',
      '"\\q"',
      '1',
      '01',
      '-',
      '1.',
      '1e5',
      '.5',

      'true',
      'tru',
      'null',
      'nullx',
      ' ',
      '\n',
      '\t',
      '\u00a0',
      '"',
      '\\',
      "'a'",
      '//',
      'NaN',
      '+1',
      '"\t"',
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 8 }), (fragments) => {
        const text = fragments.join('');
        const known = accepts(() => JSON.parse(text));
        const ours = accepts(() => readJsonText(text, 32));
        // Only a key given twice is refused beyond what JSON.parse refuses.
        expect(ours).toBe(known && !(known && /"(a|b)"\s*:[^{}]*,\s*"\1"\s*:/.test(text)));
      }),
      { numRuns: 3000 },
    );
  });

  it('says where and what', () => {
    expect(failure('{\n  "a": 1,\n  "b" 2\n}')).toMatchObject({
      position: { line: 3, column: 7 },
      message: 'expected ":" after the key, found "2"',
    });
    expect(failure('{\n  "a": 1,\n}').message).toBe('a comma before "}" is not JSON');
    expect(failure('{ "a": 1 // one\n}').message).toContain('no comments');
    expect(failure('{"a": "line\nbreak"}').message).toContain('line break');
    expect(failure('').message).toBe('the file is empty');
    expect(failure('{} {}').position).toEqual({ line: 1, column: 4 });
  });

  it('refuses keys that JSON.parse would lose or misuse', () => {
    expect(failure('{"a": 1,\n "b": {"a": 2},\n "\\u0061": 3}')).toMatchObject({
      position: { line: 3, column: 2 },
      message: 'the key "a" is given twice, first on line 1: keep one',
    });
    expect(failure('{"__proto__": {"x": 1}}').message).toContain('"__proto__"');
  });

  it('does not run out of stack', () => {
    expect(failure('['.repeat(500_000)).message).toBe('nested deeper than 32 levels');
    expect(accepts(() => readJsonText(`${'['.repeat(32)}${']'.repeat(32)}`, 32))).toBe(true);
  });

  it('knows where members begin', () => {
    const text = readJsonText('{\n "a": [10,\n  20]}', 32);
    const list = (text.value as { a: number[] }).a;
    expect(text.positionOf(text.membersOf(list)?.get(1) ?? -1)).toEqual({ line: 3, column: 3 });
  });
});
