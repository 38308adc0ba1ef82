import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ErrorBody } from '@eka-ci/protocol/error';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHttpApp } from './app.ts';
import { type Listening, type ListenOptions, listen } from './listen.ts';
import { ask, sendAndWait, type Target } from './testing/raw-request.ts';
import { metricsToken, type Served, serve } from './testing/served.ts';

let served: Served;
let app: FastifyInstance;
let folder: string;
const open: Listening[] = [];

beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());
beforeEach(async () => {
  app = await createHttpApp(served.deps);
  folder = await mkdtemp(join(tmpdir(), 'listen-test-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await app.close();
  await rm(folder, { recursive: true, force: true });
});

const tcp = { address: '127.0.0.1', port: 0 };
const socketAt = (name: string) => ({ path: join(folder, 'run', name), mode: 0o600 });

const start = async (options: Partial<ListenOptions>, opened: FastifyInstance = app) => {
  const listening = await listen(opened, { tcp: null, socket: null, closeTimeoutMs: 5000, ...options });
  open.push(listening);
  return listening;
};
const portOf = ({ tcp: bound }: Listening): Target => ({
  host: bound?.address ?? '',
  port: bound?.port ?? 0,
});

/** The error body at the end of a raw answer. */
const errorIn = (answer: string) =>
  ErrorBody.parse(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).error;

describe('listen', () => {
  it('opens the same routes on a port and a private socket; only the socket needs no token', async () => {
    const socket = { ...socketAt('ekaci.socket'), mode: 0o660 };
    const listening = await start({ tcp, socket });
    expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o700);
    expect((await stat(socket.path)).mode & 0o777).toBe(0o660);
    const [port, unix] = [portOf(listening), { socketPath: socket.path }];
    for (const target of [port, unix]) expect((await ask(target, '/v1/healthz')).status).toBe(200);
    expect((await ask(unix, '/metrics')).status).toBe(200);
    expect((await ask(port, '/metrics')).status).toBe(401);
    expect((await ask(port, '/metrics', { authorization: `Bearer ${metricsToken}` })).status).toBe(200);
    await listening.close();
    await expect(stat(socket.path)).rejects.toThrow('ENOENT');
  });

  it('says which key to change where the port is taken, and leaves nothing open', async () => {
    const { tcp: taken } = await start({ tcp });
    const socket = socketAt('second.socket');
    const second = await createHttpApp(served.deps);
    const fault = start({ tcp: { ...tcp, port: taken?.port ?? 0 }, socket }, second);
    await expect(fault).rejects.toMatchObject({ code: 'LISTEN_PORT_IN_USE', message: /web\.port/ });
    await expect(stat(socket.path)).rejects.toThrow('ENOENT');
    const elsewhere = start({ tcp: { address: '192.0.2.1', port: 0 } }, second);
    await expect(elsewhere).rejects.toMatchObject({
      code: 'LISTEN_ADDRESS_UNAVAILABLE',
      message: /web\.address/,
    });
    await start({ socket }, second);
    expect((await ask({ socketPath: socket.path }, '/v1/healthz')).status).toBe(200);
    await open.pop()?.close();
    await second.close();
  });

  it("takes nobody else's place", async () => {
    const { path } = socketAt('ekaci.socket');
    const tryAt = (at: string) =>
      listen(app, { tcp: null, socket: { path: at, mode: 0o600 }, closeTimeoutMs: 0 });
    const long = join(folder, 'x'.repeat(120));
    await expect(tryAt(long)).rejects.toMatchObject({ code: 'LISTEN_SOCKET_PATH_TOO_LONG', message: /107/ });
    await start({ socket: socketAt('ekaci.socket') });
    const second = await createHttpApp(served.deps);
    const live = listen(second, { tcp: null, socket: { path, mode: 0o600 }, closeTimeoutMs: 0 });
    await expect(live).rejects.toMatchObject({ code: 'LISTEN_SOCKET_LIVE', message: /unix\.socket_path/ });
    await second.close();
    expect((await ask({ socketPath: path }, '/v1/healthz')).status).toBe(200);
    const file = join(folder, 'run', 'file');
    await writeFile(file, 'precious');
    await symlink(path, join(folder, 'run', 'link'));
    for (const taken of [file, join(folder, 'run', 'link')]) {
      await expect(tryAt(taken)).rejects.toMatchObject({ code: 'LISTEN_SOCKET_TAKEN' });
    }
    expect((await stat(file)).size).toBe(8);
  });

  it('trusts no folder that others may write to, nor one that cannot be made', async () => {
    const shared = join(folder, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o777);
    const at = (path: string) => start({ socket: { path, mode: 0o600 } });
    await expect(at(join(shared, 's'))).rejects.toMatchObject({ code: 'LISTEN_SOCKET_FOLDER' });
    await writeFile(join(folder, 'file'), '');
    await expect(at(join(folder, 'file', 's'))).rejects.toMatchObject({ code: 'LISTEN_SOCKET_FOLDER' });
  });

  it('takes over the socket of a server that was killed', async () => {
    const { path } = socketAt('ekaci.socket');
    await mkdir(join(folder, 'run'));
    const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', script, path]), 'exit');
    expect((await stat(path)).isSocket()).toBe(true);
    await start({ socket: socketAt('ekaci.socket') });
    expect((await ask({ socketPath: path }, '/v1/healthz')).status).toBe(200);
  });

  it('finishes what is under way when it closes, and takes nothing more', async () => {
    const gate = Promise.withResolvers<string>();
    const reached = Promise.withResolvers<undefined>();
    app.get('/slow', () => {
      reached.resolve(undefined);
      return gate.promise;
    });
    const listening = await start({ tcp });
    const answer = ask(portOf(listening), '/slow');
    await reached.promise;
    const closed = listening.close();
    await expect(ask(portOf(listening), '/v1/healthz')).rejects.toThrow('ECONNREFUSED');
    gate.resolve('done');
    expect((await answer).body).toBe('done');
    await closed;
  });

  it('cuts off what does not end in time', async () => {
    const reached = Promise.withResolvers<undefined>();
    const never = Promise.withResolvers<string>();
    app.get('/never', () => {
      reached.resolve(undefined);
      return never.promise;
    });
    const listening = await start({ tcp, closeTimeoutMs: 20 });
    const answer = ask(portOf(listening), '/never').catch((error: unknown) => String(error));
    await reached.promise;
    await listening.close();
    expect(await answer).toContain('socket hang up');
    never.resolve('');
  });
});

describe('a request that is none', () => {
  it('is answered in the same shape, and a slow one is cut off', async () => {
    app.post('/body', () => 'all of it');
    const limits = { headersTimeoutMs: 60, requestTimeoutMs: 120, checkIntervalMs: 10 };
    const target = portOf(await start({ tcp, limits }));
    const slowHead = await sendAndWait(target, 'GET /v1/healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    expect(slowHead).toMatch(/^HTTP\/1\.1 408 .*\r\n/);
    expect(slowHead.toLowerCase()).toContain('\r\nx-content-type-options: nosniff\r\n');
    expect(errorIn(slowHead).code).toBe('REQUEST_TIMEOUT');
    const head =
      'POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n';
    expect(errorIn(await sendAndWait(target, `${head}{"half": `)).code).toBe('REQUEST_TIMEOUT');
    const large = `GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(errorIn(await sendAndWait(target, large)).code).toBe('HEADERS_TOO_LARGE');
    expect(errorIn(await sendAndWait(target, 'EHLO example.org\r\n\r\n')).code).toBe('REQUEST_INVALID');
    expect((await ask(target, '/v1/healthz')).status).toBe(200);
  });

  it('is refused where its body is too large', async () => {
    app.post('/body', () => 'all of it');
    await app.ready();
    const payload = JSON.stringify('x'.repeat(1024 * 1024));
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'POST', url: '/body', payload, headers });
    expect([answer.statusCode, ErrorBody.parse(answer.json()).error.code]).toEqual([413, 'BODY_TOO_LARGE']);
  });
});
