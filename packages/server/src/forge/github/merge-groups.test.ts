// Groups of merge queues: which branches are theirs, and whose changes they hold.
import type { CommitSha } from '@eka-ci/core/ids';
import { describe, expect, it } from 'vitest';
import { findQueuedGroup, isGroupBranch } from './merge-groups.ts';
import { type Scripted, startScene } from './testing/scripted-github.ts';

const sha = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const branch = `gh-readonly-queue/release/1.0/pr-12-${sha('a')}`;

it('knows the branches that a queue makes', () => {
  expect(isGroupBranch(branch)).toBe(true);
  for (const other of ['main', 'gh-readonly-queue', 'gh-readonly-queue/main', `x/${branch}`, `${branch}/x`]) {
    expect(isGroupBranch(other)).toBe(false);
  }
});

describe('a group', () => {
  const author = { __typename: 'User', login: 'alice', databaseId: 7 };
  const entry = (number: number, base: string, head: string, more: object = {}) => ({
    baseCommit: { oid: sha(base) },
    headCommit: { oid: sha(head) },
    pullRequest: { number, headRefOid: sha(String(number)), author, ...more },
  });
  const answer = (nodes: readonly unknown[] | null): Scripted => ({
    json: { data: { repository: { mergeQueue: nodes === null ? null : { entries: { nodes } } } } },
  });
  const find = async (scripted: Scripted, headSha = sha('d')) => {
    const { client, github } = await startScene(() => scripted);
    const group = await findQueuedGroup(client, { repository: 'o/r', branch, headSha });
    return { group, asked: github.seen[0]?.body };
  };

  it('holds its change and those of the groups that it stands on', async () => {
    // In no order; the last stands on this one, and the first is of the branch's tip.
    const bot = { author: { __typename: 'Bot', login: 'updater', databaseId: 9 } };
    const nodes = [entry(4, 'd', 'e'), entry(2, 'b', 'c', bot), null, entry(3, 'c', 'd'), entry(1, 'a', 'b')];
    const { group, asked } = await find(answer(nodes));
    expect(asked).toMatchObject({ variables: { owner: 'o', repo: 'r', branch: 'release/1.0' } });
    const alice = { id: 7, login: 'alice', isPerson: true };
    expect(group).toEqual({
      ...{ headSha: sha('d'), baseSha: sha('c'), baseBranch: 'release/1.0' },
      members: [
        { number: 1, headSha: sha('1'), author: alice },
        { number: 2, headSha: sha('2'), author: { id: 9, login: 'updater[bot]', isPerson: false } },
        { number: 3, headSha: sha('3'), author: alice },
      ],
    });
  });

  it.each<[string, Scripted]>([
    ['that is not in the queue', answer([entry(1, 'a', 'b')])],
    ['that is made only now', answer([{ ...entry(1, 'a', 'd'), headCommit: null }])],
    ['of which GitHub does not name a change', answer([{ ...entry(1, 'a', 'd'), pullRequest: null }])],
    ['of a branch without a queue', answer(null)],
    [
      'of a repository that is gone',
      { json: { data: null, errors: [{ type: 'NOT_FOUND', message: 'gone' }] } },
    ],
  ])('is none where it is one %s', async (_, scripted) => {
    expect((await find(scripted)).group).toBeNull();
  });

  it('is of nobody where its author is gone, and ends where entries stand on each other', async () => {
    const { group } = await find(answer([entry(1, 'd', 'b', { author: null }), entry(2, 'b', 'd')]));
    expect(group?.members).toMatchObject([{ number: 1, author: null }, { number: 2 }]);
  });
});
