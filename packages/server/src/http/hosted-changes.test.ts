// Changes of a hosted forge as the API has them: found by the forge's own address, and listed with branches.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findServedName } from '../pipeline/repository-address.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { newChange, type Served, serve } from './testing/served.ts';

const repository = 'github.com/owner/set';
const hosts = ['github.com', 'github.example.org'].map((host) => ({ kind: 'github' as const, host }));

let served: Served;
beforeAll(async () => {
  served = await serve({
    findRepository: (address) => findServedName(address, { repositories: [], hosted: hosts }),
  });
  const { changes } = served.database;
  const offered = { kind: 'offered', branch: 'pull/12', number: 12, baseBranch: 'staging' } as const;
  await changes.save(newChange('offered-old', { ...offered, repository, state: 'superseded' }));
  await changes.save(newChange('offered', { ...offered, repository, createdAtMs: 2000 }));
  const elsewhere = { ...offered, repository: 'github.example.org/owner/set' };
  await changes.save(newChange('elsewhere', elsewhere));
  const tip = { kind: 'baseline', number: 0, branch: 'main' } as const;
  await changes.save(newChange('tip', { ...tip, repository, createdAtMs: 3000 }));
});
afterAll(() => served.close());

it('finds one by forge, owner, repository and the number of the forge', async () => {
  const found = await getJson(served.app, '/v1/prs/github/owner/set/12');
  expect(found).toMatchObject({
    id: 'offered',
    kind: 'offered',
    repository,
    number: 12,
    branch: 'pull/12',
    baseBranch: 'staging',
  });
  expect(await getJson(served.app, '/v1/prs/owner/set/12')).toEqual(found);
  expect(await getJson(served.app, '/v1/prs/github.com/owner/set/12')).toEqual(found);
  const other = await getJson(served.app, '/v1/prs/github.example.org/owner/set/12');
  expect(other).toMatchObject({ id: 'elsewhere' });
});

it('says what is unknown', async () => {
  const refusal = (path: string) => getRefusal(served.app, `/v1/prs/${path}`);
  expect(await refusal('github/owner/set/13')).toMatchObject({ status: 404, code: 'CHANGE_NOT_FOUND' });
  expect(await refusal('github/owner/other/12')).toMatchObject({ code: 'CHANGE_NOT_FOUND' });
  expect(await refusal('gitlab/owner/set/12')).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
  expect(await refusal('git/owner/set/12')).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
});

it('lists them beside branches, and alone where that is asked for', async () => {
  const list = (query: string) =>
    getJson(served.app, `/v1/prs?repository=${encodeURIComponent(repository)}${query}`);
  expect(await list('')).toMatchObject({ changes: [{ id: 'offered' }], nextCursor: null });
  expect(await list('&kind=offered')).toMatchObject({ changes: [{ id: 'offered' }] });
  expect(await list('&kind=branch')).toMatchObject({ changes: [] });
  const all = (await getJson(served.app, '/v1/prs')) as { readonly changes: readonly { id: string }[] };
  expect(all.changes.map(({ id }) => id).toSorted()).toEqual(['elsewhere', 'judged', 'offered']);
});
