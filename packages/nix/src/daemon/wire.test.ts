import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBytesOf } from './byte-source.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

const limits = { maxStringBytes: 10_000, maxListLength: 1000 };

const readerOver = (bytes: Buffer, size: number): WireReader => {
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
  const reader = new WireReader(readBytesOf(Readable.from(pieces, { objectMode: false })), limits);
  reader.allow(1_000_000);
  return reader;
};

type Value =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'strings'; readonly value: readonly string[] };

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ minLength: 100, maxLength: 300 }),
);
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant('number' as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('string' as const), value: text }),
  fc.record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('strings' as const), value: fc.array(text, { maxLength: 20 }) }),
);

const write = (writer: WireWriter, { kind, value: written }: Value): void => {
  if (kind === 'number') writer.number(written);
  else if (kind === 'string') writer.string(written);
  else if (kind === 'boolean') writer.boolean(written);
  else writer.strings(written);
};

const read = (reader: WireReader, kind: Value['kind']): Promise<unknown> =>
  kind === 'number' ? reader.number() : kind === 'strings' ? reader.strings('texts') : reader[kind]();

describe('values on the wire', () => {
  it('are read as they were written, in whatever pieces they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(value), fc.integer({ min: 1, max: 200 }), async (values, size) => {
        const writer = new WireWriter();
        for (const one of values) write(writer, one);
        const reader = readerOver(writer.bytes(), size);
        for (const one of values) expect(await read(reader, one.kind)).toEqual(one.value);
        await expect(reader.number()).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
      }),
    );
  });

  it('have the form that Nix gives them', () => {
    const bytes = new WireWriter().number(0x0102_0304_0506).strings(['abc', '12345678', '']).bytes();
    expect(bytes.toString('hex')).toBe(
      '0605040302010000' +
        '0300000000000000' +
        '03000000000000006162630000000000' +
        '08000000000000003132333435363738' +
        '0000000000000000',
    );
  });

  it('pass by as raw bytes, as many as were named, in order', async () => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 251));
    const reader = readerOver(Buffer.concat([bytes, new WireWriter().number(7).bytes()]), 333);
    const pieces: Uint8Array[] = [];
    let underWay = 0;
    await reader.raw(bytes.length, async (piece) => {
      expect(++underWay).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
      pieces.push(piece);
    });
    expect(Buffer.concat(pieces)).toEqual(bytes);
    expect(await reader.number()).toBe(7);
  });
});
