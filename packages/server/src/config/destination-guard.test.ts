// Where a cache may be, in every way of writing it that somebody could think of.
import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import { describe, expect, it } from 'vitest';
import { destinationFault } from './destination.ts';
import {
  checkRedirect,
  createDestinationGuard,
  type DestinationGuard,
  pinnedLookup,
} from './destination-guard.ts';
import { allowedAtLoad, refusedAtLoad } from './testing/destinations.ts';

const { signal } = new AbortController();
const publicAddress = '1.1.1.1';

/** A guard whose DNS knows these names, and any other as a public one. */
const guardOf = (names: Readonly<Record<string, readonly string[]>> = {}): DestinationGuard =>
  createDestinationGuard({
    allowPrivate: false,
    lookup: async (name) => names[name] ?? [publicAddress],
  });

describe('a destination', () => {
  it.each(refusedAtLoad)('is refused as it stands: %j', async (url) => {
    expect(destinationFault(url, false)).toEqual(expect.any(String));
    expect(await guardOf().check(url, signal)).toMatchObject({ kind: 'refused' });
  });

  it.each(allowedAtLoad)('may be %j', async (url) => {
    expect(destinationFault(url, false)).toBeNull();
    expect(await guardOf().check(url, signal)).toMatchObject({ kind: 'allowed' });
  });

  it('may be anything once the guard is off', async () => {
    const off = createDestinationGuard({
      allowPrivate: true,
      lookup: () => Promise.reject(new Error('asked')),
    });
    for (const url of ['file:///srv/cache', 'http://127.0.0.1:1', 'ssh://alias-of-ssh-config']) {
      expect(destinationFault(url, true)).toBeNull();
      expect(await off.check(url, signal)).toEqual({ kind: 'allowed', addresses: [] });
    }
  });
});

describe('what a name resolves to', () => {
  it('is judged whenever it is asked', async () => {
    const answers = [[publicAddress], ['10.0.0.1']];
    const guard = createDestinationGuard({ allowPrivate: false, lookup: async () => answers.shift() ?? [] });
    const url = 'https://rebinding.example';
    expect(await guard.check(url, signal)).toEqual({ kind: 'allowed', addresses: [publicAddress] });
    expect(await guard.check(url, signal)).toEqual({
      kind: 'refused',
      why: 'rebinding.example leads to 10.0.0.1, which is no public address (private)',
    });
    expect(await guard.check(url, signal)).toMatchObject({ kind: 'unresolved' });
  });

  it.each([
    [
      'one private address among public ones',
      'https://h.example',
      { 'h.example': [publicAddress, '2606:4700::1', '::1'] },
    ],
    ['a link-local address with a zone', 'ssh://h.example', { 'h.example': ['fe80::1%eth0'] }],
    ['something that is no address', 'https://h.example', { 'h.example': ['127.1'] }],
    ['the endpoint alone', 's3://b?endpoint=h.example:9000', { 'h.example': ['192.168.0.1'] }],
    ['a name with a dot at its end', 'https://h.example./', { 'h.example': ['10.0.0.1'] }],
  ])('refuses %s', async (_, url, names) => {
    expect(await guardOf(names).check(url, signal)).toMatchObject({ kind: 'refused' });
  });

  it('is not asked of a bucket, and all of it is given back', async () => {
    const asked: string[] = [];
    const lookup = async (name: string) => {
      asked.push(name);
      return [publicAddress, '2606:4700::1'];
    };
    const guard = createDestinationGuard({ allowPrivate: false, lookup });
    expect(await guard.check('s3://bucket', signal)).toEqual({ kind: 'allowed', addresses: [] });
    expect(await guard.check('s3://bucket?endpoint=e.example', signal)).toEqual({
      kind: 'allowed',
      addresses: [publicAddress, '2606:4700::1'],
    });
    expect(asked).toEqual(['e.example']);
  });

  it('may be nothing for now, and asking ends with the caller', async () => {
    const failing = createDestinationGuard({
      allowPrivate: false,
      lookup: () => Promise.reject(Object.assign(new Error('no'), { code: 'EAI_AGAIN' })),
    });
    const judged = await failing.check('https://h.example', signal);
    expect(judged.kind === 'unresolved' ? judged.why : judged.kind).toMatch(
      /^h\.example cannot be resolved \(EAI_AGAIN\)/,
    );
    const hanging = createDestinationGuard({ allowPrivate: false, lookup: () => new Promise(() => {}) });
    const ending = new AbortController();
    const asked = hanging.check('https://h.example', ending.signal);
    ending.abort(new Error('ended'));
    await expect(asked).rejects.toThrow('ended');
  });
});

describe('a redirect', () => {
  const guard = guardOf({ 'inside.example': ['10.0.0.1'] });
  const check = (from: string, location: string) => checkRedirect(guard, { from, location }, signal);

  it.each([
    ['https://a.example/x', 'http://169.254.169.254/latest/meta-data/'],
    ['https://a.example/x', 'http://b.example/'],
    ['http://a.example/x', 'http://inside.example/'],
    ['http://a.example/x', '//inside.example/'],
    ['http://a.example/x', 'file:///etc/passwd'],
    ['http://a.example/x', 'gopher://b.example/'],
    ['http://a.example/x', 'http://u:p@b.example/'],
    ['http://a.example/x', 'http://2130706433/'],
    ['http://a.example/x', 'http://['],
  ])('from %s to %s is refused', async (from, location) => {
    expect(await check(from, location)).toMatchObject({ kind: 'refused' });
  });

  it('says where it leads, and to which addresses', async () => {
    expect(await check('https://a.example/x/y', '../z?q=1#part')).toEqual({
      kind: 'allowed',
      url: 'https://a.example/z?q=1',
      addresses: [publicAddress],
    });
  });
});

it('a request goes to the address that was judged, whatever the name means by then', async () => {
  const server: Server = createServer((_, response) => response.end('judged'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const ask = (addresses: readonly string[]): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const options = { lookup: pinnedLookup(addresses), agent: false };
      get(`http://no-such-name.invalid:${port}/`, options, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject);
    });
  try {
    expect(await ask(['127.0.0.1'])).toBe(200);
    await expect(ask([])).rejects.toThrow('no judged address');
  } finally {
    server.close();
  }
});
