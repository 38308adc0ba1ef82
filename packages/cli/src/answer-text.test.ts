import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAge, jsonText, tableText } from './answer-text.ts';
import { logLines, withoutColours } from './log-lines.ts';

describe('the text of an answer', () => {
  it('holds nothing that a terminal acts on, and forges no row', () => {
    const text = tableText(
      ['A', 'B'],
      [
        ['x\u001b]0;title\u0007', 'y\nz'],
        ['longer', '\u202e'],
      ],
    );
    expect(text).toBe(
      ['A                  B', 'x\\x1b]0;title\\x07  y\\x0az', 'longer             \\x202e', ''].join('\n'),
    );
  });

  it('is as JSON what it was, without control characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const json = jsonText({ text }, 0);
        expect(JSON.parse(json)).toEqual({ text });
        expect(json).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });

  it('tells an age in its largest unit', () => {
    expect([-5, 59_999, 60_000, 3_599_000, 86_399_000, 3 * 86_400_000].map(formatAge)).toEqual([
      '0s',
      '59s',
      '1m',
      '59m',
      '23h',
      '3d',
    ]);
  });
});

describe('the lines of a log', () => {
  const linesOf = async (pieces: readonly string[]): Promise<string[]> => {
    const whole = async function* () {
      yield* pieces;
    };
    const lines: string[] = [];
    for await (const line of logLines(whole())) lines.push(line);
    return lines;
  };

  it('are those of the whole, however it was cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom('a', '\n', '\r') })), async (pieces) => {
        const whole = pieces.join('');
        const expected = whole === '' ? [] : whole.replace(/\n$/, '').split('\n');
        expect(await linesOf(pieces)).toEqual(expected);
      }),
    );
  });

  it('are broken where they would fill the memory, and lose their colours', async () => {
    const mebi = 'x'.repeat(1024 * 1024);
    expect((await linesOf([mebi, 'y', 'z\n'])).map((line) => line.length)).toEqual([mebi.length + 1, 1]);
    expect(withoutColours('\u001b[1;31merror\u001b[0m\r')).toBe('error');
  });
});
