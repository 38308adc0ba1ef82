import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutEscapes } from './ansi-reader.ts';
import { type FoundLine, type LogPlace, searchLog } from './log-search.ts';

const piecesOf = function* (bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
};

interface Asked {
  readonly q: string;
  readonly limit?: number;
  readonly maxBytes?: number;
  readonly size?: number;
}

/** All pages, each read from where the one before ended. */
const searchAll = async (log: string, { q, limit = 50, maxBytes = 1e6, size = 7 }: Asked) => {
  const bytes = Buffer.from(log);
  const found: FoundLine[] = [];
  const pages: number[] = [];
  let from: LogPlace | null = { offset: 0, line: 1 };
  while (from !== null) {
    const rest = bytes.subarray(from.offset);
    const source = (async function* () {
      yield* piecesOf(rest, size);
    })();
    const { lines, next } = await searchLog(source, { q, limit, from, maxBytes });
    found.push(...lines);
    pages.push(lines.length);
    from = next;
  }
  return { found, pages };
};

describe('a search in a log', () => {
  it('finds every line that holds the text, once, whatever the pages and pieces', async () => {
    const line = fc.stringMatching(/^[aAbBé<\t]{0,6}$/);
    const coloured = fc
      .tuple(line, fc.constantFrom('', '\u001b[31m', '\u001b]8;;ab\u0007', '\u001b[0m', '\u001b]aab'))
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(
        fc.array(coloured, { maxLength: 20 }),
        fc.constantFrom('a', 'AB', 'é', '<', 'bb'),
        fc.record({
          limit: fc.integer({ min: 1, max: 5 }),
          maxBytes: fc.integer({ min: 1, max: 60 }),
          size: fc.integer({ min: 1, max: 9 }),
        }),
        async (lines, q, bounds) => {
          const log = lines.join('\n');
          const expected = log.split('\n').flatMap((one, index) => {
            const text = withoutEscapes(one);
            return text.toLowerCase().includes(q.toLowerCase()) ? [{ line: index + 1, text }] : [];
          });
          const { found, pages } = await searchAll(log, { q, ...bounds });
          expect(found).toEqual(expected);
          expect(Math.max(0, ...pages)).toBeLessThanOrEqual(bounds.limit);
        },
      ),
    );
  });

  it('shows of a long line the part around what was sought', async () => {
    const { found } = await searchAll(`${'x'.repeat(5000)}needle${'y'.repeat(5000)}\n`, {
      q: 'NEEDLE',
      size: 500,
    });
    expect(found).toEqual([{ line: 1, text: expect.stringMatching(/^…x{100}needley+…$/) as string }]);
    expect(found[0]?.text.length).toBeLessThan(500);
  });

  it('stops within a line that does not end, and goes on there', async () => {
    const log = `needle${'x'.repeat(5 * 1024 * 1024)}\nsecond needle`;
    const { found, pages } = await searchAll(log, { q: 'needle', maxBytes: 1024, size: 256 * 1024 });
    expect(pages.length).toBeGreaterThan(3);
    expect(found.map(({ line }) => line)).toEqual([1, 2]);
  });
});
