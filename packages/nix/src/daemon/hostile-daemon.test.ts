import { createHash } from 'node:crypto';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { describe, expect, it } from 'vitest';
import { buildPathsWithResults, setOptions } from './build-operations.ts';
import { type ConnectOptions, connectDaemon } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import type { DaemonEvent } from './daemon-log.ts';
import { isValidPath, queryMissing } from './query-operations.ts';
import { answeringDaemon, scriptedDaemon } from './testing/scripted-daemon.ts';
import { addToStoreNar, narFromPath } from './transfer-operations.ts';
import type { DaemonTransport } from './transport/transport.ts';
import { WireWriter } from './wire-writer.ts';

const NEXT = 0x6f6c6d67;
const LAST = 0x616c7473;
const START = 0x53545254;
const ERROR = 0x63787470;

const storeDir = '/s';
const path = `/s/${'0'.repeat(32)}-a` as StorePath;
const someDrv = `/s/${'0'.repeat(32)}-a.drv` as DrvPath;

/** How a daemon of 2.34 greets. */
const greeting = (): WireWriter =>
  new WireWriter().number(0x6478696f).number(0x126).number(0).string('2.34.8').number(1).number(LAST);

const script = (write: (writer: WireWriter) => WireWriter): DaemonTransport =>
  scriptedDaemon([write(greeting()).bytes()]);

const connect = (transport: DaemonTransport, options: Partial<ConnectOptions> = {}) =>
  connectDaemon(transport, { storeDir, connectTimeoutMs: 5000, ...options });

