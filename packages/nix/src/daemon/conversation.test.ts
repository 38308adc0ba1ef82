import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrivateStore, type PrivateStore } from '../testing/private-store.ts';
import { buildPathsWithResults, setOptions } from './build-operations.ts';
import { connectDaemon } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import {
  queryDerivationOutputMap,
  queryMissing,
  queryPathInfo,
  queryValidPaths,
} from './query-operations.ts';
import { recordDaemon, scriptedDaemon } from './testing/scripted-daemon.ts';
import { narFromPath } from './transfer-operations.ts';
import { localStoreTransport } from './transport/local-store.ts';
import type { DaemonTransport } from './transport/transport.ts';
import { WireWriter } from './wire-writer.ts';

/** What came of each step, in order; the last is the error that ended it, where one did. */
type Story = readonly unknown[];

const NEXT = 0x6f6c6d67;
const LAST = 0x616c7473;
const START = 0x53545254;
const ERROR = 0x63787470;

/** How a daemon of 2.34 greets. */
const greeting = new WireWriter()
  .number(0x6478696f)
  .number(0x126)
  .number(0)
  .string('2.34.8')
  .number(1)
  .number(LAST)
  .bytes();

describe('a conversation with a real daemon', () => {
  let store: PrivateStore;
  let drvs: Record<string, DrvPath>;
  let said: Buffer;
  let told: Story;

  /** The same questions in the same order, whatever is answered; ends at the first fault. */
  const converse = async (transport: DaemonTransport): Promise<Story> => {
    const story: unknown[] = [];
    try {
      const options = { storeDir: store.nix.storeDir, connectTimeoutMs: 10_000 };
      const connection = await connectDaemon(transport, options);
      const onEvent = (event: unknown): void => void story.push(event);
      try {
        story.push(connection.daemon);
        await setOptions(connection, { timeoutSeconds: 30 });
        for (const drvPath of Object.values(drvs)) {
          story.push(await buildPathsWithResults(connection, [{ drvPath, outputs: [] }], { onEvent }));
        }
        const outputs = await queryDerivationOutputMap(connection, drvs['good']!);
        const out = [...outputs.values()].find((output) => output !== null)!;
        const info = await queryPathInfo(connection, out);
        story.push(outputs, info);
        story.push(await queryValidPaths(connection, { paths: [out, drvs['bad']!] as StorePath[] }));
        story.push(await queryMissing(connection, [{ drvPath: drvs['bad']!, outputs: [] }]));
        const gone = drvs['good']!.replace(/[^/]{32}-/, `${'0'.repeat(32)}-`) as DrvPath;
        story.push(await queryDerivationOutputMap(connection, gone).catch(answered));
        const pieces: Uint8Array[] = [];
        await narFromPath(connection, { info: info!, take: (bytes) => void pieces.push(bytes) });
        story.push(Buffer.concat(pieces));
      } finally {
        await connection.close();
      }
    } catch (error) {
      story.push(error);
    }
    return story;
  };

  /** A refusal is an answer like another. */
  const answered = (error: unknown): unknown => {
    if (error instanceof NixDaemonError && error.code === 'NIX_DAEMON_REFUSED') return error;
    throw error;
  };
  const isFault = (entry: unknown): boolean => entry instanceof Error;

  beforeAll(async () => {
    store = await createPrivateStore();
    drvs = await store.instantiate(`{
      bad = shell "bad" "echo no; exit 3" {};
      good = shell "good" "for i in 1 2 3 4 5; do echo line $i; done; mkdir $out; echo hello > $out/file" {};
    }`);
    const recorded = recordDaemon(localStoreTransport(store.nix));
    told = await converse(recorded.transport);
    said = recorded.said();
  });
  afterAll(() => store.remove());

  it('is understood', () => {
    expect(told.filter(isFault)).toMatchObject([{ code: 'NIX_DAEMON_REFUSED' }]);
    expect(told.at(-1)).toBeInstanceOf(Buffer);
  });

  it('is understood in whatever pieces it comes', async () => {
    expect(await converse(scriptedDaemon(Array.from(said, (byte) => Buffer.of(byte))))).toEqual(told);
    const size = fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 2000 }));
    await fc.assert(
      fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 50 }), async (sizes) => {
        const pieces: Buffer[] = [];
        for (let at = 0, turn = 0; at < said.length; turn++) {
          const end = at + (sizes[turn % sizes.length] ?? 1);
          pieces.push(said.subarray(at, end));
          at = end;
        }
        expect(await converse(scriptedDaemon(pieces))).toEqual(told);
      }),
      { numRuns: 100 },
    );
  });

  it('is never taken for whole where it was cut short', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: said.length - 1 }), async (length) => {
        const story = await converse(scriptedDaemon([said.subarray(0, length)]));
        const last = story.at(-1);
        expect(last).toBeInstanceOf(NixDaemonError);
        expect(['NIX_DAEMON_CLOSED', 'NIX_DAEMON_UNREACHABLE']).toContain((last as NixDaemonError).code);
        expect(story.slice(0, -1)).toEqual(told.slice(0, story.length - 1));
      }),
      { numRuns: 300 },
    );
  });

  it('ends as a conversation or with an error of ours, whatever was made of it', async () => {
    const number = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 0n, max: 64n }),
      fc.constantFrom(LAST, NEXT, START, ERROR).map(BigInt),
    );
    const change = fc.tuple(fc.nat(), number, fc.constantFrom(1, 8));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = Buffer.from(said);
        for (const [place, value, width] of changes) {
          // Everything begins at a multiple of 8: there numbers are hit rather than texts.
          if (width === 8) changed.writeBigUInt64LE(value, (place % Math.floor(said.length / 8)) * 8);
          else changed[place % said.length] = Number(value & 0xffn);
        }
        const story = await converse(scriptedDaemon([changed]));
        for (const entry of story.filter(isFault)) expect(entry).toBeInstanceOf(NixDaemonError);
      }),
      { numRuns: 500 },
    );
  });

  it('is none where there is only noise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (noise, greets) => {
        const story = await converse(scriptedDaemon(greets ? [greeting, noise] : [noise]));
        expect(story.at(-1)).toBeInstanceOf(NixDaemonError);
      }),
      { numRuns: 300 },
    );
  });
});
