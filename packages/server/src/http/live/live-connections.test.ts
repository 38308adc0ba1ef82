// Live connections on a real server: a port and a unix socket, clients of all manners.
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrvPath } from '@eka-ci/core/ids';
import { ErrorBody } from '@eka-ci/protocol/error';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RecordedTransition } from '../../database/database.ts';
import { newPath, step } from '../../database/testing/samples.ts';
import { createLogFile } from '../../lib/log-file.ts';
import { logFileOf } from '../../pipeline/builds/run-attempt.ts';
import { createLiveFeed, type LiveFeed } from '../../pipeline/live/live-feed.ts';
import { createHttpApp } from '../app.ts';
import { type Listening, listen } from '../listen.ts';
import { type LiveClient, ofType, openLiveClient } from '../testing/live-client.ts';
import { ask, sendAndWait, type Target } from '../testing/raw-request.ts';
import { newChange, recordLog, type Served, serve } from '../testing/served.ts';
import { createLiveConnections, type LiveConnections, type LiveLimits } from './live-connections.ts';

let served: Served;
let app: FastifyInstance;
let feed: LiveFeed;
let live: LiveConnections;
let listening: Listening;
let folder: string;
let clients: LiveClient[];

const start = async (limits: Partial<LiveLimits> = {}): Promise<void> => {
  feed = createLiveFeed();
  live = createLiveConnections({ feed, storeDir: '/nix/store', limits });
  app = await createHttpApp({ ...served.deps, live });
  listening = await listen(
    app,
    {
      tcp: { address: '127.0.0.1', port: 0 },
      socket: { path: join(folder, 'live.socket'), mode: 0o600 },
      closeTimeoutMs: 2000,
    },
    live,
  );
};
const tcp = (): Target => ({ host: '127.0.0.1', port: listening.tcp?.port ?? 0 });
const unix = (): Target => ({ socketPath: join(folder, 'live.socket') });
const open = async (target: Target = tcp(), headers: Record<string, string> = {}): Promise<LiveClient> => {
  const client = await openLiveClient(target, headers);
  clients.push(client);
  return client;
};

beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'live-test-'));
  clients = [];
});
afterEach(async () => {
  for (const { webSocket } of clients) webSocket.terminate();
  await listening.close();
  await rm(folder, { recursive: true, force: true });
});

const patience = { timeout: 20_000 };
const drv = newPath('followed-1.0');
let sequence = 0;
const recorded = (path: DrvPath, from: RecordedTransition['from'], to: RecordedTransition['to']) => {
  sequence += 1;
  return { ...step(path, from, to), sequence };
};
const follow = async (client: LiveClient, resource: object): Promise<void> => {
  const from = client.events.length;
  client.send({ type: 'subscribe', ...resource });
  await client.wait(ofType('subscribed'), from);
};

