// What is private, as every database driver must keep it.
import type { TreeSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database, StoredChange } from './database.ts';
import type { PrivateDerivation } from './privacy.ts';

const host = 'private.example';
const [one, other] = [1, 2 ** 52 + 1].map((repositoryId) => ({ host, repositoryId })) as [Owner, Owner]; // Two of them.
type Owner = { readonly host: string; readonly repositoryId: number };

const hashOf = (index: number): string => String(index).padStart(32, '0');

const change = (id: string, repository: string, judgedTree: string): StoredChange => ({
  ...{ id, kind: 'offered', repository, number: 1, branch: 'pull/1', baseBranch: 'main', base: null },
  ...{ head: 'c'.repeat(40) as StoredChange['head'], judgedTree: judgedTree as TreeSha, title: 't' },
  ...{ state: 'judged', createdAtMs: 1, updatedAtMs: 1, conclusion: 'success', fault: null, faults: 0 },
  ...{ summaryJson: null, markdown: null, requestJson: null, retryAtMs: null, approved: false },
});

export const privacyContract = (database: () => Database): void => {
  const readAll = async (limit: number): Promise<PrivateDerivation[]> => {
    const all: PrivateDerivation[] = [];
    for (let page = await database().privacy.derivations(limit, null); page.length > 0; ) {
      expect(page.length).toBeLessThanOrEqual(limit);
      all.push(...page);
      page = await database().privacy.derivations(limit, page.at(-1) ?? null);
    }
    return all;
  };

  it('keeps which repositories are private, by every name that they had', async () => {
    const { privacy } = database();
    await privacy.hide({ ...one, name: 'Owner/Secret' });
    await privacy.hide({ ...one, name: 'owner/secret' });
    await privacy.hide({ ...one, name: 'owner/renamed' });
    await privacy.hide({ ...other, name: 'owner/other' });
    const names = async () => (await privacy.repositories()).map(({ name }) => name).toSorted();
    expect(await names()).toEqual(['owner/other', 'owner/renamed', 'owner/secret']);
    // It has the name of the first one now: that stays private.
    await privacy.hide({ ...other, name: 'OWNER/renamed' });
    expect(await names()).toEqual(['#1/set-aside', 'OWNER/renamed', 'owner/other', 'owner/secret']);
    await privacy.show(one);
    await privacy.show(one);
    expect(await names()).toEqual(['OWNER/renamed', 'owner/other']);
    await privacy.show(other);
  });

  it('keeps who wanted a derivation, until somebody public does', async () => {
    const { privacy } = database();
    const some = Array.from({ length: 70 }, (_, index) => hashOf(index));
    await privacy.claim(one, some);
    await privacy.claim(one, some);
    await privacy.claim(other, some.slice(60));
    expect(await readAll(7)).toHaveLength(80);
    await privacy.release(some.slice(0, 40));
    const rest = await readAll(1000);
    expect(rest).toHaveLength(40);
    expect(rest.slice(-2)).toEqual([
      { drv: hashOf(69), ...one },
      { drv: hashOf(69), ...other },
    ]);
    // What it shows now, it shows for the other one too.
    await privacy.show(other);
    expect((await readAll(1000)).map(({ drv }) => drv)).toEqual(some.slice(40, 60));
    await privacy.show(one);
    expect(await readAll(1000)).toEqual([]);
  });

  it('tells which jobsets are of which repositories', async () => {
    const { changes, jobsets, privacy } = database();
    const save = async (tree: string) => {
      const key = { tree: tree as TreeSha, commit: null, jobDefinition: 'd', systems: ['s'] };
      const settings = { evaluator: 'e', evaluatorVersion: '1', settings: 'p' };
      return (await jobsets.saveComplete({ key: { ...key, ...settings }, records: [], completedAtMs: 1 })).id;
    };
    const ids = [await save('private-tree'), await save('shared-tree'), await save('tree-of-nobody')];
    await changes.save({ ...change('privacy-1', 'h/owner/a', 'private-tree'), repositoryId: 7 });
    await changes.save({ ...change('privacy-2', 'h/owner/a', 'shared-tree'), repositoryId: 7 });
    await changes.save(change('privacy-3', 'h/owner/b', 'shared-tree'));
    const told = new Map(
      (await privacy.jobsets()).map(({ id, repositories }) => [
        id,
        repositories
          .map(({ repository, repositoryId = '' }) => `${repository} ${repositoryId}`.trim())
          .toSorted(),
      ]),
    );
    expect(ids.map((id) => told.get(id))).toEqual([['h/owner/a 7'], ['h/owner/a 7', 'h/owner/b'], []]);
  });

  it('lists changes without those of some repositories, page for page', async () => {
    const { changes } = database();
    for (const index of [0, 1, 2, 3, 4, 5]) {
      const repository = `left-out/${index % 2 === 0 ? 'secret' : 'open'}`;
      await changes.save({
        ...change(`left-out-${index}`, repository, 't'),
        branch: 'left-out',
        number: index,
      });
    }
    const query = { branch: 'left-out', limit: 2, notOf: ['left-out/secret'] } as const;
    const first = await changes.list(query);
    expect(first.changes.map(({ number }) => number)).toEqual([5, 3]);
    const second = await changes.list({ ...query, cursor: first.nextCursor ?? '' });
    expect([second.changes.map(({ number }) => number), second.nextCursor]).toEqual([[1], null]);
    const own = { repository: 'left-out/secret', kinds: ['offered', 'branch'] as const };
    expect(await changes.list({ ...query, ...own })).toEqual({ changes: [], nextCursor: null });
  });
};
