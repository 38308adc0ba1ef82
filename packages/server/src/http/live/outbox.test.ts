import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveMessage } from '../../pipeline/live-message.ts';
import { framesOf, Outbox } from './outbox.ts';

/** The text messages in the bytes that a server sent, by the letter of RFC 6455. */
const readFrames = (bytes: Buffer): string[] => {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0x81);
    const short = bytes[at + 1] ?? 0;
    const [length, header] =
      short < 126
        ? [short, 2]
        : short === 126
          ? [bytes.readUInt16BE(at + 2), 4]
          : [Number(bytes.readBigUInt64BE(at + 2)), 10];
    texts.push(bytes.subarray(at + header, at + header + length).toString('utf8'));
    at += header + length;
  }
  return texts;
};

const line = (number: number, size: number): LiveMessage =>
  new LiveMessage({
    type: 'log_line',
    drvPath: 'drv',
    attempt: 1,
    line: number,
    text: 'x'.repeat(size),
    cut: false,
  });
const bound = 256 * 1024;

describe('an outbox', () => {
  it('frames texts of every length', () => {
    const texts = [0, 1, 125, 126, 65_535, 65_536, 100_000].map((length) => 'y'.repeat(length));
    expect(readFrames(framesOf(texts.map((text) => Buffer.from(text))))).toEqual(texts);
  });

  it('tells or counts each event once and in order, however slow its reader is, and never keeps more than its bound', () => {
    const action = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('add' as const),
          size: fc.constantFrom(20, 30_000, 60_000),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('answer' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'drain' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(action, { minLength: 40, maxLength: 200 }), (actions) => {
        const sent: string[] = [];
        let onSent: (() => void) | null = null;
        let inFlight = 0;
        let asked = false;
        const outbox = new Outbox({
          socket: {
            write(bytes: Buffer, done: () => void): boolean {
              expect(onSent).toBeNull();
              onSent = done;
              inFlight = bytes.length;
              sent.push(...readFrames(bytes));
              return true;
            },
          },
          onWaiting: () => {
            asked = true;
          },
          onSent: () => {},
        });
        const drain = (): void => {
          const done = onSent;
          onSent = null;
          done?.();
        };
        let added = 0;
        let answers = 0;
        const addedBefore: number[] = [];
        for (const one of actions) {
          if (one.kind === 'add') {
            added += 1;
            outbox.add(line(added, one.size));
          } else if (one.kind === 'answer') {
            answers += 1;
            addedBefore.push(added);
            outbox.answer(new LiveMessage({ type: 'error', code: String(answers), message: '' }));
          } else if (one.kind === 'flush') outbox.flush();
          else drain();
          expect(inFlight).toBeLessThan(bound + 70_000 + 200 * 80);
        }
        // Nothing more happens, and yet all of it comes out.
        for (asked = true; asked || onSent !== null; ) {
          asked = false;
          drain();
          outbox.flush();
        }
        const events = sent.map(
          (text) => JSON.parse(text) as { type: string; line: number; events: number; code: string },
        );
        let next = 1;
        for (const event of events) {
          if (event.type === 'log_line') expect(event.line).toBe(next++);
          if (event.type === 'skipped') next += event.events;
          // What came before an answer is told or counted before it.
          if (event.type === 'error') expect(next - 1).toBe(addedBefore[Number(event.code) - 1]);
        }
        expect(next).toBe(added + 1);
        expect(events.filter(({ type }) => type === 'error').map(({ code }) => Number(code))).toEqual(
          Array.from({ length: answers }, (_, index) => index + 1),
        );
        const skipped = events.reduce((sum, event) => sum + (event.type === 'skipped' ? event.events : 0), 0);
        expect(outbox.totals).toEqual({ sent: added - skipped, skipped });
      }),
    );
  });

  it('says when it is full of answers, and when it is not any more', () => {
    let sent = 0;
    let done: () => void = () => {};
    const write = (_batch: Buffer, onSent: () => void): void => {
      done = onSent;
    };
    const outbox = new Outbox({ socket: { write }, onWaiting: () => {}, onSent: () => void (sent += 1) });
    const answer = new LiveMessage({ type: 'error', code: 'CODE', message: 'x'.repeat(1000) });
    let taken = 0;
    for (; !outbox.isFull; taken++) outbox.answer(answer);
    expect(taken).toBeLessThan(300);
    outbox.flush();
    done();
    expect([outbox.isFull, sent]).toEqual([false, 1]);
  });
});
