import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSecretMask } from './secret-mask.ts';

const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\\', 'é', '😀', '$', '-'), maxLength: 12 });

describe('a mask of secrets', () => {
  it('leaves none of them in a text, also where they overlap, and nothing else out of it', () => {
    fc.assert(
      fc.property(
        fc.array(letters, { maxLength: 5 }),
        fc.array(fc.oneof(letters, fc.nat(4)), { maxLength: 8 }),
        (all, parts) => {
          const text = parts.map((part) => (typeof part === 'number' ? (all[part] ?? '') : part)).join('');
          const secrets = all.filter((secret) => secret.length >= 8);
          const mask = createSecretMask(all);
          const masked = mask.text(text);
          for (const secret of secrets) expect(masked).not.toContain(secret);
          // What is left is the text without some of its parts, each of which touches a secret.
          const kept = masked.split('[redacted]');
          let at = 0;
          for (const [index, piece] of kept.entries()) {
            const found = index === 0 ? 0 : text.indexOf(piece, at);
            expect(found).toBeGreaterThanOrEqual(at);
            at = found + piece.length;
          }
          if (!secrets.some((secret) => text.includes(secret))) expect(masked).toBe(text);
          const line = mask.line(Buffer.from(text));
          expect(Buffer.from(line).toString('utf8')).toBe(masked);
        },
      ),
    );
  });

  it('takes out what overlaps or repeats as one', () => {
    const mask = createSecretMask(['abcdefgh', 'efghijkl', 'token-of-8']);
    expect(mask.text('<abcdefghijkl> token-of-8token-of-8, abcdefg')).toBe(
      '<[redacted]> [redacted], abcdefg',
    );
  });

  it('takes each line of a key, and leaves its frame, short ones and bytes that are no text', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0B\n-----END PRIVATE KEY-----\n';
    const mask = createSecretMask([key, 'short', '1234567']);
    expect(mask.text('-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkq short 1234567 hkiG9w0B')).toBe(
      '-----BEGIN PRIVATE KEY----- [redacted] short 1234567 [redacted]',
    );
    const bytes = Buffer.from('\xff\xfe hkiG9w0B \x80', 'latin1');
    expect(mask.line(bytes)).toEqual(Buffer.from('\xff\xfe [redacted] \x80', 'latin1'));
    expect(mask.line(Buffer.from('\xff', 'latin1'))).toEqual(Buffer.from('\xff', 'latin1'));
  });

  it('gives back what it gets where there is nothing to mask', () => {
    const mask = createSecretMask(['', '1234567', '\n']);
    const line = Buffer.from('1234567');
    expect(mask.line(line)).toBe(line);
    expect(mask.text('1234567')).toBe('1234567');
  });

  it('takes secrets later, keeps the last few of each owner, and what it began with for good', () => {
    const mask = createSecretMask(['from-the-start']);
    const shown = (): string => mask.text('from-the-start other-one rotated-1 rotated-2 rotated-5');
    mask.learn('vault', ['rotated-1']);
    mask.learn('file', ['other-one', 'short']);
    expect(shown()).toBe('[redacted] [redacted] [redacted] rotated-2 rotated-5');
    for (const at of [1, 2, 2, 2, 2, 1]) mask.learn('vault', [`rotated-${at}`]);
    expect(shown()).toBe('[redacted] [redacted] [redacted] [redacted] rotated-5');
    for (const at of [3, 4, 5, 6]) mask.learn('vault', [`rotated-${at}`]);
    expect(shown()).toBe('[redacted] [redacted] rotated-1 rotated-2 [redacted]');
    expect(mask.line(Buffer.from('rotated-6'))).toEqual(Buffer.from('[redacted]'));
  });
});
