import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newPath, step } from '../../database/testing/samples.ts';
import { createLiveFeed, type LiveFeed } from '../../pipeline/live/live-feed.ts';
import { LiveMessage } from '../../pipeline/live/live-message.ts';
import { hearsAll } from '../reading/live-reader.ts';
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

const bound = 256 * 1024;
const [first, second] = [newPath('first-1.0'), newPath('second-1.0')];

interface Told {
  readonly type: string;
  readonly drvPath: DrvPath;
  readonly line: number;
  readonly events: number;
  readonly code: string;
  readonly message: string;
}

/** An outbox on a feed, with a socket that keeps what it is given until it is drained. */
const createReader = (feed: LiveFeed) => {
  const sent: Told[] = [];
  const socket = { inFlight: 0, done: null as (() => void) | null };
  let asked = false;
  const reader = feed.join({
    ...hearsAll,
    take: (message) => outbox.add(message),
    onLines: () => outbox.onLines(),
  });
  const outbox: Outbox = new Outbox({
    socket: {
      write(bytes: Buffer, done: () => void) {
        expect(socket.done).toBeNull();
        socket.done = done;
        socket.inFlight = bytes.length;
        sent.push(...readFrames(bytes).map((text) => JSON.parse(text) as Told));
      },
    },
    lines: reader.lines,
    onWaiting: () => {
      asked = true;
    },
    onSent: () => {},
  });
  const drain = (): void => {
    const { done } = socket;
    socket.done = null;
    done?.();
  };
  /** Nothing more happens, and yet all of it comes out. */
  const finish = (): void => {
    for (asked = true; asked || socket.done !== null; ) {
      asked = false;
      drain();
      outbox.flush();
    }
  };
  return { outbox, reader, sent, socket, drain, finish };
};

describe('an outbox', () => {
  it('frames texts of every length', () => {
    const texts = [0, 1, 125, 126, 65_535, 65_536, 100_000].map((length) => 'y'.repeat(length));
    expect(readFrames(framesOf(texts.map((text) => Buffer.from(text))))).toEqual(texts);
  });

  const drv = fc.constantFrom(first, second);
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('lines' as const),
        drv,
        count: fc.constantFrom(1, 3, 100, 1500),
        size: fc.constantFrom(20, 5000),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('state' as const), drv }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('answer' as const, 'move' as const) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'drain' as const) }) },
  );

  it('tells or counts each event once and in order, however slow its reader is, and never keeps more than its bound', () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) => {
        const feed = createLiveFeed();
        const { outbox, reader, sent, socket, drain, finish } = createReader(feed);
        // Another one, who never reads, has no part in it.
        const other = feed.join({ ...hearsAll, take: () => {}, onLines: () => {} });
        for (const id of [first, second])
          for (const one of [reader, other]) one.follow({ resource: 'drv', id });
        const written = () => Promise.resolve();
        const logs = { [first]: feed.logs.open({ drv: first, attempt: 1 }, { written }) };
        logs[second] = feed.logs.open({ drv: second, attempt: 1 }, { written });
        /** What was told so far, and how much of it was before each answer and each change of state. */
        let told = 0;
        let follows = true;
        const before = new Map<string, number>();
        for (const [at, one] of actions.entries()) {
          if (one.kind === 'lines') {
            for (let count = 0; count < one.count; count++) logs[one.drv]?.line('x'.repeat(one.size));
            if (one.drv === first || follows) told += one.count;
          } else if (one.kind === 'state') {
            if (one.drv === second && !follows) continue;
            before.set(`state ${at}`, told++);
            const message = String(at);
            feed.recorded([{ ...step(one.drv, 'buildable', 'building', { message }), sequence: at }]);
          } else if (one.kind === 'answer') {
            before.set(`answer ${at}`, told);
            outbox.answer(new LiveMessage({ type: 'error', code: String(at), message: '' }));
          } else if (one.kind === 'move') {
            outbox.takeAllLines();
            if (follows) reader.unfollow({ resource: 'drv', id: second });
            else reader.follow({ resource: 'drv', id: second });
            follows = !follows;
          } else if (one.kind === 'flush') outbox.flush();
          else drain();
          expect(socket.inFlight).toBeLessThan(2 * bound + 70_000 + 200 * 80);
        }
        finish();
        let heard = 0;
        const lastLine = new Map<DrvPath, number>();
        for (const event of sent) {
          if (event.type === 'error') expect(heard).toBe(before.get(`answer ${event.code}`));
          if (event.type === 'build_state_change') expect(heard).toBe(before.get(`state ${event.message}`));
          if (event.type === 'log_line') {
            expect(event.line).toBeGreaterThan(lastLine.get(event.drvPath) ?? 0);
            lastLine.set(event.drvPath, event.line);
          }
          if (event.type === 'skipped') heard += event.events;
          else if (event.type !== 'error') heard += 1;
        }
        expect(heard).toBe(told);
        const answers = actions.flatMap(({ kind }, at) => (kind === 'answer' ? [String(at)] : []));
        expect(sent.filter(({ type }) => type === 'error').map(({ code }) => code)).toEqual(answers);
        const skipped = sent.reduce((sum, event) => sum + (event.type === 'skipped' ? event.events : 0), 0);
        expect(outbox.totals).toEqual({ sent: told - skipped, skipped });
      }),
      { numRuns: 40 },
    );
  });

  it('shares the bytes of a line with all who have read as far, and keeps none that all have read', () => {
    const feed = createLiveFeed();
    const batches: Buffer[] = [];
    const outboxes = Array.from({ length: 3 }, () => {
      const reader = feed.join({ ...hearsAll, take: () => {}, onLines: () => outbox.onLines() });
      const outbox: Outbox = new Outbox({
        socket: {
          write(batch: Buffer, done: () => void) {
            batches.push(batch);
            done();
          },
        },
        lines: reader.lines,
        onWaiting: () => {},
        onSent: () => {},
      });
      reader.follow({ resource: 'drv', id: first });
      return outbox;
    });
    const log = feed.logs.open({ drv: first, attempt: 1 }, { written: () => Promise.resolve() });
    for (const round of [1, 2]) {
      for (let line = 0; line < 100; line++) log.line('said');
      for (const outbox of outboxes) outbox.flush();
      expect(new Set(batches).size).toBe(round);
      expect(readFrames(batches.at(-1) ?? Buffer.of())).toHaveLength(100);
    }
    expect(batches).toHaveLength(6);
  });

  it('says when it is full of answers, and when it is not any more', () => {
    let sent = 0;
    let done: () => void = () => {};
    const write = (_batch: Buffer, onSent: () => void): void => {
      done = onSent;
    };
    const lines = createLiveFeed().join({ ...hearsAll, take: () => {}, onLines: () => {} }).lines;
    const outbox = new Outbox({
      socket: { write },
      lines,
      onWaiting: () => {},
      onSent: () => void (sent += 1),
    });
    const answer = new LiveMessage({ type: 'error', code: 'CODE', message: 'x'.repeat(1000) });
    let taken = 0;
    for (; !outbox.isFull; taken++) outbox.answer(answer);
    expect(taken).toBeLessThan(300);
    outbox.flush();
    done();
    expect([outbox.isFull, sent]).toEqual([false, 1]);
  });
});
