// Repositories that get other names, as every database driver must keep them.
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database, StoredChange } from './database.ts';

const head = 'c'.repeat(40) as CommitSha;
const requestOf = (repository: string) =>
  JSON.stringify({ repository, headRepository: 'octo/old', headBranch: '"repository":"octo/old"' });

const offered = (id: string, repository: string, more: Partial<StoredChange> = {}): StoredChange => ({
  ...{ id, kind: 'offered', repository, number: 7, branch: 'pull/7', baseBranch: 'main', base: head, head },
  ...{ judgedTree: null, title: 't', state: 'judged', createdAtMs: 1, updatedAtMs: 1, conclusion: 'success' },
  ...{ fault: null, summaryJson: '{}', markdown: '', faults: 0, retryAtMs: null, approved: false },
  requestJson: requestOf('octo/old'),
  ...more,
});

const gate = (repository: string, name: string, text: string) => ({
  ...{ host: 'names.example', repository, headSha: head, name, wantedJson: text },
  ...{ placeJson: JSON.stringify({ repository, baseBranch: 'main' }), isConcluded: true, priority: 1 },
});

const review = (repository: string, reviewerLogin: string) => ({
  ...{ repository, number: 7, reviewId: 5, reviewerId: 1, reviewerLogin, verdict: 'approved' as const },
  ...{ reviewedSha: head, atMs: 1 },
});

export const repositoryContract = (database: () => Database): void => {
  const host = 'names.example';
  const seen = (repositoryId: number, name: string, oldName: string | null = null) =>
    database().repositories.seen({ host, repositoryId, name, oldName, atMs: 1000 });
  const named = async () => {
    const all = await database().repositories.list();
    return all
      .filter((one) => one.host === host)
      .map(({ repositoryId, name, formerNames }) => [repositoryId, name, ...formerNames])
      .toSorted(([one], [other]) => Number(one) - Number(other));
  };

  it('moves all that is kept of one to its new name', async () => {
    const { changes, gates, reviews } = database();
    await changes.save(offered('moves', `${host}/octo/old`));
    await changes.save(offered('stays', 'other.example/octo/old'));
    await gates.want([gate('octo/old', 'EkaCI', 'kept'), gate('octo/old', 'EkaCI: packages', 'kept')], 1);
    await gates.want([gate('octo/new', 'EkaCI', 'gives way')], 1);
    await reviews.save(review(`${host}/octo/old`, 'kept'));
    await reviews.save(review(`${host}/octo/new`, 'gives way'));

    expect(await seen(1, 'octo/old')).toBeNull();
    expect(await seen(1, 'octo/new')).toBe('octo/old');
    expect(await seen(1, 'octo/new')).toBeNull();

    expect(await changes.find('moves')).toMatchObject({
      ...{ repository: `${host}/octo/new`, number: 7, state: 'judged', head },
      requestJson: requestOf('octo/new'),
    });
    expect(await changes.find('stays')).toMatchObject({ requestJson: requestOf('octo/old') });
    expect(await gates.ofHead({ host, repository: 'octo/old', headSha: head })).toEqual([]);
    const moved = await gates.ofHead({ host, repository: 'octo/new', headSha: head });
    expect(moved.map(({ name, wantedJson, placeJson }) => [name, wantedJson, placeJson])).toEqual([
      ['EkaCI', 'kept', '{"repository":"octo/new","baseBranch":"main"}'],
      ['EkaCI: packages', 'kept', '{"repository":"octo/new","baseBranch":"main"}'],
    ]);
    expect(await reviews.of(`${host}/octo/old`, 7)).toEqual([]);
    expect(await reviews.of(`${host}/octo/new`, 7)).toMatchObject([{ reviewerLogin: 'kept' }]);
    expect(await named()).toEqual([[1, 'octo/new', 'octo/old']]);
  });

  it('knows them by their number, whoever has their name', async () => {
    // There and back, and a new one under a name that was given up.
    expect(await seen(1, 'octo/old')).toBe('octo/new');
    expect(await named()).toEqual([[1, 'octo/old', 'octo/new']]);
    expect(await seen(2, 'octo/new')).toBeNull();
    expect(await named()).toEqual([
      [1, 'octo/old'],
      [2, 'octo/new'],
    ]);
    // By case alone: it is another text, and no name that somebody had.
    expect(await seen(2, 'Octo/New')).toBe('octo/new');
    // One of a repository that is gone.
    expect(await seen(3, 'OCTO/old')).toBeNull();
    expect(await named()).toEqual([
      [2, 'Octo/New'],
      [3, 'OCTO/old'],
    ]);
    // Never seen before, and told what it was called.
    expect(await seen(4, 'octo/four', 'octo/three')).toBe('octo/three');
    expect(await named()).toContainEqual([4, 'octo/four', 'octo/three']);
  });
};