describe('a daemon that is none', () => {
  const endlessly = function* (piece: Buffer): Generator<Buffer> {
    yield greeting().bytes();
    while (true) yield piece;
  };
  const chatter = new WireWriter().number(NEXT).string('still busy\n').bytes();

  it.each([
    ['is too old', [0x6478696f, 0x121], 'NIX_DAEMON_TOO_OLD', /1\.33.*Nix 2\.8/],
    ['is of another protocol', [0x6478696f, 0x226], 'NIX_DAEMON_PROTOCOL', /version 2\.38/],
    ['is no daemon', [0x6f77206f6c6c, 1], 'NIX_DAEMON_PROTOCOL', /"llo wo/],
    ['has endless features', [0x6478696f, 0x126, 1e9], 'NIX_DAEMON_PROTOCOL', /1000000000 features/],
    [
      'has a huge version',
      [0x6478696f, 0x122, 2 ** 40],
      'NIX_DAEMON_LIMIT',
      /1099511627776 bytes: more than the 1024/,
    ],
    ['goes away', [0x6478696f], 'NIX_DAEMON_UNREACHABLE', /allowed-users/],
  ])('is told from one where it %s', async (_, numbers, code, message) => {
    const words = new WireWriter();
    for (const number of numbers) words.number(number);
    const attempt = connect(scriptedDaemon([words.bytes()]));
    await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  it('speaks in the older and newer forms of the greeting', async () => {
    const old = new WireWriter().number(0x6478696f).number(0x122).string('2.8.0').number(LAST).bytes();
    expect((await connect(scriptedDaemon([old]))).daemon).toEqual({
      minor: 34,
      features: new Set(),
      nixVersion: '2.8.0',
      trust: 'unknown',
    });
    const newer = new WireWriter().number(0x6478696f).number(0x1ff);
    newer.strings(['realisation-with-path-not-hash', 'of-tomorrow']).string('2.99').number(2).number(LAST);
    expect((await connect(scriptedDaemon([newer.bytes()]))).daemon).toEqual({
      minor: 38,
      features: new Set(['realisation-with-path-not-hash']),
      nixVersion: '2.99',
      trust: 'not-trusted',
    });
  });

  it('tells the outputs of a build by path where both know that feature', async () => {
    const words = new WireWriter().number(0x6478696f).number(0x126);
    words.strings(['realisation-with-path-not-hash']).string('2.36').number(1).number(LAST);
    words.number(LAST).number(1).string(`${someDrv}!*`).number(0).string('').number(1).number(0);
    words.number(100).number(160).number(1).number(1500).number(0);
    words.number(1).string('out').string(path).strings(['key:sig']);
    const connection = await connect(scriptedDaemon([words.bytes()]));
    expect(await buildPathsWithResults(connection, [{ drvPath: someDrv, outputs: [] }])).toEqual([
      {
        kind: 'success',
        status: 'built',
        target: `${someDrv}!*`,
        timesBuilt: 1,
        startTime: 100,
        stopTime: 160,
        cpuUserUs: 1500,
        cpuSystemUs: null,
        builtOutputs: new Map([['out', path]]),
      },
    ]);
  });

  it('is not waited for when it is silent', async () => {
    const silent = answeringDaemon(() => {});
    await expect(connect(silent, { connectTimeoutMs: 30 })).rejects.toMatchObject({
      code: 'NIX_DAEMON_TIMEOUT',
    });
    const reason = new Error('not wanted');
    const abort = new AbortController();
    const attempt = connect(silent, { signal: abort.signal });
    abort.abort(reason);
    await expect(attempt).rejects.toBe(reason);
    const mute = await connect(
      answeringDaemon((heard, say) => heard.length === 16 && say(greeting().bytes())),
    );
    await expect(isValidPath(mute, path, { idleTimeoutMs: 30 })).rejects.toMatchObject({
      code: 'NIX_DAEMON_TIMEOUT',
    });
    expect(mute.isOpen).toBe(false);
  });

  it('is not listened to for ever', async () => {
    const logged = await connect(scriptedDaemon(endlessly(chatter)));
    await expect(isValidPath(logged, path, { maxLogBytes: 10_000 })).rejects.toMatchObject({
      code: 'NIX_DAEMON_LIMIT',
    });
    const timed = await connect(scriptedDaemon(endlessly(chatter)));
    await expect(isValidPath(timed, path, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'NIX_DAEMON_TIMEOUT',
    });
    const ended = await connect(scriptedDaemon(endlessly(chatter)));
    const abort = new AbortController();
    const reason = new Error('enough');
    const onEvent = (): void => abort.abort(reason);
    await expect(isValidPath(ended, path, { signal: abort.signal, onEvent })).rejects.toBe(reason);
    const begun = await connect(scriptedDaemon(endlessly(Buffer.alloc(65_536, 1))), {
      limits: { maxStringBytes: 2 ** 50, maxAnswerBytes: 1_000_000 },
    });
    await expect(isValidPath(begun, path)).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
  });

  it.each([
    ['a string', (w: WireWriter) => w.number(NEXT).number(2 ** 45)],
    ['a list', (w: WireWriter) => w.number(LAST).number(2 ** 45)],
    ['a path', (w: WireWriter) => w.number(LAST).number(1).number(5000)],
    [
      'an activity',
      (w: WireWriter) =>
        w
          .number(START)
          .number(1)
          .number(0)
          .number(0)
          .string('')
          .number(2 ** 20),
    ],
    [
      'an error',
      (w: WireWriter) =>
        w
          .number(ERROR)
          .string('Error')
          .number(0)
          .string('')
          .string('')
          .number(0)
          .number(2 ** 30),
    ],
  ])('may not announce %s beyond all bounds', async (_, write) => {
    const connection = await connect(script(write));
    const asked = queryMissing(connection, [{ path }]);
    await expect(asked).rejects.toMatchObject({ code: 'NIX_DAEMON_LIMIT' });
    expect(connection.isOpen).toBe(false);
  });

  it('may not fill the memory with many small things either', async () => {
    const many = new WireWriter().number(LAST).number(100_000).bytes();
    const piece = new WireWriter().string(path).bytes();
    const transport = scriptedDaemon([greeting().bytes(), many, Buffer.concat(Array(2000).fill(piece))]);
    const connection = await connect(transport, { limits: { maxAnswerBytes: 50_000 } });
    const asked = queryMissing(connection, [{ path }]);
    await expect(asked).rejects.toMatchObject({ code: 'NIX_DAEMON_LIMIT' });
  });

  it.each([
    ['asks for bytes', (w: WireWriter) => w.number(0x64617461).number(8)],
    ['sends bytes', (w: WireWriter) => w.number(0x64617416).string('x')],
    ['says what nobody knows', (w: WireWriter) => w.number(7)],
    ['pads with something', (w: WireWriter) => w.number(NEXT).number(1).number(0xff61)],
    ['names what is no path', (w: WireWriter) => w.number(LAST).strings([]).strings(['/s/../etc/passwd'])],
    ['names what is no derivation', (w: WireWriter) => w.number(LAST).strings([path])],
    [
      'has an error of another form',
      (w: WireWriter) => w.number(ERROR).string('Error').number(0).string('').string('x').number(1),
    ],
  ])('is left when it %s', async (_, write) => {
    const connection = await connect(script(write));
    const asked = queryMissing(connection, [{ path }]);
    await expect(asked).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
    expect(connection.isOpen).toBe(false);
  });

  it('is known to have gone as soon as it has', async () => {
    const connection = await connect(scriptedDaemon([greeting().bytes()]));
    await expect.poll(() => connection.isOpen).toBe(false);
    await expect(isValidPath(connection, path)).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
  });

  it('is not told what it would misunderstand, and can then be asked something else', async () => {
    const answer = new WireWriter().number(LAST).number(1).bytes();
    const connection = await connect(
      answeringDaemon((heard, say) => {
        if (heard.length === 16) say(greeting().bytes());
        if (heard.length > 40) say(answer);
      }),
    );
    const targets = [{ drvPath: someDrv, outputs: ['out,dev'] }];
    await expect(buildPathsWithResults(connection, targets)).rejects.toMatchObject({
      code: 'NIX_DAEMON_BAD_REQUEST',
    });
    await expect(setOptions(connection, { timeoutSeconds: 1.5 })).rejects.toMatchObject({
      code: 'NIX_DAEMON_BAD_REQUEST',
    });
    expect(await isValidPath(connection, path)).toBe(true);
  });

  it('is left when it counts beyond what can be counted', async () => {
    const words = greeting().number(NEXT).bytes();
    const connection = await connect(scriptedDaemon([words, Buffer.alloc(8, 0xff)]));
    await expect(isValidPath(connection, path)).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
  });

  it('may print lines of any length: they are cut', async () => {
    const words = greeting()
      .number(NEXT)
      .string('x'.repeat(100_001))
      .number(NEXT)
      .string('short')
      .number(LAST);
    const connection = await connect(scriptedDaemon([words.number(1).bytes()]), {
      limits: { maxStringBytes: 5000 },
    });
    const lengths: number[] = [];
    const onEvent = (event: DaemonEvent): void => {
      if (event.kind === 'message') lengths.push(event.text.length);
    };
    expect(await isValidPath(connection, path, { onEvent })).toBe(true);
    expect(lengths).toEqual([5000, 5]);
  });

  it('is not heard any more once it was stopped', async () => {
    const words = greeting();
    for (let i = 0; i < 1000; i++) words.number(NEXT).string('more');
    const connection = await connect(scriptedDaemon([words.bytes()]));
    const abort = new AbortController();
    let heard = 0;
    const onEvent = (): void => {
      heard++;
      abort.abort(new Error('enough'));
    };
    await expect(isValidPath(connection, path, { signal: abort.signal, onEvent })).rejects.toThrow('enough');
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toBe(1);
  });

  it('ends with the one who listens to it', async () => {
    const connection = await connect(scriptedDaemon(endlessly(chatter)));
    const fault = new Error('a bug of the listener');
    const onEvent = (): void => {
      throw fault;
    };
    await expect(isValidPath(connection, path, { onEvent })).rejects.toBe(fault);
    expect(connection.isOpen).toBe(false);
  });

  describe('with archives', () => {
    const info = {
      path,
      deriver: null,
      narSha256: '0'.repeat(64),
      references: [],
      registrationTime: 0,
      narSize: 2 ** 40,
      ultimate: false,
      signatures: [],
      contentAddress: null,
    };
    const forEver = async (take: (bytes: Uint8Array) => void | Promise<void>): Promise<void> => {
      while (true) {
        await take(Buffer.alloc(100_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };

    it('sends one that is not what the store has of it, or none', async () => {
      const nar = new WireWriter().string('nix-archive-1').string('(').string('x').bytes();
      const wanted = { ...info, narSize: nar.length };
      const read = async (said: Uint8Array, over: typeof info): Promise<string> => {
        const words = greeting().number(LAST).bytes();
        const connection = await connect(scriptedDaemon([words, said]));
        const pieces: Uint8Array[] = [];
        await narFromPath(connection, { info: over, take: (bytes) => void pieces.push(bytes) });
        return Buffer.concat(pieces).toString('hex');
      };
      const narSha256 = createHash('sha256').update(nar).digest('hex');
      expect(await read(nar, { ...wanted, narSha256 })).toBe(nar.toString('hex'));
      await expect(read(nar, wanted)).rejects.toMatchObject({
        code: 'NIX_DAEMON_PROTOCOL',
        message: expect.stringMatching(/hash .*--repair/) as string,
      });
      await expect(read(nar.subarray(0, -1), { ...wanted, narSha256 })).rejects.toMatchObject({
        code: 'NIX_DAEMON_CLOSED',
      });
      const other = new WireWriter().string('nix-archive-2').string('(').bytes();
      await expect(read(other, wanted)).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
    });

    it('may answer before it was told all: with an error, or with nonsense', async () => {
      const refusal = new WireWriter().number(ERROR).string('Error').number(0).string('').string('no room');
      const refusing = await connect(
        scriptedDaemon([greeting().bytes(), refusal.number(0).number(0).bytes()]),
      );
      await expect(addToStoreNar(refusing, { info, sendNar: forEver })).rejects.toMatchObject({
        code: 'NIX_DAEMON_REFUSED',
        message: 'no room',
      });
      expect(refusing.isOpen).toBe(false);
      const lying = await connect(scriptedDaemon([greeting().number(LAST).bytes()]));
      await expect(addToStoreNar(lying, { info, sendNar: forEver })).rejects.toMatchObject({
        code: 'NIX_DAEMON_PROTOCOL',
      });
    });

    it('may go away', async () => {
      const connection = await connect(scriptedDaemon([greeting().bytes()]));
      await expect(addToStoreNar(connection, { info, sendNar: forEver })).rejects.toMatchObject({
        code: 'NIX_DAEMON_CLOSED',
      });
    });

    it('is left when whoever sends it fails, with an error of another daemon too', async () => {
      const connection = await connect(
        answeringDaemon((heard, say) => heard.length === 16 && say(greeting().bytes())),
      );
      const fault = new NixDaemonError('NIX_DAEMON_REFUSED', 'of the other store');
      const sendNar = (): Promise<void> => Promise.reject(fault);
      await expect(addToStoreNar(connection, { info, sendNar })).rejects.toBe(fault);
      expect(connection.isOpen).toBe(false);
    });
  });
});
