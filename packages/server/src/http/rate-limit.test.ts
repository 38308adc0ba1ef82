import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ErrorBody } from '@eka-ci/protocol/error';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttpApp } from './app.ts';
import { listen } from './listen.ts';
import { ask } from './testing/raw-request.ts';
import { httpOptions, type Served, serve } from './testing/served.ts';

let served: Served;
const limits = { readsPerMinute: 3, writesPerMinute: 1 };
beforeAll(async () => {
  served = await serve({
    options: { ...httpOptions, trustedProxies: ['127.0.0.0/8'], rateLimits: limits },
  });
});
afterAll(() => served.close());

type Asked = { method?: 'GET' | 'HEAD' | 'POST'; url?: string; headers?: Record<string, string> };
const statusFrom = async (remoteAddress: string, { url = '/v1/healthz', ...more }: Asked = {}) =>
  (await served.app.inject({ url, remoteAddress, ...more })).statusCode;

describe('an address', () => {
  it('may ask so often, and is then told when it may again', async () => {
    const from = '192.0.2.1';
    const answers = [
      await statusFrom(from),
      await statusFrom(from, { method: 'HEAD' }),
      // What leads nowhere counts too.
      await statusFrom(from, { url: '/v1/nothing' }),
    ];
    expect(answers).toEqual([200, 200, 404]);
    const refused = await served.app.inject({ url: '/v1/prs', remoteAddress: from });
    expect(refused.statusCode).toBe(429);
    expect(ErrorBody.parse(refused.json()).error).toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringMatching(/^this address may ask 3 times a minute: try again in \d+ s$/) as string,
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.headers).toMatchObject({ 'x-frame-options': 'DENY', 'cache-control': 'no-store' });
    expect(await statusFrom(from, { url: '/v1/nothing' })).toBe(429);
    expect(await statusFrom('192.0.2.2')).toBe(200);
  });

  it('may write less often than read, each by itself', async () => {
    const from = '192.0.2.3';
    const write = () => statusFrom(from, { method: 'POST', url: '/v1/prs' });
    expect([await write(), await write(), await statusFrom(from)]).toEqual([405, 429, 200]);
  });

  it('is of IPv6 the network, and of IPv4 the same in whatever clothes', async () => {
    const addresses = [
      '2001:db8::1',
      '2001:db8::2',
      '2001:db8:0:0:ffff::3',
      '2001:db8::4',
      '2001:db8:0:1::1',
    ];
    const answers = [];
    for (const address of addresses) answers.push(await statusFrom(address));
    expect(answers).toEqual([200, 200, 200, 429, 200]);
    const dressed = ['192.0.2.4', '::ffff:192.0.2.4', '::ffff:c000:204', '192.0.2.4'];
    const same = [];
    for (const address of dressed) same.push(await statusFrom(address));
    expect(same).toEqual([200, 200, 200, 429]);
  });

  it('is told by a trusted proxy alone', async () => {
    const behind = (client: string) => ({ headers: { 'x-forwarded-for': client } });
    const proxied = [];
    for (const client of ['198.51.100.1', '198.51.100.1', '198.51.100.1', '198.51.100.1', '198.51.100.2']) {
      proxied.push(await statusFrom('127.0.0.1', behind(client)));
    }
    expect(proxied).toEqual([200, 200, 200, 429, 200]);
    // The last one is what the proxy saw; what comes before is the client's own invention.
    expect(await statusFrom('127.0.0.1', behind('203.0.113.9, 198.51.100.1'))).toBe(429);
    const invented = [];
    for (const client of ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4']) {
      invented.push(await statusFrom('192.0.2.9', behind(client)));
    }
    expect(invented).toEqual([200, 200, 200, 429]);
    for (const odd of ['', 'x'.repeat(8000), 'fe80::1%eth0', ',,,']) {
      expect([200, 429]).toContain(await statusFrom('127.0.0.1', behind(odd)));
    }
    expect(served.faults).toEqual([]);
  });

  it('is none over the unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rate-limit-test-'));
    const socketPath = join(folder, 's');
    const listening = await listen(await createHttpApp(served.deps), {
      tcp: { address: '127.0.0.1', port: 0 },
      socket: { path: socketPath, mode: 0o600 },
      closeTimeoutMs: 1000,
    });
    const { address: host, port } = listening.tcp ?? { address: '', port: 0 };
    const answers = [];
    for (let count = 0; count < 5; count++) {
      const over = [ask({ socketPath }, '/v1/healthz'), ask({ host, port }, '/v1/healthz')];
      answers.push((await Promise.all(over)).map(({ status }) => status));
    }
    expect(answers).toEqual([
      [200, 200],
      [200, 200],
      [200, 200],
      [200, 429],
      [200, 429],
    ]);
    await listening.close();
    await rm(folder, { recursive: true });
  });
});
