import { describe, expect, it } from 'vitest';
import { catalogueErrors } from './errors.ts';

const inFile = (text: string, file = 'packages/a/src/a.ts'): { file: string; text: string } => ({
  file,
  text,
});

describe('the catalogue of errors', () => {
  it('reads a single code, codes in place, and codes of a type with what is said of each', () => {
    const text = `
/** Thrown when one
 * thing is wrong.
 * @see another */
export class OneError extends Error {
  readonly code = 'ONE_THING';
}

export class TwoError extends Error {
  readonly code: 'TWO_A' | 'TWO_B';
}

export type ManyErrorCode =
  /** The first; see below. */
  | 'MANY_A'
  // Said
  // in lines.
  | 'MANY_B';

export class ManyError extends Error {
  readonly code: ManyErrorCode;
}
`;
    expect(catalogueErrors([inFile(text)])).toEqual([
      {
        className: 'ManyError',
        file: 'packages/a/src/a.ts',
        purpose: '',
        codes: [
          { code: 'MANY_A', meaning: 'The first; see below.' },
          { code: 'MANY_B', meaning: 'Said in lines.' },
        ],
      },
      {
        className: 'OneError',
        file: 'packages/a/src/a.ts',
        purpose: 'Thrown when one thing is wrong.',
        codes: [{ code: 'ONE_THING', meaning: '' }],
      },
      {
        className: 'TwoError',
        file: 'packages/a/src/a.ts',
        purpose: '',
        codes: [
          { code: 'TWO_A', meaning: '' },
          { code: 'TWO_B', meaning: '' },
        ],
      },
    ]);
  });

  it('refuses an error without a code, and a code of two errors', () => {
    const bare = 'export class BareError extends Error {\n  readonly name = "x";\n}\n';
    expect(() => catalogueErrors([inFile(bare)])).toThrow('BareError has no code');
    const one = "export class OneError extends Error {\n  readonly code = 'SAME';\n}\n";
    const other = inFile(one.replace('OneError', 'OtherError'), 'packages/b/src/b.ts');
    expect(() => catalogueErrors([inFile(one), other])).toThrow(
      'SAME is a code of OneError and of OtherError',
    );
  });
});
