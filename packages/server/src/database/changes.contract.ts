// Contract of the port's changes.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database, StoredChange } from './database.ts';

const newChange = (id: string, more: Partial<StoredChange> = {}): StoredChange => ({
  id,
  kind: 'branch',
  repository: 'somewhere',
  number: 1,
  branch: 'topic/"quoted" 🦀',
  baseBranch: null,
  base: 'b'.repeat(40) as CommitSha,
  head: 'c'.repeat(40) as CommitSha,
  judgedTree: 'd'.repeat(40) as TreeSha,
  title: 'A title with "quotes" and 🦀',
  state: 'judged',
  createdAtMs: 1_700_000_000_000,
  updatedAtMs: 1_700_000_000_500,
  conclusion: 'success',
  fault: null,
  summaryJson: '{"rebuilds":1}',
  markdown: '# Rebuilds one',
  requestJson: null,
  faults: 0,
  retryAtMs: null,
  approved: false,
  ...more,
});

export const changeContract = (given: () => Database): void => {
  it('saves, finds and replaces', async () => {
    const { changes } = given();
    const change = newChange('one', { judgedTree: null, conclusion: null, summaryJson: null });
    await changes.save(change);
    expect(await changes.find('one')).toEqual(change);
    await changes.save(newChange('one'));
    expect(await changes.find('one')).toEqual(newChange('one'));
    expect(await changes.find('two')).toBeNull();
  });

  it('pages newest first, and stays on course when changes arrive meanwhile', async () => {
    const { changes } = given();
    const repository = 'paged';
    const times = [5, 3, 3, 3, 9, 1];
    for (const [index, createdAtMs] of times.entries()) {
      await changes.save(newChange(`p${index}`, { repository, createdAtMs }));
    }
    await changes.save(newChange('elsewhere', { createdAtMs: 4 }));
    const first = await changes.list({ repository, limit: 2 });
    expect(first.changes.map((change) => change.id)).toEqual(['p4', 'p0']);
    expect(first.changes[0]).not.toHaveProperty('summaryJson');
    expect(first.changes[0]).not.toHaveProperty('markdown');
    await changes.save(newChange('p9', { repository, createdAtMs: 100 }));
    const ids: string[] = [];
    for (let cursor = first.nextCursor; cursor !== null; ) {
      const page = await changes.list({ repository, limit: 2, cursor });
      ids.push(...page.changes.map((change) => change.id));
      cursor = page.nextCursor;
    }
    expect(ids).toEqual(['p3', 'p2', 'p1', 'p5']);
  });

  it('finds the newest head of a number, and every change of a head', async () => {
    const { changes } = given();
    const repository = 'numbered';
    const head = 'e'.repeat(40) as CommitSha;
    await changes.save(newChange('n1', { repository, number: 7, state: 'superseded', createdAtMs: 50 }));
    await changes.save(newChange('n2', { repository, number: 7, head, createdAtMs: 40 }));
    await changes.save(newChange('n3', { repository, number: 8, head }));
    expect(await changes.findByNumber(repository, 7)).toEqual(await changes.find('n2'));
    expect(await changes.findByNumber(repository, 9)).toBeNull();
    expect(await changes.findByNumber('elsewhere', 7)).toBeNull();
    expect((await changes.findByHead(head)).map(({ id }) => id)).toEqual(['n3', 'n2']);
    const current = await changes.list({ repository, states: ['judged'], limit: 10 });
    expect(current.changes.map(({ id }) => id)).toEqual(['n3', 'n2']);
    expect((await changes.list({ repository, states: [], limit: 10 })).changes).toEqual([]);
  });

  it('refuses a cursor that is none', async () => {
    for (const cursor of ['', 'x', Buffer.from('[1]').toString('base64url')]) {
      const list = given().changes.list({ limit: 1, cursor });
      await expect(list).rejects.toMatchObject({ code: 'DATABASE_BAD_CURSOR' });
    }
  });
};
