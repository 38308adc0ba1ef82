import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAnsiReader, withoutEscapes } from './ansi-reader.ts';
import { createLogWriter, renderLog } from './log-html.ts';

const page = { title: '<x>', textPath: '/t?a=1&b="2"', stylePath: '/s.css' };

const write = (pieces: readonly string[]): string => {
  const writer = createLogWriter();
  return pieces.map((piece) => writer.write(piece)).join('') + writer.end();
};

/** Everything that may stand in a log's page beside text, and nothing else. */
const markup = /<a id="L[1-9][0-9]*" href="#L[1-9][0-9]*"><\/a>|<span class="[a-z0-9 -]+">|<\/span>/g;
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
const textOf = (html: string): string =>
  html.replace(markup, '').replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '');

const sequences = fc.constantFrom(
  '\u001b[31m',
  '\u001b[0m',
  '\u001b[1;38;5;200;4m',
  '\u001b[38;2;1;2;3m',
  '\u001b[48:5:17m',
  '\u001b[K',
  '\u001b[?25l',
  '\u001b]8;;https://example.org/\u001b\\',
  '\u001b]8;;\u0007',
  '\u001b]0;a <b>title</b>\u0007',
  '\u001bP<script>\u001b\\',
  '\u001b(B',
  '\u001bM',
  '\u001b[38;5;999m',
  '\u001b[99999999999999999999m',
  '\u001b[<script>alert(1)//m',
);
const texts = fc.stringMatching(/^[a-z<>&"'é字 \t\n]{0,12}$/);
/** Anything at all, and likely what matters. */
const chaos = fc.string({
  unit: fc.constantFrom(
    '\u001b',
    '[',
    ']',
    '3',
    ';',
    'm',
    '\n',
    '\r',
    '\u0007',
    '\\',
    '<',
    '&',
    '"',
    'x',
    '\u009b',
    '\0',
    '💥',
  ),
  maxLength: 60,
});

/** Cuts a text at these places. */
const cut = (text: string, at: readonly number[]): string[] => {
  const places = [0, ...at.map((one) => one % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  return places.slice(1).map((to, index) => text.slice(places[index], to));
};

describe('the page of a log', () => {
  it('says what the log says without its escape sequences', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(texts, sequences), { maxLength: 12 }), (parts) => {
        const html = write(parts.map((part) => part.join('')));
        // One of the sequences ends where another sign begins it: what follows is text again.
        const script = (text: string) => text.replaceAll('\u001b[<script>alert(1)//m', 'cript>alert(1)//m');
        const plain = parts.map(([text, escape]) => text + (escape.includes('alert') ? script(escape) : ''));
        expect(textOf(html)).toBe(plain.join(''));
      }),
    );
  });

  it('holds no markup of the log, whatever that is and wherever it is cut', () => {
    fc.assert(
      fc.property(fc.oneof(chaos, fc.string({ unit: 'binary' })), fc.array(fc.nat(60)), (log, places) => {
        const html = write(cut(log, places));
        expect(html).toBe(write([log]));
        const rest = html.replace(markup, '');
        expect(rest).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
        expect(textOf(html)).toBe(withoutEscapes(log));
        expect(html.split('<span').length).toBe(html.split('</span>').length);
        expect(rest).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
      { numRuns: 500 },
    );
  });

  it('numbers lines as the text has them, and colours them', () => {
    expect(write(['a\r\n\u001b[1;31mb\nc\u001b[0m\n\nd\re'])).toBe(
      '<a id="L1" href="#L1"></a>a\n' +
        '<a id="L2" href="#L2"></a><span class="f1 bold">b</span>\n' +
        '<a id="L3" href="#L3"></a><span class="f1 bold">c</span>\n' +
        '<a id="L4" href="#L4"></a>\n' +
        '<a id="L5" href="#L5"></a>d\u240de',
    );
    expect(write(['\u001b[7mx\u001b[41my\u001b[27mz'])).toContain(
      '<span class="f-back b-front">x</span><span class="f1 b-front">y</span><span class="b1">z</span>',
    );
    expect(write(['\u001b[38;2;255;0;0mr\u001b[48;5;250mg'])).toContain('<span class="f196 b250">g</span>');
    expect(write(['\u001b[mplain'])).not.toContain('span');
  });

  it('hides nothing behind a sequence that is left open', () => {
    const open = ['\u001b]8;;', '\u001bP', '\u001b[', '\u001b[31', '\u001b'];
    for (const sequence of open) expect(withoutEscapes(`${sequence}\nnext`)).toBe('\nnext');
    expect(withoutEscapes(`\u001b]${'x'.repeat(5000)}`).length).toBeLessThan(1000);
    expect(withoutEscapes(`\u001b[${'1'.repeat(500)}`).length).toBeGreaterThan(300);
  });

  it('is made in memory that does not grow with what is open', () => {
    let longest = 0;
    const reader = createAnsiReader({
      text: (piece) => (longest = Math.max(longest, piece.length)),
      newline: () => {},
      style: (parameters) => (longest = Math.max(longest, parameters.length)),
    });
    for (let round = 0; round < 2000; round++)
      reader.write('\u001b[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;');
    for (let round = 0; round < 2000; round++) reader.write(`\u001b]${'0'.repeat(100)}`);
    expect(longest).toBeLessThan(200);
  });

  it('is whole HTML, in which what it is called is text, and broken bytes are shown as such', async () => {
    const bytes = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1), Buffer.from([0xff, 0x0a])];
    const parts: string[] = [];
    for await (const part of renderLog(bytes, page)) parts.push(part);
    const html = parts.join('');
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).toContain('<h1>&lt;x&gt;</h1>');
    expect(html).toContain('href="/t?a=1&amp;b=&quot;2&quot;"');
    expect(html).toContain('<pre><a id="L1" href="#L1"></a>é\ufffd\n</pre>');
    expect(html).not.toMatch(/<script|style=|\son\w+=/);
  });
});
