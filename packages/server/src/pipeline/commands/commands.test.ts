// What a comment has done, for whom, and what they are told: through the intake, on a real database.
import type { TreeSha } from '@eka-ci/core/ids';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { FakeForgeFault, fakeSha } from '../../forge/hosted-forge.fake.ts';
import { type AskingWorld, openAskingWorld, people } from '../hosted/testing/asking-world.ts';
import type { AskedMerge, AskedMergeAnswer, MergeDesk, WithdrawnMerge } from '../merging/merge-desk.ts';
import type { RebuildAnswer, RebuildWanted } from '../rebuild-answer.ts';

const { bob, carol, dave } = people;

let database: Database;
let world: AskingWorld;
let merges: (AskedMerge | WithdrawnMerge)[];
let mergeAnswer: AskedMergeAnswer;
let withdrawn: Awaited<ReturnType<MergeDesk['withdraw']>>;
let rebuilt: { readonly id: string; readonly wanted: RebuildWanted }[];
let rebuildAnswer: RebuildAnswer;

beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());
beforeEach(async () => {
  [merges, rebuilt] = [[], []];
  [mergeAnswer, withdrawn] = [{ kind: 'kept' }, 'withdrawn'];
  rebuildAnswer = { kind: 'done', cleared: 1, changes: [] };
  world = await openAskingWorld(database, {
    merges: {
      request: async (asked) => {
        merges.push(asked);
        return mergeAnswer;
      },
      withdraw: async (asked) => {
        merges.push(asked);
        return withdrawn;
      },
      wake: () => {},
    },
    rebuild: async (change, wanted) => {
      rebuilt.push({ id: change.id, wanted });
      return rebuildAnswer;
    },
  });
});
afterEach(() => world.close());

const replyTo = (id: number): string | undefined => world.forge.comments.get(`owner/set#1 command:${id}`);
const reactions = (): string[] => world.forge.reactions.map(({ reaction }) => reaction);

const judge = async (conclusion = 'success'): Promise<StoredChange> => {
  const row = await world.row();
  const judged: StoredChange = {
    ...{ ...row, state: 'judged', conclusion, summaryJson: '{}', markdown: '' },
    judgedTree: 'd'.repeat(40) as TreeSha,
  };
  await database.changes.save(judged);
  return judged;
};

it('says what there is to everybody, and nothing to what is no command', async () => {
  await world.offer(1);
  const id = await world.comment(dave, 'hello\n@eka-ci help please');
  expect(reactions()).toEqual(['accepted']);
  expect(replyTo(id)).toContain('| `rebuild`');
  await world.comment(dave, '@eka-ci dance');
  await world.comment(dave, '> @eka-ci cancel\n\n```\n@eka-ci cancel\n```\n<!-- @eka-ci cancel -->');
  await world.comment(dave, 'I think @eka-ci cancel is what you want');
  expect(reactions()).toEqual(['accepted']);
  expect(world.forge.comments.size).toBe(1);
});

it('asks for a merge of exactly the head that is there', async () => {
  await world.offer(1);
  const denied = await world.comment(dave, '@eka-ci merge');
  expect(replyTo(denied)).toMatch(/maintains every package/);
  const id = await world.comment(carol, '@eka-ci merge squash thanks', { atMs: 60_000 });
  const { repository } = await world.row();
  expect(merges).toEqual([
    { repository, number: 1, headSha: fakeSha(1), method: 'squash', by: carol, commentId: id, atMs: 60_000 },
  ]);
  expect(reactions()).toEqual(['denied', 'accepted']);
  expect(replyTo(id)).toBeUndefined();
});

it('says why a merge is not asked for', async () => {
  await world.offer(1);
  mergeAnswer = { kind: 'method-forbidden', allowed: ['rebase'] };
  expect(replyTo(await world.comment(carol, '@eka-ci merge'))).toMatch(/allows: `rebase`\./);
  mergeAnswer = { kind: 'head-moved', now: fakeSha(9) };
  expect(replyTo(await world.comment(carol, '@eka-ci merge'))).toContain(fakeSha(9));
  expect(replyTo(await world.comment(carol, '@eka-ci merge squashh'))).toMatch(
    /`squashh` is no way to merge.*`rebase`/,
  );
  expect(reactions()).toEqual(['denied', 'denied', 'unclear']);
  expect(merges).toHaveLength(2);
});

it('does not take for seen what was committed after the comment', async () => {
  await world.offer(1);
  world.forge.commitTimes.set(fakeSha(1), 131_000);
  const early = await world.comment(carol, '@eka-ci merge', { atMs: 100_000 });
  expect(replyTo(early)).toContain(fakeSha(1));
  expect([merges, reactions()]).toEqual([[], ['denied']]);
  await world.comment(carol, '@eka-ci merge', { atMs: 101_000 });
  expect(merges).toHaveLength(1);
});

