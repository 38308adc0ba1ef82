import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cellsOf, charsetOf, clip, fit, screenText, shorten } from './screen-text.ts';

/** Text as bad as can be: whole Unicode, with what terminals act on and cannot measure more often than not. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(
        '\u001b[2J',
        '\u001b]0;title\u0007',
        '\u009b31m',
        '\r\n\t',
        '你好',
        '👩‍👩‍👧',
        '🇨🇭',
        'e\u0301\u0302\u0303\u0304',
        '\u200b\u202e\u2066\ufeff',
        '\ud800',
        '\u{e0041}',
        'ᄀ\u1161\u11a8',
        '\u3000',
      ),
    ),
  )
  .map((parts) => parts.join(''));
const charset = fc.constantFrom({ unicode: true }, { unicode: false });

describe('text on a screen', () => {
  it('holds nothing that a terminal acts on or that cannot be measured, however often it is made safe', () => {
    fc.assert(
      fc.property(hostile, charset, (text, on) => {
        const safe = screenText(text, on);
        expect(safe).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u);
        expect(safe).not.toMatch(/[\p{Mn}\p{Me}]{3}/u);
        if (!on.unicode) expect(safe).toMatch(/^[ -~]*$/);
        expect(screenText(safe, on)).toBe(safe);
      }),
    );
  });

  it('is cut to fit, never inside a character, and filled up to just the width', () => {
    fc.assert(
      fc.property(hostile, charset, fc.integer({ min: 0, max: 40 }), (text, on, cells) => {
        const safe = screenText(text, on);
        const clipped = clip(safe, cells);
        expect(cellsOf(clipped)).toBeLessThanOrEqual(cells);
        expect(safe.startsWith(clipped)).toBe(true);
        expect(clipped.isWellFormed()).toBe(true);
        expect(cellsOf(shorten(text, cells, on))).toBeLessThanOrEqual(cells);
        expect(cellsOf(fit(text, cells, on))).toBe(cells);
      }),
    );
  });

  it('is as wide as terminals draw it', () => {
    const on = { unicode: true };
    const widths = ['abc', 'é', 'e\u0301', '你好', 'ｶﾅ', 'カナ', '한글', '（）', '🚀', '─…●'].map((text) =>
      cellsOf(screenText(text, on)),
    );
    expect(widths).toEqual([3, 1, 1, 4, 2, 4, 4, 4, 2, 3]);
    expect(shorten('你好吗', 5, on)).toBe('你好…');
    expect(shorten('你好吗', 4, on)).toBe('你…');
    expect(shorten('naïve 你', 20, { unicode: false })).toBe('na?ve ?');
    expect(cellsOf(fit('x'.repeat(10_000_000), 80, on))).toBe(80);
  });

  it('is as the locale says', () => {
    expect(charsetOf({ LANG: 'en_US.UTF-8' })).toEqual({ unicode: true });
    expect(charsetOf({ LANG: 'en_US.UTF-8', LC_ALL: 'C' })).toEqual({ unicode: false });
    expect(charsetOf({ LC_ALL: '', LC_CTYPE: 'C.utf8', LANG: 'C' })).toEqual({ unicode: true });
    expect(charsetOf({})).toEqual({ unicode: false });
  });
});
