import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { EvaluationRequest } from '@eka-ci/nix/evaluator/evaluator';
import { type Collected, collectEvaluation } from '@eka-ci/nix/evaluator/testing/collect';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRunnerEvaluator } from './evaluation-client.ts';
import { createRunnerClient, type RunnerConnection } from './runner-client.ts';
import { encodeFrame, type FrameKind } from './runner-protocol.ts';
import { runScript } from './sandbox.contract.ts';
import { connectRunner } from './socket/socket-connection.ts';

let tree: string;
beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'eka-ci-tree-'));
  writeFileSync(join(tree, 'default.nix'), '{ }');
});
afterAll(() => rmSync(tree, { recursive: true }));

const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

/** Never started: nothing that such a runner says gets as far as that. */
const nix: NixInstallation = {
  programs: { instantiate: '/no/nix-instantiate', store: '/no/nix-store', evalJobs: null },
  version: '2.8.0',
  storeDir: '/no/store',
  stateDir: '/no/var',
  confDir: '/no/conf',
  access: 'daemon',
  daemonSocket: '/no/socket',
  env: {},
};

/** Says all that, whatever it is asked. It goes away afterwards unless it `stays`. */
interface Script {
  readonly says: Iterable<Buffer>;
  readonly stays?: boolean;
}

const scripted = ({ says, stays = false }: Script): RunnerConnection => {
  const input = new PassThrough();
  const output = new Writable({ write: (_bytes, _encoding, done) => done() });
  const talk = async (): Promise<void> => {
    for (const bytes of says) {
      if (input.destroyed) return;
      // As from another process: never before the next turn.
      if (!input.write(bytes)) await setImmediate();
    }
    if (!stays) input.end();
  };
  talk().catch(() => input.destroy());
  return {
    input,
    output,
    complaint: () => 'Its log tells more.',
    close: async () => {
      input.destroy();
      output.destroy();
    },
  };
};

type Connect = () => Promise<RunnerConnection>;

const evaluateOver = (connect: Connect, timeoutMs: number): Promise<Collected> => {
  const request: EvaluationRequest = {
    ...{ tree, rootsDir: join(tree, 'roots') },
    target: { kind: 'file', file: 'default.nix', attrPath: [] },
    limits: { workers: 1, maxMemoryMib: 512, timeoutMs },
    ...{ allowImportFromDerivation: false, allowNetwork: false, sandbox: 'required' },
  };
  return collectEvaluation(createRunnerEvaluator({ nix, graceMs: 50, connect }), request);
};
const evaluateBy = (script: Script, timeoutMs = 20_000): Promise<Collected> =>
  evaluateOver(async () => scripted(script), timeoutMs);

const frame = (kind: FrameKind, message: unknown): Buffer =>
  encodeFrame(kind, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)));
const event = (message: unknown): Buffer => frame('event', message);
const record = (more: object): Buffer => event({ type: 'record', record: more });
const failure = { kind: 'throw', message: 'no', position: null };
const failed = (attr: string): object => ({ kind: 'failed', attr, attrPath: [attr], failure });
const told = (drvPath: string, more: object = {}): Buffer =>
  record({ kind: 'derivation', attr: 'a', attrPath: ['a'], drvPath, meta: null, metaError: null, ...more });
const complete = (records: number): object => ({ kind: 'complete', records, processes: 1, peakMib: 1 });
const answer = (end: object, more: object = {}): Buffer =>
  frame('answer', { version: 2, end, bounds: [], ...more });

function* endlessly(bytes: Buffer): Generator<Buffer> {
  for (;;) yield bytes;
}

const mib = 1024 * 1024;

/** Nobody is there any more who could read. */
const untilRefused = async (socket: Socket): Promise<void> => {
  while (!socket.destroyed) {
    socket.write('x');
    await setImmediate();
  }
};
const zeros = (count: number): string => `[${Array(count).fill(0).join()}]`;

const drv = `/no/store/${'0'.repeat(32)}-a.drv`;

