// Repositories over HTTP: how they are seen, what was judged of them, and nothing of how they are reached.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createGitForge } from '../forge/git/git-forge.ts';
import { repositoriesOnWire } from '../pipeline/repository-on-wire.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { newChange, type Served, serve } from './testing/served.ts';

const secret = 'hunter2';
const ending = new AbortController();
const forge = createGitForge({
  repositories: ['example/packages', 'example/gone', 'example/new'].map((name) => ({
    name,
    url: `https://somebody:${secret}@host.example/${name}.git`,
    baseBranch: 'main',
    pollIntervalMs: 60_000,
  })),
  listBranches: async (url, signal) => {
    if (url.includes('new')) return new Promise((_, reject) => signal.addEventListener('abort', reject));
    if (url.includes('gone')) throw Object.assign(new Error('it was moved'), { code: 'GIT_FETCH_FAILED' });
    return [
      { name: 'main', sha: 'b'.repeat(40) as CommitSha },
      { name: 'caf\uFFFD', sha: 'b'.repeat(40) as CommitSha },
    ];
  },
  clock: () => 500,
  onStatus: () => {},
});

let served: Served;
let watching: Promise<void>;
beforeAll(async () => {
  watching = forge.watch(async () => {}, ending.signal);
  served = await serve({ repositories: () => repositoriesOnWire(forge, ['example/new']) });
});
afterAll(async () => {
  ending.abort();
  await watching;
  await served.close();
});

const get = (url: string) => getJson(served.app, url);

it('tells how each is seen, and never its address', async () => {
  const page = await get('/v1/repositories');
  expect(page).toMatchObject({
    total: 3,
    repositories: [
      {
        forge: 'git',
        name: 'example/packages',
        baseBranch: 'main',
        capabilities: { comments: false, statuses: false },
        fetching: false,
        lastSeenAtMs: 500,
        failures: 0,
        fault: null,
        warnings: ['1 branches are left out: their names are not UTF-8; rename them.'],
      },
      { name: 'example/gone', lastSeenAtMs: null, failures: 1, fault: 'GIT_FETCH_FAILED: it was moved' },
      { name: 'example/new', lastSeenAtMs: null, failures: 0, fault: null, fetching: true },
    ],
  });
  const status = await get('/v1/status');
  expect(status).toMatchObject({ repositories: (page as { repositories: unknown[] }).repositories });
  const one = await get('/v1/repositories/git/example/gone');
  expect(one).toMatchObject({ name: 'example/gone' });
  expect(JSON.stringify([page, status, one])).not.toMatch(new RegExp(`${secret}|host\\.example`));

  const first = (await get('/v1/repositories?limit=2')) as { nextCursor: string };
  expect(await get(`/v1/repositories?limit=2&cursor=${first.nextCursor}`)).toMatchObject({
    repositories: [{ name: 'example/new' }],
    nextCursor: null,
  });
  for (const unknown of ['github/example/packages', 'git/example/other', 'git/example/other/commits']) {
    expect(await getRefusal(served.app, `/v1/repositories/${unknown}`)).toMatchObject({
      status: 404,
      code: 'REPOSITORY_NOT_FOUND',
    });
  }
});

it('lists heads and tips of base branches together, newest first, page by page', async () => {
  const { changes } = served.database;
  const at = (id: string, createdAtMs: number, more: Parameters<typeof newChange>[1]) =>
    changes.save(newChange(id, { createdAtMs, ...more }));
  await at('tip', 5000, { kind: 'baseline', number: 0, branch: 'main' });
  await at('older tip', 4000, { kind: 'baseline', number: 0, branch: 'main', state: 'superseded' });
  await at('submitted', 4500, { kind: 'submitted', number: 9 });
  await at('elsewhere', 4600, { repository: 'example/gone' });
  const url = '/v1/repositories/git/example/packages/commits';
  const first = (await get(`${url}?limit=2`)) as { commits: { id: string }[]; nextCursor: string };
  expect(first.commits.map(({ id }) => id)).toEqual(['tip', 'older tip']);
  expect(await get(`${url}?limit=2&cursor=${first.nextCursor}`)).toMatchObject({
    commits: [{ id: 'judged', kind: 'branch' }],
    nextCursor: null,
  });
  expect(await get(`${url}?branch=main`)).toMatchObject({ commits: [{ id: 'tip' }, { id: 'older tip' }] });
  expect(await getRefusal(served.app, `${url}?cursor=x`)).toMatchObject({ code: 'CURSOR_INVALID' });
});