describe('a live connection', () => {
  it.each(['port', 'socket'])(
    'tells over the %s what is followed, in order, and nothing else',
    async (over) => {
      await start();
      const client = await open(over === 'port' ? tcp() : unix());
      await follow(client, { resource: 'drv', id: drv.slice('/nix/store/'.length) });
      const log = feed.logs.open({ drv, attempt: 2 }, { written: () => Promise.resolve() });
      feed.recorded([recorded(newPath('other-1.0'), null, 'queued'), recorded(drv, 'buildable', 'building')]);
      log.line('\u001b[31mred\u001b[0m "quoted"');
      log.line('é'.repeat(40_000));
      feed.changeMoved(newChange('judged'));
      feed.recorded([recorded(drv, 'building', 'succeeded')]);
      await client.wait((event) => ofType('build_state_change')(event) && event.to === 'succeeded');
      expect(client.events.slice(1).map(({ type }) => type)).toEqual([
        'build_state_change',
        'log_line',
        'log_line',
        'build_state_change',
      ]);
      const [first, long] = client.events.filter(ofType('log_line'));
      expect(first).toEqual({
        type: 'log_line',
        drvPath: drv,
        attempt: 2,
        line: 1,
        text: '\u001b[31mred\u001b[0m "quoted"',
        cut: false,
      });
      expect([long?.line, long?.cut, long?.text.length]).toEqual([2, true, 16 * 1024]);
      client.send({ type: 'unsubscribe', resource: 'drv', id: drv });
      await client.wait(ofType('unsubscribed'));
      log.line('for nobody');
      await follow(client, { resource: 'allbuilds' });
      expect(client.events.filter(ofType('log_line'))).toHaveLength(2);
      expect(live.counts()).toMatchObject({ connections: 1, subscriptions: 1, sent: 4, skipped: 0 });
    },
  );

  it('says so to who comes without wanting one, from elsewhere, too often, or to the wrong place', async () => {
    await start({ maxPerAddress: 1 });
    const plain = await ask(tcp(), '/v1/ws/builds');
    expect([
      plain.status,
      plain.headers['upgrade'],
      ErrorBody.parse(JSON.parse(plain.body)).error.code,
    ]).toEqual([426, 'websocket', 'UPGRADE_REQUIRED']);
    const handshake = (path: string, more: string): Promise<string> =>
      sendAndWait(
        tcp(),
        `GET ${path} HTTP/1.1\r\nHost: ci.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\n${more}\r\n`,
      );
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    const codeIn = (answer: string) => [
      answer.slice(9, 12),
      ErrorBody.parse(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).error.code,
    ];
    expect(codeIn(await handshake('/v1/nothing', key))).toEqual(['404', 'ROUTE_NOT_FOUND']);
    expect(codeIn(await handshake('/v1/ws/builds', ''))).toEqual(['400', 'REQUEST_INVALID']);
    for (const origin of ['https://evil.example', 'http://ci.example.org:81', 'null', 'ci.example.org']) {
      const answer = await handshake('/v1/ws/builds', `${key}Origin: ${origin}\r\n`);
      expect(codeIn(answer), origin).toEqual(['403', 'ORIGIN_REFUSED']);
      expect(answer.toLowerCase()).toContain('\r\nconnection: close\r\n');
    }
    await open(tcp(), { host: 'ci.example.org', origin: 'https://ci.example.org' });
    expect(codeIn(await handshake('/v1/ws/builds', key))).toEqual(['503', 'LIVE_CONNECTIONS_EXCEEDED']);
    await open(unix());
    await open(unix());
    // Another protocol than ours is passed over, as if it had not been offered.
    expect((await ask(tcp(), '/v1/healthz', { connection: 'upgrade', upgrade: 'h2c' })).status).toBe(200);
  });

  it('is not to be had behind a request that is not answered yet', async () => {
    await start();
    const never = Promise.withResolvers<string>();
    const waiting = await createHttpApp({ ...served.deps, live });
    waiting.get('/never', () => never.promise);
    const other = await listen(waiting, {
      tcp: { address: '127.0.0.1', port: 0 },
      socket: null,
      closeTimeoutMs: 100,
    });
    const target = { host: '127.0.0.1', port: other.tcp?.port ?? 0 };
    const upgrade =
      'GET /v1/ws/builds HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
    expect(await sendAndWait(target, `GET /never HTTP/1.1\r\nHost: x\r\n\r\n${upgrade}`)).toBe('');
    expect((await ask(target, '/v1/healthz')).status).toBe(200);
    never.resolve('');
    await other.close();
  });

  it('survives every message that is none, and ends where they do not end', async () => {
    await start({ maxSubscriptions: 2 });
    const client = await open();
    const bad = [
      '',
      'subscribe',
      '[]',
      'null',
      '{"type":"subscribe"}',
      '{"type":"subscribe","resource":"drv"}',
      '{"type":"subscribe","resource":"commit","id":7}',
      `{"type":"subscribe","resource":"commit","id":"${'x'.repeat(2000)}"}`,
      '{"type":"subscribe","resource":"drv","id":"../../etc/passwd"}',
      `{"type":"subscribe","resource":"drv","id":"/elsewhere${drv}"}`,
      '{"type":"subscribe","resource":"__proto__","id":"x"}',
      `${'['.repeat(30_000)}`,
    ];
    for (const message of bad) client.send(message);
    client.webSocket.send(Buffer.from('{"type":"subscribe","resource":"allbuilds"}'), { binary: true });
    await vi.waitFor(() => expect(client.events).toHaveLength(bad.length + 1), patience);
    expect(new Set(client.events.map((event) => (event.type === 'error' ? event.code : event.type)))).toEqual(
      new Set(['MESSAGE_INVALID', 'DRV_INVALID']),
    );
    // It does not read while it asks, and is heard again once it does.
    client.webSocket.pause();
    for (let index = 0; index < 10_000; index++) {
      client.send({ type: 'subscribe', resource: 'change', id: String(index) });
    }
    client.webSocket.resume();
    await vi.waitFor(() => expect(client.events).toHaveLength(bad.length + 1 + 10_000), patience);
    expect(live.counts().subscriptions).toBe(2);
    expect(client.events.at(-1)).toMatchObject({ type: 'error', code: 'SUBSCRIPTIONS_EXCEEDED' });
    for (let index = 0; index < 30; index++) client.send('rubbish');
    expect(await client.closed).toBe(1008);
    const huge = await open();
    huge.send('x'.repeat(64 * 1024 + 1));
    expect(await huge.closed).toBe(1009);
    await vi.waitFor(
      () => expect(live.counts()).toMatchObject({ connections: 0, subscriptions: 0 }),
      patience,
    );
  });

  it('ends when nobody is there any more, and forgets what was followed', async () => {
    await start({ probeIntervalMs: 300 });
    const [gone, silent, alive] = [await open(), await open(), await open()];
    for (const client of [gone, silent, alive]) await follow(client, { resource: 'allbuilds' });
    gone.webSocket.terminate();
    // It neither reads nor answers.
    silent.webSocket.pause();
    await vi.waitFor(
      () => expect(live.counts()).toMatchObject({ connections: 1, subscriptions: 1 }),
      patience,
    );
    feed.recorded([recorded(drv, null, 'queued')]);
    await alive.wait(ofType('build_state_change'));
  });

  it('is closed as going away when the server ends, whether or not the client answers', async () => {
    await start();
    const [polite, silent] = [await open(), await open(unix())];
    await follow(polite, { resource: 'allbuilds' });
    silent.webSocket.pause();
    await listening.close();
    expect(await polite.closed).toBe(1001);
    expect(live.counts().connections).toBe(0);
    silent.webSocket.resume();
    await silent.closed;
  });
});