it('withdraws a merge, and says nothing where there is none', async () => {
  await world.offer(1);
  await world.comment(bob, '@eka-ci merge cancel');
  expect(merges).toMatchObject([{ by: bob, mayAlways: false }]);
  withdrawn = 'nothing-pending';
  await world.comment(carol, '@eka-ci merge cancel');
  withdrawn = 'not-theirs';
  const id = await world.comment(dave, '@eka-ci merge cancel');
  expect(merges).toHaveLength(3);
  expect(reactions()).toEqual(['accepted', 'denied']);
  expect(replyTo(id)).toMatch(/asked for it/);
});

it('builds again what failed, of all or of what is named', async () => {
  await world.offer(1);
  const { id } = await judge('failure');
  await world.comment(dave, '@eka-ci rebuild hello');
  expect(rebuilt).toEqual([]);
  await world.comment(carol, '@eka-ci rebuild hello python3Packages.numpy', { atMs: 10_000 });
  await world.comment(carol, '@eka-ci rebuild failed', { atMs: 20_000 });
  await world.comment(carol, '@eka-ci rebuild', { atMs: 30_000 });
  expect(rebuilt).toEqual([
    { id, wanted: { attrs: ['hello', 'python3Packages.numpy'] } },
    { id, wanted: { failed: true } },
    { id, wanted: { failed: true } },
  ]);
  rebuildAnswer = { kind: 'unknown', attrs: ['`x`'] };
  const unknown = await world.comment(carol, '@eka-ci rebuild x', { atMs: 40_000 });
  expect(replyTo(unknown)).toContain('`` `x` ``');
});

it('judges again what could not be judged', async () => {
  await world.offer(1);
  const row = await world.row();
  await database.changes.save({ ...row, state: 'failed', conclusion: 'failure', fault: 'GIT_GONE: push it' });
  rebuildAnswer = { kind: 'not-judged' };
  await world.comment(carol, '@eka-ci rebuild');
  expect(await world.row()).toMatchObject({ state: 'queued', id: row.id });
  expect(world.taken.at(-1)?.queued).toMatchObject([{ id: row.id }]);
});

it('stops builds for its author', async () => {
  await world.offer(1);
  await world.comment(dave, '@eka-ci cancel');
  expect(await world.row()).toMatchObject({ state: 'queued' });
  await world.comment(bob, '@eka-ci cancel');
  expect(await world.row()).toMatchObject({ state: 'failed', conclusion: 'cancelled' });
  expect(world.taken.at(-1)).toMatchObject({ ended: [(await world.row()).id], queued: [] });
  expect(reactions()).toEqual(['denied', 'accepted']);
});

it('accepts one command of a person in five seconds, and carries out each comment once', async () => {
  await world.offer(1);
  const id = await world.comment(carol, '@eka-ci merge', { atMs: 100_000 });
  await world.comment(carol, '@eka-ci merge rebase', { atMs: 104_999 });
  await world.comment(carol, '@eka-ci merge cancel', { atMs: 105_000 });
  expect(merges).toHaveLength(2);
  expect(reactions()).toEqual(['accepted', 'accepted']);
  // Told twice, by another delivery.
  await world.comment(carol, '@eka-ci merge', { id, atMs: 100_000 });
  expect(merges.filter((one) => 'commentId' in one && one.commentId !== id)).toEqual([]);
});

it('goes on where the forge fell silent, without doing more than was asked', async () => {
  await world.offer(1);
  let faults = 4;
  world.forge.onAsked = (what) => {
    if (/^(react|comment|right)/.test(what) && faults-- > 0) throw new FakeForgeFault(true);
  };
  const id = await world.comment(carol, '@eka-ci help', { atMs: 100_000 });
  expect(replyTo(id)).toBeDefined();
  faults = 4;
  await world.comment(carol, '@eka-ci merge', { atMs: 200_000 });
  expect(new Set(merges.map((one) => JSON.stringify(one))).size).toBe(1);
  expect(reactions().at(-1)).toBe('accepted');
  expect(await world.unfinished()).toEqual([]);
});

it('speaks of a change that is closed, and nowhere where it does not serve', async () => {
  await world.offer(1);
  await world.offer(1, { isOpen: false });
  expect(replyTo(await world.comment(carol, '@eka-ci merge'))).toBe('This change is closed.');
  world.forge.permits = (repository) => repository !== 'owner/set';
  await world.comment(carol, '@eka-ci help', { atMs: 900_000 });
  expect(world.forge.comments.size).toBe(1);
  expect(merges).toEqual([]);
});

it('acts on the head that is there now, also where nobody told of it', async () => {
  await world.offer(1);
  const { changes } = world.forge.repositories.get('owner/set') ?? expect.fail('it is there');
  const first = changes.get(1) ?? expect.fail('it is there');
  changes.set(1, { ...first, headSha: fakeSha(0x77) });
  await world.comment(carol, '@eka-ci merge');
  expect(merges).toMatchObject([{ headSha: fakeSha(0x77) }]);
  expect(await world.row()).toMatchObject({ head: fakeSha(0x77), state: 'queued' });
});