describe('a runner that is not to be believed', () => {
  it.each<[what: string, says: Iterable<Buffer>, why: RegExp]>([
    ['says nothing', [], /went away without an answer\. Its log tells more/],
    ['says what is no frame', [Buffer.from('HTTP/1.1 200 OK\r\n\r\n')], /that is no frame/],
    ['breaks off', [event({ type: 'log', line: 'x' }).subarray(0, 9)], /ended in the middle/],
    ['announces more than there may be', [Buffer.from([0x76, 0xff, 0xff, 0xff, 0xff])], /that is no frame/],
    ['says what only a server says', [frame('request', '{}')], /request from a runner/],
    ['has output, as of a check', [frame('output', 'x')], /output from a runner/],
    ['has an event that is no JSON', [event('{')], /no JSON/],
    ['has an event of another kind', [event({ type: 'other' })], /understand each other/],
    ['has a record of another kind', [record({ ...failed('a'), kind: 'other' })], /understand each other/],
    ['has a record with more in it', [record({ ...failed('a'), more: 1 })], /Unrecognized key/],
    ['names what is no derivation', [told('/etc/passwd')], /passwd/],
    ['names a derivation of another store', [told(drv.replace('/no/', '/nix/'))], /nix\/store/],
    ['leads out of the store', [told(`/no/store/../${'0'.repeat(32)}-a.drv`)], /no\/store/],
    ['names a derivation that is not there', [told(drv)], /there is no derivation/],
    ['says what a derivation is', [told(drv, { name: 'a', system: 'x', outputs: {} })], /Unrecognized keys/],
    ['names an attribute as another', [record({ ...failed('a'), attr: 'b' })], /not the name of/],
    ['tells an attribute twice', [record(failed('a')), record(failed('a'))], /a was told twice/],
    ['leaves one out', [record(failed('a')), answer(complete(2))], /2 records were to come, and 1 came/],
    ['says more than it told', [record(failed('a')), answer(complete(0))], /0 records were to come/],
    ['warns without end', endlessly(event({ type: 'warning', message: 'x' })), /more than 100 warnings/],
    ['logs without end', endlessly(event({ type: 'log', line: 'x' })), /more than 5000 lines/],
    ['logs a line without end', [event({ type: 'log', line: 'x'.repeat(2001) })], /understand each other/],
    [
      'has an event of many parts',
      [event({ type: 'log', line: 'x'.repeat(5 * mib) })],
      /an event has 5\d{6} bytes/,
    ],
    [
      'has an answer of many parts',
      [answer({ kind: 'refused', why: zeros(mib) })],
      /an answer has 2\d{6} bytes/,
    ],
    [
      'has bounds of another type',
      [answer({ kind: 'refused', why: '' }, { bounds: JSON.parse(zeros(10_000)) as unknown })],
      /^[^]{50,1100}$/,
    ],
    ['has an answer that is none', [answer({ kind: 'complete' })], /understand each other/],
    [
      'has the answer of a check',
      [frame('answer', { version: 2, result: { kind: 'cancelled', durationMs: 1 }, bounds: [] })],
      /none to an evaluation/,
    ],
    ['refuses', [answer({ kind: 'refused', why: 'install bubblewrap' })], /install bubblewrap/],
    [
      'does not understand',
      [frame('answer', { version: 2, result: { kind: 'refused', why: 'what?' }, bounds: [] })],
      /what\?/,
    ],
    [
      'is older',
      [frame('answer', { result: { kind: 'refused', why: 'version' }, bounds: [] })],
      /the runner is older \(protocol 1 and not 2\): install the same version/,
    ],
    ['is newer', [answer({ kind: 'other' }, { version: 3 })], /the runner is newer \(protocol 3 and not 2\)/],
  ])('gives no jobset, and may be asked again: %s', async (_what, says, why) => {
    const { end } = await evaluateBy({ says });
    expect(end).toEqual({
      kind: 'failed',
      failure: { kind: 'killed', message: matching(why), position: null },
    });
  });

  it.each<[what: string, script: Script]>([
    ['never answers', { says: [], stays: true }],
    [
      'is for ever about to be done',
      { says: endlessly(event({ type: 'progress', evaluated: 1, failed: 0, known: 2 })) },
    ],
  ])('has the time of the evaluation, and no more: %s', async (_what, script) => {
    const { end } = await evaluateBy(script, 100);
    expect(end).toMatchObject({
      kind: 'failed',
      failure: { kind: 'timeout', message: matching(/no answer/) },
    });
  });

  it('has no control characters in what it says', async () => {
    const line = 'red \u001b[31mtext\u001b[0m\u0007';
    const says = [
      event({ type: 'log', line }),
      event({ type: 'warning', message: line }),
      answer(complete(0)),
    ];
    const { logs, warnings } = await evaluateBy({ says });
    expect([logs, warnings]).toEqual([['red text'], ['red text']]);
  });

  it('is not there: says what to do', async () => {
    const { end } = await evaluateOver(() => connectRunner('/nowhere/socket'), 1000);
    const message = matching(
      /no sandbox answers at \/nowhere\/socket \(ENOENT\): is its socket unit started/,
    );
    expect(end).toMatchObject({ failure: { kind: 'killed', message } });
  });

  it('has answered and does not go: it is left', { timeout: 20_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-stays-'));
    const sockets: Socket[] = [];
    // Like one that waits for what it ran: it neither closes its side nor minds that we have closed ours.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {}).resume();
      socket.write(answer(complete(0)));
    });
    server.listen(join(folder, 'socket'));
    await once(server, 'listening');
    try {
      const { end } = await evaluateOver(() => connectRunner(join(folder, 'socket'), 50), 20_000);
      expect(end).toMatchObject({ kind: 'complete', records: 0 });
      await Promise.all(sockets.map(async (socket) => socket.writable && (await untilRefused(socket))));
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('has the time of the evaluation, and no more: does not even listen', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-deaf-'));
    writeFileSync(join(tree, 'large'), Buffer.alloc(16 * 1024 * 1024));
    const server = createServer({ pauseOnConnect: true });
    const sockets: Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    server.listen(join(folder, 'socket'));
    await once(server, 'listening');
    try {
      const { end } = await evaluateOver(() => connectRunner(join(folder, 'socket'), 50), 100);
      expect(end).toMatchObject({ failure: { kind: 'timeout', message: matching(/no answer/) } });
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
      for (const path of [folder, join(tree, 'large')]) rmSync(path, { recursive: true });
    }
  });
});

