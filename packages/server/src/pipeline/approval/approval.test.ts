// What comes from outside waits until somebody lets it go, by each of the ways; and what must not let it go does not.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { FakeForgeFault, fakeSha } from '../../forge/hosted-forge.fake.ts';
import { type AskingWorld, openAskingWorld, people } from '../hosted/testing/asking-world.ts';

const { bob, carol, dave } = people;

let database: Database;
let world: AskingWorld;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const never = (): never => {
  throw new Error('nobody asks for that here');
};
beforeEach(async () => {
  world = await openAskingWorld(database, {
    requireApproval: true,
    merges: { request: never, withdraw: never, wake: () => {} },
    rebuild: never,
    trustedBots: ['github:renovate[bot]'],
  });
});
afterEach(async () => {
  for (const { userId, host } of await database.approvals.list()) {
    await database.approvals.withdraw({ host, userId });
  }
  await world.close();
});

const stateOf = async (number = 1): Promise<string> => (await world.row(number)).state;

const press = async (by: typeof bob, action = 'approve') => {
  const { id, head } = await world.row();
  const gate = { gateId: 1, name: 'EkaCI', externalId: `${id}/`, headSha: head };
  await world.happen({ kind: 'gate-action', by, gate, action });
};

const review = (
  by: typeof bob,
  reviewedSha: ReturnType<typeof fakeSha> | null,
  verdict = 'approved' as const,
) =>
  world.happen({
    kind: 'review-submitted',
    ...{ by, reviewer: by, reviewId: 1, verdict, reviewedSha },
    change: { number: 1, headSha: fakeSha(1), baseBranch: 'main' },
  });

it('waits for somebody who may write, unless its author may', async () => {
  await world.offer(1);
  await world.offer(2, { author: carol });
  await world.offer(3, { author: { id: 70, login: 'renovate[bot]', isPerson: false } });
  await world.offer(4, { author: { id: 71, login: 'renovate', isPerson: true } });
  await world.offer(5, { author: null });
  const states = await Promise.all([1, 2, 3, 4, 5].map((number) => stateOf(number)));
  expect(states).toEqual([
    ...['awaiting-approval', 'queued', 'queued', 'awaiting-approval', 'awaiting-approval'],
  ]);
  expect(world.taken.map(({ awaiting, queued }) => [awaiting.length, queued.length])).toEqual([
    ...[
      [1, 0],
      [0, 1],
      [0, 1],
      [1, 0],
      [1, 0],
    ],
  ]);
});

it('is let go by a button, when who presses it may write', async () => {
  await world.offer(1);
  await press(bob);
  await press(carol, 'something-else');
  expect(await stateOf()).toBe('awaiting-approval');
  expect(world.asked).toMatchObject([{ by: 'bob', outcome: 'denied' }]);
  await press(carol);
  expect(await world.row()).toMatchObject({ state: 'queued', approved: true });
  expect(world.taken.at(-1)?.queued).toMatchObject([{ number: 1 }]);
  // Another time, as when it is told twice.
  await press(carol);
  expect(world.asked.map(({ outcome }) => outcome)).toEqual(['denied', 'done', 'nothing-to-do']);
});

it('is not let go by a button of another head, nor of another change', async () => {
  await world.offer(1);
  const { id } = await world.row();
  await world.offer(2);
  const other = await world.row(2);
  const gate = { gateId: 1, name: 'EkaCI', externalId: `${id}/`, headSha: other.head };
  await world.happen({ kind: 'gate-action', by: carol, gate, action: 'approve' });
  await world.happen({
    kind: 'gate-action',
    by: carol,
    gate: { ...gate, externalId: null },
    action: 'approve',
  });
  expect(await stateOf()).toBe('awaiting-approval');
});

it('is let go by an approving review of that very head', async () => {
  await world.offer(1);
  await review(dave, fakeSha(1));
  await review(carol, null);
  await review(carol, fakeSha(2));
  expect(await stateOf()).toBe('awaiting-approval');
  await review(carol, fakeSha(1));
  expect(await world.row()).toMatchObject({ state: 'queued', approved: true });
});

it("is let go by the forge's own approval of a run that was held", async () => {
  await world.offer(1);
  const run = { runId: 5, headSha: fakeSha(1), headRepository: null, author: bob, by: carol };
  await world.happen({ kind: 'outside-run-goes-on', ...run });
  expect(await stateOf()).toBe('awaiting-approval');
  await world.happen({ kind: 'outside-run-held', ...run });
  await world.happen({ kind: 'outside-run-goes-on', ...run, runId: 6 });
  expect(await stateOf()).toBe('awaiting-approval');
  await world.happen({ kind: 'outside-run-goes-on', ...run });
  expect(await stateOf()).toBe('queued');
});

it('is let go by a comment, for that head; the next one waits again', async () => {
  await world.offer(1);
  const [denied, accepted] = [
    await world.comment(dave, '@eka-ci approve'),
    await world.comment(carol, 'Fine by me.\n\n@eka-ci approve'),
  ];
  expect(world.forge.reactions).toEqual([
    { commentId: denied, reaction: 'denied' },
    { commentId: accepted, reaction: 'accepted' },
  ]);
  expect(world.forge.comments.get(`owner/set#1 command:${denied}`)).toMatch(/may write to this repository/);
  expect(await stateOf()).toBe('queued');
  await world.offer(1, { headSha: fakeSha(0x10) });
  expect(await world.row()).toMatchObject({ state: 'awaiting-approval', head: fakeSha(0x10) });
});

it('is let go for good with its author, and all that they offer with it', async () => {
  await world.offer(1);
  await world.offer(2);
  await world.offer(3, { author: dave });
  await world.comment(carol, '@eka-ci approve author');
  expect([await stateOf(1), await stateOf(2), await stateOf(3)]).toEqual([
    ...['queued', 'queued', 'awaiting-approval'],
  ]);
  expect(await database.approvals.list()).toMatchObject([
    { userId: bob.id, login: 'bob', approvedBy: 'carol' },
  ]);
  await world.offer(4);
  expect(await stateOf(4)).toBe('queued');
  // Somebody else who took the name.
  await world.offer(5, { author: { ...bob, id: 700 } });
  expect(await stateOf(5)).toBe('awaiting-approval');
});

it('is let go by a sweep once its author may write', async () => {
  await world.offer(1);
  world.forge.rights.set('owner/set bob', 'write');
  const untilMs = world.time.clock() + 11 * 60_000;
  await world.passUntil(() => world.time.clock() > untilMs);
  await world.settle();
  expect(await world.row()).toMatchObject({ state: 'queued', approved: false });
});

it('waits where the forge will not tell, and is looked at again where it cannot', async () => {
  world.forge.onAsked = (what) => {
    if (what.startsWith('right')) throw new FakeForgeFault(false);
  };
  await world.offer(1);
  expect(await stateOf()).toBe('awaiting-approval');
  let faults = 3;
  world.forge.onAsked = (what) => {
    if (what.startsWith('right') && faults-- > 0) throw new FakeForgeFault(true);
  };
  await world.offer(2, { author: carol });
  expect(await stateOf(2)).toBe('queued');
});