describe('a reader that is too slow', () => {
  const lines = 200_000;

  it('is told how much it missed, holds nobody up, and hears what comes later', async () => {
    await start();
    const [slow, other] = [await open(), await open(unix())];
    await follow(slow, { resource: 'drv', id: drv });
    await follow(other, { resource: 'allbuilds' });
    slow.webSocket.pause();
    const log = feed.logs.open({ drv, attempt: 1 }, { written: () => Promise.resolve() });
    const before = process.memoryUsage();
    for (let line = 1; line <= lines; line++) {
      log.line('x'.repeat(100));
      // As a build does it: the loop turns meanwhile.
      if (line % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    feed.recorded([recorded(drv, 'building', 'succeeded')]);
    await other.wait(ofType('build_state_change'));
    const after = process.memoryUsage();
    // Two batches wait here, and not the 37 MB of it all.
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8 * 1024 * 1024);
    slow.webSocket.resume();
    await slow.wait(ofType('skipped'));
    let more = 0;
    let heard = false;
    // It may still be behind when it was told for the first time.
    const hearing = slow
      .wait((event) => event.type === 'log_line' && event.line > lines)
      .then(() => (heard = true));
    for (; !heard; more++) {
      log.line('more');
      await sleep(1);
    }
    await hearing;
    await follow(slow, { resource: 'commit', id: 'all before this is told' });
    const told = slow.events.filter(ofType('log_line'));
    const skipped = slow.events.filter(ofType('skipped')).reduce((sum, event) => sum + event.events, 0);
    // Every line, and the transition: none twice, none unheard of.
    const states = slow.events.filter(ofType('build_state_change'));
    expect(told.length + states.length + skipped).toBe(lines + more + 1);
    expect(skipped).toBe(live.counts().skipped);
    expect(skipped).toBeGreaterThan(lines / 2);
  });
});

describe('a log that is read while it is written', () => {
  it('has every line that was told before it was asked for', async () => {
    await start();
    const path = join(served.logsDir, 'slow-disk.log');
    await writeFile(path, 'first\n');
    const name = await recordLog(served, 'slow-disk.log');
    const followed = feed.logs.open(
      { drv: `/nix/store/${name}` as DrvPath, attempt: 1 },
      { written: () => appendFile(path, 'told already\n') },
    );
    expect((await ask(tcp(), `/v1/logs/${name}`)).body).toBe('first\ntold already\n');
    followed.close();
    expect((await ask(tcp(), `/v1/logs/${name}`)).body).toBe('first\ntold already\n');
  });

  it('joins what was logged with what is told, without a gap and without a double', async () => {
    await start();
    const attempt = { drv: served.failed, attempt: 3 };
    await served.database.builds.recordTransitions([
      step(attempt.drv, 'failed', 'queued', { attempt: 3 }),
      step(attempt.drv, 'queued', 'buildable', { attempt: 3 }),
      step(attempt.drv, 'buildable', 'building', { attempt: 3 }),
    ]);
    const path = join(served.logsDir, logFileOf(attempt.drv, attempt.attempt));
    const log = createLogFile({ path, maxBytes: 64 * 1024 * 1024 });
    const followed = feed.logs.open(attempt, log);
    let isOver = false;
    const writing = (async () => {
      for (let line = 1; !isOver; line++) {
        log.write(`line ${line}`);
        followed.line(`line ${line}`);
        if (line % 7 === 0) await sleep(1);
      }
    })();
    for (let join = 0; join < 15; join++) {
      const client = await open();
      await follow(client, { resource: 'drv', id: attempt.drv });
      const { body } = await ask(tcp(), `/v1/logs/${served.drv}`);
      // The last piece may be half a line: it is told whole.
      const lines = body.split('\n').slice(0, -1);
      const next = await client.wait((event) => event.type === 'log_line' && event.line > lines.length);
      expect(next).toMatchObject({ line: lines.length + 1, text: `line ${lines.length + 1}` });
      expect(lines.every((line, index) => line === `line ${index + 1}`)).toBe(true);
      client.webSocket.terminate();
    }
    isOver = true;
    await writing;
    await log.close();
  });
});
