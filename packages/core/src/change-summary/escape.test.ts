import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutToBytes, utf8Length } from './byte-budget.ts';
import { toCode, toCodeBlock, toLink } from './escape.ts';

describe('escaping', () => {
  it('shows each hostile name as itself', () => {
    expect(toCode('</details>')).toBe('`</details>`');
    expect(toCode('a`b``c')).toBe('```a`b``c```');
    expect(toCode('`')).toBe('`` ` ``');
    expect(toCode('a|b\\|c')).toBe('`a¦b\\¦c`');
    expect(toCode('evil\u202egnp\n.exe')).toBe('`evil\\u{202e}gnp .exe`');
    expect(toCodeBlock(['````', '/close'])).toBe('`````\n````\n /close\n`````');
    expect(toLink('log', 'https://ci.example.org/a b)(`<')).toBe(
      '[log](https://ci.example.org/a%20b%29%28%60%3C)',
    );
    expect(toLink('log', 'javascript:alert(1)')).toBe('log');
  });
});

describe('cutToBytes', () => {
  it('measures as UTF-8 does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Length(text)).toBe(encodedLength(text));
      }),
    );
  });

  it('closes what it cuts open', () => {
    const long = `<details><summary>s</summary>\n\n\`\`\`\`\n${'é'.repeat(30)}\n${'🎉\n'.repeat(500)}\`\`\`\`\n\n</details>`;
    const cut = cutToBytes(long, 400, 'cut');
    expect(utf8Length(cut)).toBeLessThanOrEqual(400);
    expect(cut).toMatch(/🎉\n````\n\n<\/details>\n\ncut$/u);
  });
});

/** By the platform: percent escapes are one a byte. */
const encodedLength = (text: string): number => encodeURIComponent(text).replace(/%../g, '.').length;
