// A live connection against a server that says anything, or nothing.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LiveEvent } from '@eka-ci/protocol/live';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type LiveConnection, openLive } from './live.ts';
import { LiveQueue } from './live-queue.ts';

let folder: string;
let server: Server;
let sockets: WebSocketServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ekaci-live-'));
});
afterEach(async () => {
  for (const client of sockets?.clients ?? []) client.terminate();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const listen = async (onConnection: (client: WebSocket) => void) => {
  server = createServer((_request, response) => {
    response.writeHead(503).end('{"error":{"code":"SERVER_NOT_READY","message":"later"}}');
  });
  const path = join(folder, 'socket');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  sockets = new WebSocketServer({ server, path: '/v1/ws/builds' });
  sockets.on('connection', onConnection);
  return { kind: 'socket', path } as const;
};

const read = async (connection: LiveConnection): Promise<LiveEvent[]> => {
  const events: LiveEvent[] = [];
  for await (const event of connection.events) events.push(event);
  return events;
};

describe('a live connection', () => {
  it('is not waited for where it hangs, once nobody wants it', async () => {
    const knocked = Promise.withResolvers<void>();
    const endpoint = await listen(() => {});
    server.removeAllListeners('upgrade').on('upgrade', () => knocked.resolve());
    const given = new AbortController();
    const opening = openLive(endpoint, given.signal);
    await knocked.promise;
    given.abort();
    await expect(opening).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await expect(openLive(endpoint, given.signal)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });

  it('gives what it knows and passes over what only newer servers say, until it is closed here', async () => {
    const heard: string[] = [];
    const endpoint = await listen((client) => {
      client.send('{"type":"news_of_tomorrow","more":1}');
      client.send('{"type":"skipped","events":2,"more":1}');
      client.on('message', (data: Buffer) => {
        heard.push(data.toString());
        client.send('{"type":"subscribed","to":{"resource":"allbuilds"}}');
      });
    });
    const connection = await openLive(endpoint);
    connection.send({ type: 'subscribe', resource: 'allbuilds' });
    const events: LiveEvent[] = [];
    for await (const event of connection.events) {
      events.push(event);
      if (event.type === 'subscribed') connection.close();
    }
    expect(events).toEqual([
      { type: 'skipped', events: 2 },
      { type: 'subscribed', to: { resource: 'allbuilds' } },
    ]);
    expect(heard).toEqual(['{"type":"subscribe","resource":"allbuilds"}']);
    connection.send({ type: 'subscribe', resource: 'allbuilds' });
    connection.close();
  });

  it.each<[string, (client: WebSocket) => void, string, RegExp]>([
    ['the server ends', (client) => client.close(1001), 'LIVE_CONNECTION_LOST', /the server ends/],
    ['it breaks', (client) => client.terminate(), 'LIVE_CONNECTION_LOST', /it broke/],
    ['it is no JSON', (client) => client.send('hello'), 'ANSWER_NOT_UNDERSTOOD', /no JSON/],
    ['it is another', (client) => client.send('{"type":"skipped"}'), 'ANSWER_NOT_UNDERSTOOD', /skipped/],
    ['it is binary', (client) => client.send(Buffer.alloc(9)), 'ANSWER_NOT_UNDERSTOOD', /no JSON/],
  ])('tells its reader when %s', async (_name, act, code, message) => {
    const connection = await openLive(await listen(act));
    await expect(read(connection)).rejects.toMatchObject({ code, message });
  });

  it('is refused in the words of the server, and missed where there is none', async () => {
    const endpoint = await listen(() => {});
    sockets.shouldHandle = () => false;
    await expect(openLive(endpoint)).rejects.toMatchObject({ code: 'ANSWER_NOT_UNDERSTOOD' });
    sockets.close();
    server.removeAllListeners('upgrade');
    await expect(openLive(endpoint)).rejects.toMatchObject({
      code: 'SERVER_REFUSED',
      message: 'SERVER_NOT_READY: later',
    });
    const none = openLive({ kind: 'socket', path: join(folder, 'none') });
    await expect(none).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await expect(openLive({ kind: 'url', url: 'http://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
    });
    server.close();
    await once(server, 'close');
  });
});

it('keeps what comes within its bound, in order, and tells how much it left out', async () => {
  const actions = fc.array(fc.oneof(fc.record({ size: fc.nat(60) }), fc.constant('read' as const)));
  await fc.assert(
    fc.asyncProperty(actions, async (all) => {
      const queue = new LiveQueue(100);
      const reader = queue[Symbol.asyncIterator]();
      const seen: LiveEvent[] = [];
      let added = 0;
      for (const one of all) {
        if (one !== 'read') {
          added += 1;
          queue.add({ type: 'error', code: String(added), message: '' }, one.size);
        } else if (seen.length < added) {
          const counted = seen.reduce((sum, event) => sum + (event.type === 'skipped' ? event.events : 1), 0);
          const next = counted < added ? await reader.next() : null;
          if (next !== null && next.done !== true) seen.push(next.value);
        }
      }
      queue.end(null);
      for (let next = await reader.next(); next.done !== true; next = await reader.next())
        seen.push(next.value);
      let number = 0;
      for (const event of seen) {
        number += event.type === 'skipped' ? event.events : 1;
        if (event.type === 'error') expect(event.code).toBe(String(number));
      }
      expect(number).toBe(added);
    }),
  );
});
