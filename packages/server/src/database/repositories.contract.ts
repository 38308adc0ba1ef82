// Repositories that get other names, as every database driver must keep them.
import type { CommitSha, StorePath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database, StoredChange } from './database.ts';
import { newPath } from './testing/samples.ts';

const head = 'c'.repeat(40) as CommitSha;
const hookDrv = newPath('taken-1.0');
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
  const nameOf = (repositoryId: number, name: string, oldName: string | null = null) =>
    database().repositories.seen({ host, repositoryId, name, oldName, atMs: 1000 });
  const seen = async (repositoryId: number, name: string, oldName: string | null = null) =>
    (await nameOf(repositoryId, name, oldName)).from;
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

    const { hookRuns, pushes } = database();
    const drv = newPath('moved-1.0');
    const cause = { repository: 'octo/old', branch: 'main' };
    const run = { ...cause, drv, attempt: 1, buildState: 'succeeded', job: 'j', commitSha: head } as const;
    const push = { ...cause, cache: 'of-names', drv, publicationId: 1, priority: 0 };
    for (const changeId of ['moves', 'stays', 'is forgotten']) {
      await hookRuns.want([{ ...run, hook: changeId, changeId }], 1);
      await pushes.want([{ ...push, outputs: [`${drv}-${changeId}` as StorePath], changeId }], 1);
    }

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
    const claimed = await pushes.claim({ cache: 'of-names', owner: 'o', nowMs: 1, untilMs: 2, limit: 9 });
    for (const rows of [await hookRuns.of(drv), claimed]) {
      const byChange = new Map(rows.map(({ changeId, repository }) => [changeId, repository]));
      expect(Object.fromEntries(byChange)).toEqual({
        ...{ moves: 'octo/new', stays: 'octo/old', 'is forgotten': 'octo/old' },
      });
    }
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
      [1, '#1/set-aside'],
      [2, 'Octo/New'],
      [3, 'OCTO/old'],
    ]);
    // Never seen before, and told what it was called.
    expect(await seen(4, 'octo/four', 'octo/three')).toBe('octo/three');
    expect(await named()).toContainEqual([4, 'octo/four', 'octo/three']);
    // Whoever is told to have had the name of somebody else takes nothing of theirs.
    expect(await seen(5, 'octo/five', 'octo/four')).toBeNull();
  });

  it('gives nothing of one to another that gets its name, and all to itself when it is seen again', async () => {
    const { changes, gates, merges, reviews, hookRuns } = database();
    await seen(21, 'taken/set');
    const kept = `${host}/taken/set`;
    const mergeOf = { number: 7, headSha: head, baseBranch: 'main', method: null, byId: 1, byLogin: 'ann' };
    const merge = { ...mergeOf, repository: kept, commentId: null, needsReviews: false, askedAtMs: 1 };
    const runOf = { hook: 'h', drv: hookDrv, attempt: 1, buildState: 'succeeded', job: 'j' } as const;
    const run = { ...runOf, repository: 'taken/set', branch: 'main', commitSha: head };
    await changes.save({ ...offered('taken', kept), requestJson: '{"repository":"taken/set"}' });
    await changes.save({ ...offered('queued', kept, { state: 'queued', number: 8 }) });
    await changes.submit({
      ...{ id: 'by hand', repository: `https://${host}/Taken/Set.git`, branch: 'b', base: null, head },
      ...{ title: 't', requestJson: '{}', atMs: 1 },
    });
    await gates.want([gate('taken/set', 'EkaCI', 'of the first')], 1);
    await merges.ask(merge);
    await reviews.save(review(kept, 'of the first'));
    await hookRuns.want([{ ...run, changeId: 'taken' }], 1);
    await hookRuns.want([{ ...run, hook: 'forgotten', changeId: 'is forgotten' }], 1);

    const aside = { repositoryId: 21, from: 'taken/set', to: '#21/set-aside' };
    expect(await nameOf(22, 'TAKEN/set')).toEqual({ from: null, aside: [aside] });

    const set = `${host}/#21/set-aside`;
    const nothing = async (name: string) => [
      await changes.findByNumber(`${host}/${name}`, 7),
      await gates.ofHead({ host, repository: name, headSha: head }),
      await merges.newestOf(`${host}/${name}`, 7),
      await reviews.of(`${host}/${name}`, 7),
    ];
    for (const name of ['taken/set', 'TAKEN/set']) expect(await nothing(name)).toEqual([null, [], null, []]);
    expect(await changes.find('taken')).toMatchObject({ repository: set, repositoryId: 21 });
    expect(await changes.find('by hand')).toMatchObject({ repositoryId: 21 });
    const runs = async () => (await hookRuns.of(hookDrv)).map(({ repository }) => repository);
    expect(await runs()).toEqual(['#21/set-aside', '#21/set-aside']);
    // Nobody is asked to do anything for it.
    const claim = { owner: 'o', nowMs: 1, untilMs: 2 };
    expect(await changes.claimNext({ ...claim, kinds: ['offered'] })).toBeNull();
    expect(
      (await gates.claimDue({ ...claim, host, limit: 100 })).map(({ wantedJson }) => wantedJson),
    ).not.toContain('of the first');
    expect((await merges.unfinished()).map(({ repository }) => repository)).not.toContain(set);
    // Whoever has looked before, and writes now.
    const late = { ...gate('taken/set', 'late', 'of the first'), repositoryId: 21 };
    await gates.want([late], 1);
    await reviews.save({ ...review(kept, 'late'), reviewerId: 2, repositoryId: 21 });
    const update = { kind: 'offer-closed', repository: `${host}/TAKEN/set`, number: 8 } as const;
    await database().deliveries.receive([{ key: 'late', payload: '{}', receivedAtMs: 1 }]);
    const told = { deliveryKey: 'late', update: { ...update, repositoryId: 21 } };
    expect(await changes.apply([told], 1)).toMatchObject([{ ended: [], isOfAnother: true }]);
    for (const name of ['taken/set', 'TAKEN/set']) expect(await nothing(name)).toEqual([null, [], null, []]);

    expect(await nameOf(21, 'taken/elsewhere')).toEqual({ from: '#21/set-aside', aside: [] });
    const found = await changes.findByNumber(`${host}/taken/elsewhere`, 7);
    expect(found).toMatchObject({ id: 'taken', requestJson: '{"repository":"taken/elsewhere"}' });
    const due = await gates.claimDue({ ...claim, host, limit: 100 });
    expect(due.filter(({ wantedJson }) => wantedJson === 'of the first')).toMatchObject([
      { repository: 'taken/elsewhere', placeJson: '{"repository":"taken/elsewhere","baseBranch":"main"}' },
      { name: 'late', repository: 'taken/elsewhere' },
    ]);
    expect((await merges.unfinished()).map(({ repository }) => repository)).toContain(
      `${host}/taken/elsewhere`,
    );
    expect(
      (await reviews.of(`${host}/taken/elsewhere`, 7)).map(({ reviewerLogin }) => reviewerLogin),
    ).toEqual(['of the first', 'late']);
    expect(await named()).toContainEqual([21, 'taken/elsewhere']);
    await changes.cancel('queued', 1);
    await changes.cancel('by hand', 1);
  });

  it('knows by what they say whose changes are under a name that nobody was known by', async () => {
    const { changes } = database();
    await changes.save(offered('stranger', `${host}/un/named`, { repositoryId: 31 }));
    await changes.save(offered('other', `${host}/un/named`, { repositoryId: 32, number: 8 }));
    await changes.save(offered('own', `${host}/un/named`, { repositoryId: 33, number: 9 }));
    const { aside } = await nameOf(33, 'un/named');
    expect(aside.map(({ to }) => to).toSorted()).toEqual(['#31/set-aside', '#32/set-aside']);
    const nameOfChange = async (id: string) => (await changes.find(id))?.repository;
    expect(await Promise.all(['stranger', 'other', 'own'].map(nameOfChange))).toEqual(
      ['#31/set-aside', '#32/set-aside', 'un/named'].map((name) => `${host}/${name}`),
    );
    await nameOf(31, 'now/known');
    expect(await nameOfChange('stranger')).toBe(`${host}/now/known`);
  });
};