describe('a runner of a check that is not to be believed', () => {
  const runBy = async (script: Script) => {
    const connect = async () => scripted(script);
    const sandbox = createRunnerClient({ connect, seesFolders: false, graceMs: 50 });
    const { result, output } = await runScript(sandbox, tree, 'true', { limits: { timeoutMs: 50 } });
    return { result, bytes: output.length };
  };
  const refused = (why: RegExp): unknown => ({ kind: 'refused', why: matching(why) });
  const output = frame('output', 'x'.repeat(mib / 2));
  const cancelled = { kind: 'cancelled', durationMs: 1 };

  it('has the time of the check, and no more', async () => {
    const why = /^the sandbox gave no answer in 0\.1 s$/;
    expect((await runBy({ says: [], stays: true })).result).toEqual(refused(why));
    const late = { version: 2, result: cancelled, bounds: [] };
    const connection = scripted({ says: [], stays: true });
    const connect = async (): Promise<RunnerConnection> => ({
      ...connection,
      close: async () => {
        connection.input.push(frame('answer', late));
        connection.input.push(null);
      },
    });
    const sandbox = createRunnerClient({ connect, seesFolders: false, graceMs: 50 });
    const outcome = await runScript(sandbox, tree, 'true', { limits: { timeoutMs: 50 } });
    expect(outcome.result).toEqual(refused(why));
  });

  it('has the output of the check, and no more', async () => {
    expect(await runBy({ says: endlessly(output) })).toEqual({
      result: refused(/more than 1 MiB of output/),
      bytes: mib,
    });
  });

  it.each([
    ['of many parts', { bounds: [zeros(mib)] }, /an answer has 2\d{6} bytes$/],
    ['of parts of another type', { bounds: JSON.parse(zeros(10_000)) as unknown }, /^[^]{50,1100}$/],
    ['of an older one', { version: 1 }, /the runner is older \(protocol 1 and not 2\): install the same/],
    ['of a newer one', { version: 3 }, /the runner is newer \(protocol 3 and not 2\): install the same/],
  ])('has an answer %s', async (_what, more, why) => {
    const { result } = await runBy({ says: [frame('answer', { version: 2, result: cancelled, ...more })] });
    expect(result).toEqual(refused(why));
  });

  it('is of another version, and has gone before it was asked: its answer is what is told', async () => {
    const answer = frame('answer', { version: 3, result: cancelled, bounds: [] });
    const connection = scripted({ says: [answer] });
    connection.output.destroy();
    const sandbox = createRunnerClient({ connect: async () => connection, seesFolders: false });
    const { result } = await runScript(sandbox, tree, 'true', {});
    expect(result).toEqual(refused(/the runner is newer \(protocol 3 and not 2\)/));
  });
});
