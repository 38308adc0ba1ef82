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
          expect(mask === null).toBe(secrets.length === 0);
          if (mask === null) return;
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
    expect(mask?.text('<abcdefghijkl> token-of-8token-of-8, abcdefg')).toBe(
      '<[redacted]> [redacted], abcdefg',
    );
  });

  it('takes each line of a key, and leaves its frame, short ones and bytes that are no text', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0B\n-----END PRIVATE KEY-----\n';
    const mask = createSecretMask([key, 'short', '1234567']);
    expect(mask?.text('-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkq short 1234567 hkiG9w0B')).toBe(
      '-----BEGIN PRIVATE KEY----- [redacted] short 1234567 [redacted]',
    );
    const bytes = Buffer.from('\xff\xfe hkiG9w0B \x80', 'latin1');
    expect(mask?.line(bytes)).toEqual(Buffer.from('\xff\xfe [redacted] \x80', 'latin1'));
    expect(mask?.line(Buffer.from('\xff', 'latin1'))).toEqual(Buffer.from('\xff', 'latin1'));
  });

  it('is none where there is nothing to mask', () => {
    expect(createSecretMask(['', '1234567', '\n'])).toBeNull();
  });
});
