import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import type { PushProgress } from '../cache.ts';
import { type ScriptedCache, startScriptedCache } from '../testing/scripted-cache.ts';
import { openWebClient, type WebClient } from '../web-client.ts';
import { openRelay, type Relay } from './relay.ts';

const calm = new AbortController().signal;

describe('the relay', () => {
  let web: ScriptedCache;
  let client: WebClient;
  let relay: Relay;
  let told: PushProgress[];
  beforeAll(async () => {
    web = await startScriptedCache();
    client = await openWebClient(
      {
        guard: createDestinationGuard({ allowPrivate: true }),
        destination: web.url,
        origin: new URL(web.url).origin,
        authorize: () => ({ authorization: 'Bearer theirs' }),
        certificatesFile: undefined,
      },
      calm,
    );
    told = [];
    const onProgress = (progress: PushProgress) => void told.push(progress);
    const absent = new Set(['lacked.narinfo']);
    relay = await openRelay({ client, base: `${web.url}cache/`, absent, onProgress, signal: calm });
  });
  afterAll(async () => {
    await relay.close();
    client.close();
    await web.stop();
  });
  beforeEach(() => web.follow(() => 'keep'));

  const authorization = () => {
    const [, user = '', password = ''] = /login (\S+)\npassword (\S+)/.exec(relay.netrc) ?? [];
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  };
  const ask = async (
    method: string,
    path: string,
    headers: Record<string, string>,
    body = '',
  ): Promise<number> => {
    const [host = '', port = ''] = relay.host.split(':');
    const asked = request({ host, port, method, path, headers });
    asked.end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    return answer.statusCode ?? 0;
  };

  it('passes files on for one who knows its password, and counts them', async () => {
    const ours = { authorization: authorization() };
    expect(await ask('GET', '/nix-cache-info', ours)).toBe(404);
    expect(await ask('PUT', '/nar/a.nar.xz', ours, 'twelve bytes')).toBe(201);
    expect(await ask('PUT', '/b.narinfo', ours, 'four')).toBe(201);
    expect(await ask('GET', '/b.narinfo', ours)).toBe(200);
    expect(relay.sent()).toEqual({ sentPaths: 1, sentBytes: 16 });
    expect(told.at(-1)).toEqual(relay.sent());
    expect([...web.files.keys()]).toEqual(['/cache/nar/a.nar.xz', '/cache/b.narinfo']);
    expect(new Set(web.requests.map((one) => one.authorization))).toEqual(new Set(['Bearer theirs']));
    expect(relay.fault()).toBeNull();
  });

  it('asks no more for what is known to be missing, until it was written', async () => {
    const ours = { authorization: authorization() };
    const before = web.requests.length;
    expect(await ask('GET', '/lacked.narinfo', ours)).toBe(404);
    expect(await ask('HEAD', '/lacked.narinfo', ours)).toBe(404);
    expect(web.requests.length).toBe(before);
    expect(await ask('PUT', '/lacked.narinfo', ours, 'four')).toBe(201);
    expect(await ask('GET', '/lacked.narinfo', ours)).toBe(200);
    expect(await ask('HEAD', '/lacked.narinfo', ours)).toBe(200);
    expect(web.requests.length).toBe(before + 3);
  });

  it.each([
    ['nothing', {}],
    ['another password', { authorization: `Basic ${Buffer.from('eka-ci:guess').toString('base64')}` }],
    ['another scheme', { authorization: 'Bearer theirs' }],
  ])('passes nothing on for one who knows %s', async (_, headers) => {
    const before = web.requests.length;
    expect(await ask('PUT', '/nar/evil.nar', headers, 'evil')).toBe(401);
    expect(await ask('GET', '/b.narinfo', headers)).toBe(401);
    expect(web.requests.length).toBe(before);
  });

  it('passes nothing on to what is not below the cache, whatever is asked', async () => {
    const ours = { authorization: authorization() };
    const odd = fc.constantFrom(
      '..',
      '.',
      '/',
      '%2e%2e',
      '%2f',
      '?x',
      '#',
      '\\',
      'http://h/',
      ':',
      '@',
      'nar',
      'a.narinfo',
      ' ',
    );
    const path = fc.array(odd, { minLength: 1, maxLength: 6 }).map((parts) => `/${parts.join('')}`);
    await fc.assert(
      fc.asyncProperty(path, async (text) => {
        const before = web.requests.length;
        const [host = '', port = ''] = relay.host.split(':');
        const socket = connect(Number(port), host);
        socket.write(
          `GET ${text} HTTP/1.1\r\nHost: x\r\nAuthorization: ${ours.authorization}\r\nConnection: close\r\n\r\n`,
        );
        socket.resume();
        await once(socket, 'close');
        for (const one of web.requests.slice(before)) {
          expect(one.path).toMatch(/^\/cache\/[A-Za-z0-9./]+$/);
          expect(one.path.split('/')).not.toContain('..');
        }
      }),
      { numRuns: 60 },
    );
    expect(await ask('DELETE', '/b.narinfo', ours)).toBe(400);
    expect(await ask('POST', '/b.narinfo', ours)).toBe(400);
  });

  it('keeps what went wrong first', async () => {
    web.follow(() => ({ status: 507 }));
    expect(await ask('PUT', '/c.narinfo', { authorization: authorization() }, 'x')).toBe(507);
    web.follow(() => ({ status: 401 }));
    expect(await ask('PUT', '/c.narinfo', { authorization: authorization() }, 'x')).toBe(401);
    expect(relay.fault()).toMatchObject({ kind: 'passing', why: expect.stringContaining('507') as string });
  });
});
