// Tokens for remote servers: where they come from, whom they are shown, and that nothing else shows them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Health } from '@eka-ci/protocol/operations';
import { expect, it, onTestFinished } from 'vitest';
import { createClient } from './client.ts';
import { authorizationOf, type ServerToken, tokenFor } from './server-token.ts';

const secret = 'canary-5f0e';
const remote = 'https://ci.example.org';

const textOf = (token: ServerToken | null): string | null =>
  token === null ? null : authorizationOf(token).authorization;

it('is what was given, before what a file or the environment has', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-token-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'of-the-file\n');
  const env = { EKA_CI_TOKEN: 'of-the-environment' };
  expect(textOf(await tokenFor(remote, { token: secret }, env))).toBe(`Bearer ${secret}`);
  expect(textOf(await tokenFor(remote, { tokenFile }, env))).toBe('Bearer of-the-file');
  expect(textOf(await tokenFor(remote, {}, env))).toBe('Bearer of-the-environment');
  expect(await tokenFor(remote, {}, { EKA_CI_TOKEN: '' })).toBeNull();

  await writeFile(tokenFile, `${secret}\nmore`);
  for (const chosen of [
    { tokenFile },
    { tokenFile: folder },
    { token: `${secret}\r\nx: y` },
    { token: '' },
  ]) {
    const said = await tokenFor(remote, chosen, {}).catch((error: unknown) => error);
    expect(said).toMatchObject({ code: 'TOKEN_INVALID' });
    expect(inspect(said)).not.toContain(secret);
  }
});

it('goes over plain http to this machine alone', async () => {
  for (const url of ['http://127.0.0.1:3030', 'http://[::1]:3030', 'http://localhost', 'http://127.1']) {
    expect(textOf(await tokenFor(url, { token: secret }, {})), url).toBe(`Bearer ${secret}`);
  }
  for (const url of [
    'http://ci.example.org',
    'http://127.0.0.1.example.org',
    'http://10.0.0.1',
    'http://[::2]',
  ]) {
    const said = await tokenFor(url, {}, { EKA_CI_TOKEN: secret }).catch((error: unknown) => error);
    expect(said, url).toMatchObject({ code: 'TOKEN_IN_THE_CLEAR' });
    expect(inspect(said)).not.toContain(secret);
  }
  expect(await tokenFor('http://ci.example.org', {}, {})).toBeNull();
});

it('is sent with each request, in one header, and shown by nothing', async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"status":"ok"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const token = await tokenFor(url, { token: secret }, {});
  if (token === null) throw new Error('a token was given');
  const endpoint = { kind: 'url', url, token } as const;
  const client = createClient(endpoint);
  await client.get('/v1/healthz', Health);
  await client.post('/v1/healthz', { a: 1 }, Health);
  expect(seen).toEqual([`Bearer ${secret}`, `Bearer ${secret}`]);
  expect(inspect([client, endpoint], { depth: 9, showHidden: true })).not.toContain(secret);
  expect(JSON.stringify([client, endpoint])).not.toContain(secret);
});
