// A download from a server that may answer anything.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { useTestFolder } from '../../git/testing/test-repository.ts';
import { download } from './download.ts';
import { type LoopbackFiles, serveFiles } from './testing/loopback-files.ts';

const folder = useTestFolder();
let files: LoopbackFiles;

beforeEach(async () => {
  files = await serveFiles((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const to = url.searchParams.get('to');
    if (to !== null) return void response.writeHead(302, { location: to }).end();
    switch (url.pathname) {
      case '/file':
        return void response.end('content');
      case '/endless': {
        const more = (): void =>
          void (response.write(Buffer.alloc(64 * 1024)) ? setImmediate(more) : response.once('drain', more));
        return more();
      }
      case '/cut':
        response.writeHead(200, { 'content-length': '100' }).write('half');
        return void setImmediate(() => response.destroy());
      case '/silent':
        return void response.write('begun');
      case '/mute':
        return;
      case '/upgrade':
        return void request.socket.end(
          'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
        );
      default:
        return void response.writeHead(404).end('no');
    }
  });
});
afterEach(() => files.close());

const { signal } = new AbortController();
const file = (): string => join(folder(), 'file');
/** As long as a busy machine may take for an answer, save where silence is what is asked for. */
const idleMsOf = (url: string): number => (/\/(?:silent|mute)$/.test(url) ? 300 : 30_000);
const get = (url: string, asking = signal) =>
  download(files.guard, { url, file: file(), maxBytes: 1024 * 1024, idleTimeoutMs: idleMsOf(url) }, asking);

it('gets a file, over redirects, from the address that was judged and with nothing that says who we are', async () => {
  const redirected = `${files.origin}/?to=${encodeURIComponent(`${files.named}/file`)}`;
  expect(await get(redirected)).toEqual({ kind: 'done', sizeBytes: 7 });
  expect(await readFile(file(), 'utf8')).toBe('content');
  expect(files.seen.map(({ path }) => path).at(-1)).toBe('/file');
  for (const { headers } of files.seen) {
    expect(Object.keys(headers).toSorted()).toEqual(['accept', 'connection', 'host', 'user-agent']);
  }
});

const secretPlace = 'http://169.254.169.254/latest/meta-data/';
it.each<[string, () => string, RegExp]>([
  ['a private address', () => 'http://10.0.0.1/file', /no public/],
  ["a cloud's metadata", () => secretPlace, /no public/],
  ['a file', () => 'file:///etc/passwd', /no public/],
  ['an s3 URL', () => 's3://bucket', /no public/],
  ['a URL with a user', () => 'http://u:p@1.1.1.1/', /no public/],
  [
    'a redirect to metadata',
    () => `${files.origin}/?to=${encodeURIComponent(secretPlace)}`,
    /redirects.*no public/,
  ],
  ['a redirect to a file', () => `${files.origin}/?to=file:///etc/passwd`, /redirects.*no public/],
  ['a redirect to nowhere', () => `${files.origin}/?to=`, /redirects/],
  ['what is not there', () => `${files.origin}/none`, /answered 404/],
  ['more than is allowed', () => `${files.origin}/endless`, /larger than 1 MiB/],
  ['half of it', () => `${files.origin}/cut`, /ECONNRESET|aborted|too early/],
  ['a server that falls silent', () => `${files.origin}/silent`, /silent|no answer/],
  ['a server that never answers', () => `${files.origin}/mute`, /no answer/],
])('refuses %s', async (_, url, why) => {
  const got = await get(url());
  expect(got.kind === 'failed' ? got.why : got.kind).toMatch(why);
  // No address of ours is told to who wrote the URL.
  expect(JSON.stringify(got)).not.toMatch(/169\.254|10\.0\.0/);
});

it('sends a credential where it is for, also after a redirect there, and nowhere else', async () => {
  const other = await serveFiles((_, response) => void response.end('of the other'));
  const guard = {
    check: (url: string) => (url.startsWith(other.origin) ? other.guard : files.guard).check(url, signal),
  };
  const fetch = (url: string) =>
    download(
      guard,
      { url, file: file(), maxBytes: 1024, idleTimeoutMs: 30_000, authorization: 'Basic c2VjcmV0' },
      signal,
    );
  try {
    const leading = (to: string): string => `${files.origin}/?to=${encodeURIComponent(to)}`;
    expect(await fetch(leading('/file'))).toMatchObject({ kind: 'done' });
    expect(files.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Basic c2VjcmV0',
      'Basic c2VjcmV0',
    ]);
    // Another port is another server; and so is the same one by another name, and then again itself.
    expect(await fetch(leading(`${other.origin}/`))).toMatchObject({ kind: 'done' });
    const named = `${files.named}/?to=${encodeURIComponent(`${files.origin}/file`)}`;
    expect(await fetch(leading(named))).toMatchObject({ kind: 'done' });
    expect(other.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(files.seen.slice(-2).map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    // Only its own place is not judged.
    const inside = await fetch(leading(secretPlace));
    expect(inside).toMatchObject({
      kind: 'failed',
      why: expect.stringMatching(/redirects.*no public/) as string,
    });
    expect(JSON.stringify(inside)).not.toContain('c2VjcmV0');
  } finally {
    await other.close();
  }
});

it('does not wait for ever for a server that wants to speak of something else', async () => {
  expect(await get(`${files.origin}/upgrade`)).toEqual({ kind: 'failed', why: 'the server hung up' });
});

it('gives up where it is sent in circles', async () => {
  const circle = `${files.origin}/?to=${encodeURIComponent('/again')}`;
  const guard = { check: files.guard.check };
  const loop = await serveFiles((_, response) => void response.writeHead(302, { location: '/again' }).end());
  try {
    const got = await download(
      loop.guard,
      { url: `${loop.origin}/`, file: file(), maxBytes: 10, idleTimeoutMs: 30_000 },
      signal,
    );
    expect(got).toEqual({ kind: 'failed', why: 'it redirects more than 5 times' });
    expect(loop.seen).toHaveLength(6);
    expect(await guard.check(circle, signal)).toMatchObject({ kind: 'allowed' });
  } finally {
    await loop.close();
  }
});

it('ends with its caller, and tells a full disk from a bad server', async () => {
  const ending = new AbortController();
  const asked = get(`${files.origin}/mute`, ending.signal);
  ending.abort(new Error('ended'));
  await expect(asked).rejects.toThrow('ended');
  const nowhere = { url: `${files.origin}/file`, file: '/dev/full', maxBytes: 100, idleTimeoutMs: 30_000 };
  await expect(download(files.guard, nowhere, signal)).rejects.toThrow(/ENOSPC/);
});
