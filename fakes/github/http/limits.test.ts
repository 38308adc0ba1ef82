// Limits, pages, conditional requests, and answers that go wrong on purpose.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildTown, type Town } from '../testing/town.ts';

let town: Town;
const R = '/repos/octo/pkgs';

beforeAll(async () => {
  town = await buildTown();
  await town.github.control.push({
    repository: 'octo/pkgs',
    branch: 'topic',
    files: { b: '1' },
    by: 'alice',
  });
  await town.github.control.openPull({ repository: 'octo/pkgs', head: 'topic', by: 'alice' });
});
afterAll(() => town.close());
afterEach(async () => {
  const { control } = town.github;
  await control.clearFaults({});
  await control.setRateLimit({ perHour: null });
  await control.setSecondaryLimits({ limits: null });
  await control.setClock({ skewMs: 0 });
});

const used = async (): Promise<number> => {
  const { headers } = await town.send('GET', '/rate_limit');
  return Number(headers.get('x-ratelimit-used'));
};

describe('conditional requests', () => {
  it('are 304 while nothing changed, without counting', async () => {
    const first = await town.send('GET', R);
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' };
    const before = await used();
    const second = await town.send('GET', R, { headers });
    expect([second.status, second.headers.get('x-ratelimit-used')]).toEqual([304, `${before}`]);
    await town.github.control.configureRepository({ repository: 'octo/pkgs', mergeMethods: ['squash'] });
    expect((await town.send('GET', R, { headers })).status).toBe(200);
    expect(await used()).toBe(before + 1);
  });
});

describe('pages', () => {
  it('are linked to each other', async () => {
    for (const body of ['1', '2', '3', '4', '5']) {
      await town.github.control.comment({ repository: 'octo/pkgs', number: 1, body, by: 'bob' });
    }
    const list = async (path: string) => {
      const reply = await town.send('GET', path);
      const links = [...(reply.headers.get('link') ?? '').matchAll(/<([^>]+)>; rel="(\w+)"/g)];
      const found = links.map(
        ([, url = '', relation = '']) => [relation, url.slice(town.github.apiUrl.length)] as const,
      );
      return { bodies: reply.list.map(({ body }) => body), links: Object.fromEntries(found) };
    };
    const first = await list(`${R}/issues/1/comments?per_page=2`);
    expect(first.bodies).toEqual(['1', '2']);
    expect(Object.keys(first.links)).toEqual(['next', 'last']);
    expect((await list(first.links['last'] ?? '')).bodies).toEqual(['5']);
    const second = await list(first.links['next'] ?? '');
    expect([second.bodies, Object.keys(second.links)]).toEqual([
      ['3', '4'],
      ['prev', 'next', 'last', 'first'],
    ]);
  });
});

describe('limits', () => {
  it('refuse what is above an hour’s requests until the hour is over', async () => {
    await town.github.control.setRateLimit({ perHour: (await used()) + 1 });
    expect((await town.send('GET', R)).headers.get('x-ratelimit-remaining')).toBe('0');
    const refused = await town.send('GET', R);
    expect([refused.status, refused.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
    expect(refused.body['message']).toEqual(expect.stringMatching(/^API rate limit exceeded/));
    const resetMs = Number(refused.headers.get('x-ratelimit-reset')) * 1000;
    expect(resetMs).toBeGreaterThan(Date.now());
    await town.github.control.setClock({ skewMs: resetMs - Date.now() + 1000 });
    expect((await town.sendNobody('GET', R)).status).toBe(200);
  });

  it('of content creation are there when they are switched on', async () => {
    await town.github.control.setSecondaryLimits({ limits: { perMinute: 2 } });
    const create = () => town.send('POST', `${R}/issues/1/comments`, { body: { body: 'much' } });
    expect([(await create()).status, (await create()).status]).toEqual([201, 201]);
    const refused = await create();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([403, '60']);
    expect(refused.body['message']).toEqual(expect.stringMatching(/secondary rate limit/));
    expect((await town.send('GET', R)).status).toBe(200);
    await town.github.control.setClock({ skewMs: 61_000 });
    expect((await create()).status).toBe(201);
  });
});

describe('faults', () => {
  const comments = async (): Promise<number> =>
    (await town.github.control.readComments({ repository: 'octo/pkgs', number: 1 })).length;
  const post = () => town.send('POST', `${R}/issues/1/comments`, { body: { body: 'once' } });

  it('answer in place of the route, as often as they were asked to', async () => {
    const { control } = town.github;
    await control.addFault({ path: '/comments$', times: 2, fault: { kind: 'rateLimited', retryAfterS: 7 } });
    const limited = await post();
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '7']);
    expect(limited.headers.get('x-ratelimit-remaining')).toBe('0');
    expect((await town.send('GET', R)).status).toBe(200);
    expect((await post()).status).toBe(429);
    expect((await post()).status).toBe(201);
    await control.addFault({ fault: { kind: 'secondaryLimit', status: 403, retryAfterS: null } });
    const secondary = await town.send('GET', R);
    expect([secondary.status, secondary.headers.get('retry-after')]).toEqual([403, null]);
  });

  it('come before or after what was asked is done', async () => {
    const { control } = town.github;
    const before = await comments();
    await control.addFault({ method: 'POST', fault: { kind: 'status', status: 502 } });
    expect((await post()).status).toBe(502);
    expect(await comments()).toBe(before);
    await control.addFault({ method: 'POST', takesEffect: true, fault: { kind: 'status', status: 502 } });
    expect((await post()).status).toBe(502);
    expect(await comments()).toBe(before + 1);
  });

  it('hang, and are slow, and break off', async () => {
    const { control } = town.github;
    await control.addFault({ fault: { kind: 'hang' } });
    const hung = fetch(town.github.apiUrl + R, {
      headers: { 'user-agent': 'x' },
      signal: AbortSignal.timeout(200),
    });
    await expect(hung).rejects.toMatchObject({ name: 'TimeoutError' });
    await control.addFault({ fault: { kind: 'cutBody' } });
    const cut = await fetch(town.github.apiUrl + R, { headers: { 'user-agent': 'x' } });
    await expect(cut.text()).rejects.toThrow(/terminated/);
    await control.addFault({ fault: { kind: 'slowBody', pieces: 5, pauseMs: 1 } });
    expect((await town.send('GET', R)).body['name']).toBe('pkgs');
    await control.addFault({ fault: { kind: 'delay', delayMs: 1 } });
    expect((await town.send('GET', R)).status).toBe(200);
  });

  it('are on record like every request', async () => {
    const requests = await town.github.control.readRequests({});
    expect(requests.filter(({ status }) => status === null).length).toBeGreaterThanOrEqual(1);
    const last = requests.at(-1);
    expect(last).toMatchObject({
      method: 'GET',
      path: R,
      principal: `installation ${town.installation}`,
      status: 200,
    });
  });
});
