// The client against a server that answers anything.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Health } from '@eka-ci/protocol/operations';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient, defaultLimits } from './client.ts';
import { findServer } from './find-server.ts';

let folder: string;
let server: Server;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ekaci-client-'));
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const clientOf = async (listener: RequestListener) => {
  server = createServer(listener);
  const path = join(folder, 'socket');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const endpoint = await findServer({ kind: 'sockets', paths: [join(folder, 'none'), path] });
  return createClient(endpoint, { idleTimeoutMs: 100, totalTimeoutMs: 300, maxBytes: 1000 });
};

const health = async (listener: RequestListener) => (await clientOf(listener)).get('/v1/healthz', Health);

describe('a client', () => {
  it('finds the socket that answers, and gives the answer', async () => {
    expect(await health((_request, response) => response.end('{"status":"ok","more":1}'))).toEqual({
      status: 'ok',
    });
  });

  it('gives the code and the words of a server that says no', async () => {
    const details = [{ path: 'limit', message: 'too small' }];
    const body = { error: { code: 'REQUEST_INVALID', message: 'no', details } };
    const asked = health((_request, response) => response.writeHead(400).end(JSON.stringify(body)));
    await expect(asked).rejects.toMatchObject({
      code: 'SERVER_REFUSED',
      message: 'REQUEST_INVALID: no\n  limit: too small',
    });
  });

  it.each([
    ['another program', 200, '<html>'],
    ['an answer of another form', 200, '{"status":"well"}'],
    ['a page of a proxy', 502, '<html>'],
    ['a redirect', 302, ''],
  ])('does not understand %s', async (_name, status, body) => {
    const asked = health((_request, response) => response.writeHead(status).end(body));
    await expect(asked).rejects.toMatchObject({ code: 'ANSWER_NOT_UNDERSTOOD' });
  });

  it('bounds the size of an answer', async () => {
    const large = health((_request, response) => response.end('x'.repeat(1001)));
    await expect(large).rejects.toMatchObject({ code: 'ANSWER_TOO_LARGE' });
  });

  it('bounds the time of one that never begins, and of one that never ends', async () => {
    await expect(health(() => {})).rejects.toMatchObject({ code: 'SERVER_TOO_SLOW' });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const trickle = health((_request, response) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.once('close', () => clearInterval(timer));
    });
    await expect(trickle).rejects.toMatchObject({ code: 'SERVER_TOO_SLOW' });
  });

  it('streams any length, and tells when the rest did not come', async () => {
    const client = await clientOf((request, response) => {
      response.writeHead(200, { 'content-length': '6000' });
      // The first piece ends within a character.
      const text = Buffer.from(`${'é'.repeat(2000)}${'x'.repeat(2000)}`);
      response.write(text.subarray(0, 1999));
      const rest = () => response.end(text.subarray(1999));
      setTimeout(request.url === '/cut' ? () => response.destroy() : rest, 20);
    });
    const read = async (path: string): Promise<string> => {
      let text = '';
      for await (const piece of client.stream(path)) text += piece;
      return text;
    };
    expect(await read('/whole')).toBe(`${'é'.repeat(2000)}${'x'.repeat(2000)}`);
    await expect(read('/cut')).rejects.toMatchObject({ code: 'ANSWER_CUT_SHORT' });
    await expect(read('/cut')).rejects.toThrow(/broke before the answer was whole/);
  });

  it('is not kept waiting by a server that hangs, once nobody wants the answer', async () => {
    const asked = Promise.withResolvers<void>();
    await clientOf((_request, response) => {
      response.write('{"status":');
      asked.resolve();
    });
    const given = new AbortController();
    const endpoint = { kind: 'socket', path: join(folder, 'socket') } as const;
    const client = createClient(endpoint, { ...defaultLimits, signal: given.signal });
    const answer = client.get('/v1/healthz', Health);
    const pieces = client.stream('/v1/logs/x')[Symbol.asyncIterator]();
    expect((await pieces.next()).value).toBe('{"status":');
    await asked.promise;
    given.abort();
    await expect(answer).rejects.toMatchObject({ code: 'SERVER_TOO_SLOW' });
    await expect(pieces.next()).rejects.toMatchObject({ code: 'SERVER_TOO_SLOW' });
    await expect(client.get('/v1/healthz', Health)).rejects.toMatchObject({ code: 'SERVER_TOO_SLOW' });
  });

  it('tells which sockets it tried', async () => {
    await clientOf(() => {});
    const paths = [join(folder, 'none'), join(folder, 'socket', 'below')];
    await expect(findServer({ kind: 'sockets', paths })).rejects.toThrow(
      `  ${paths[0]}: does not exist\n  ${paths[1]}: does not exist`,
    );
  });
});
