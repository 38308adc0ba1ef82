// Contract of the port's changes that hosted forges offer: known by the forge's number, judged as branches are.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { BranchUpdate, Database } from './database.ts';
import { judgedResult } from './testing/samples.ts';

type OfferMoved = Extract<BranchUpdate, { kind: 'offer-moved' }>;

const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const judged = judgedResult({ base: shaOf('b') });

let database: Database;
/** No other test has it; the database is shared. */
let repository: string;
let repositories = 0;
let told = 0;

const tell = async (update: BranchUpdate, key = `offer ${told++}`) => {
  await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
  const [applied] = await database.changes.apply([{ deliveryKey: key, update }], 1000 + told);
  if (applied === undefined) throw new Error('nothing was applied');
  return applied;
};
const offer = (number: number, digit: string, more: Partial<OfferMoved> = {}): OfferMoved => ({
  kind: 'offer-moved',
  repository,
  number,
  branch: `pull/${number}`,
  baseBranch: 'main',
  base: shaOf('b'),
  head: shaOf(digit),
  title: `offer ${number}`,
  requestJson: `{"isDraft":false}`,
  awaitsApproval: false,
  newId: `offered ${told}`,
  ...more,
});
const closed = (number: number): BranchUpdate => ({ kind: 'offer-closed', repository, number });
const nothing = { queued: null, awaiting: null, ended: [] };

/** The rest waits. */
const claim = async () => {
  const claimed = await database.changes.claimNext({ owner: 'a', nowMs: 0, untilMs: 1e9 });
  if (claimed === null) throw new Error('nothing is queued');
  return claimed;
};

/** @param open makes an empty database that nobody else uses */
export const offerContract = (open: () => Promise<Database>): void => {
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    repository = `github.com/owner/set-${repositories++}`;
    // What other tests left queued.
    for (const kind of ['queued', 'judging'] as const) {
      const { changes } = await database.changes.list({
        kinds: ['branch', 'offered', 'baseline', 'submitted'],
        states: [kind],
        limit: 1000,
      });
      for (const { id } of changes) await database.changes.cancel(id, 1);
    }
  });

  it('has what comes from outside wait until somebody lets it go, each head by itself', async () => {
    const outside = (digit: string, more: Partial<OfferMoved> = {}) =>
      offer(7, digit, { awaitsApproval: true, ...more });
    const first = await tell(outside('1'));
    expect(first).toMatchObject({ queued: null, ended: [], awaiting: { state: 'awaiting-approval' } });
    expect(await tell(outside('1'))).toEqual(nothing);
    expect(await database.changes.claimNext({ owner: 'a', nowMs: 0, untilMs: 1e9 })).toBeNull();
    const id = first.awaiting?.id ?? '';
    expect(await database.changes.requeue(id, { atMs: 1 })).toBeNull();
    expect(await database.changes.requeue(id, { atMs: 1, approved: true })).toMatchObject({
      ...{ id, state: 'queued', approved: true },
    });
    expect((await claim()).id).toBe(id);
    // Another head waits anew; the same one, offered again or for another branch, does not.
    const second = await tell(outside('2'));
    expect(second).toMatchObject({ queued: null, ended: [id], awaiting: { approved: false } });
    expect((await tell(closed(7))).ended).toEqual([second.awaiting?.id]);
    expect(await tell(outside('1'))).toMatchObject({ queued: null, awaiting: { approved: false } });
    const again = (await tell(outside('3'))).awaiting?.id ?? '';
    await database.changes.requeue(again, { atMs: 1, approved: true });
    expect(await tell(outside('3', { baseBranch: 'staging' }))).toMatchObject({
      queued: { approved: true, state: 'queued' },
      ended: [again],
    });
  });

  it('lets what waits go once its author needs no approval', async () => {
    const { awaiting } = await tell(offer(8, '1', { awaitsApproval: true }));
    const { queued } = await tell(offer(8, '1'));
    expect(queued).toMatchObject({ id: awaiting?.id, state: 'queued', approved: false });
    expect(await tell(offer(8, '1', { awaitsApproval: true }))).toEqual(nothing);
  });

  it('keeps the number of the forge, the base branch and the request', async () => {
    const { queued } = await tell(offer(4711, '1', { baseBranch: 'staging' }));
    expect(queued).toMatchObject({ kind: 'offered', state: 'queued', number: 4711, branch: 'pull/4711' });
    expect(await database.changes.findByNumber(repository, 4711)).toMatchObject({
      ...queued,
      baseBranch: 'staging',
      requestJson: '{"isDraft":false}',
    });
    expect((await database.changes.list({ repository, limit: 10 })).changes).toEqual([queued]);
    expect(await claim()).toMatchObject({ id: queued?.id, baseBranch: 'staging', base: shaOf('b') });
  });

  it('queues nothing for what is known, in whatever state but closed, and keeps what else was told', async () => {
    const first = await tell(offer(1, '1'), `key of ${repository}`);
    // The delivery itself again; then another one that says the same.
    expect(await tell(offer(1, '2'), `key of ${repository}`)).toEqual(nothing);
    expect(await tell(offer(1, '1'))).toEqual(nothing);
    // The base branch has moved: that is the baseline's to tell.
    expect(await tell(offer(1, '1', { base: shaOf('c') }))).toEqual(nothing);
    expect(await tell(offer(1, '1', { title: 'new words', requestJson: '{"isDraft":true}' }))).toEqual(
      nothing,
    );
    const { id } = await claim();
    expect(id).toBe(first.queued?.id);
    expect(await tell(offer(1, '1', { title: 'new words', requestJson: '{"isDraft":true}' }))).toEqual(
      nothing,
    );
    expect(await database.changes.finish({ id, owner: 'a' }, judged, 50)).toBe(true);
    expect(await tell(offer(1, '1', { title: 'other words' }))).toEqual(nothing);
    expect(await database.changes.findByNumber(repository, 1)).toMatchObject({
      id,
      state: 'judged',
      base: shaOf('b'),
      title: 'other words',
      requestJson: '{"isDraft":false}',
      updatedAtMs: 50,
    });
  });

  it('is superseded by another head, and by the same head for another base branch', async () => {
    const first = await tell(offer(1, '1'));
    const other = await tell(offer(2, '1'));
    const second = await tell(offer(1, '2'));
    expect(second.ended).toEqual([first.queued?.id]);
    const claimed = [await claim(), await claim()].map(({ id }) => id);
    expect(claimed).toEqual([other.queued?.id, second.queued?.id]);
    const third = await tell(offer(1, '2', { baseBranch: 'staging' }));
    expect(third).toMatchObject({ queued: { baseBranch: 'staging' }, ended: [second.queued?.id] });
    expect(await database.changes.finish({ id: claimed[1] ?? '', owner: 'a' }, judged, 50)).toBe(false);
    // Back again, which a delivery that was overtaken looks like as well: the forge was asked for what holds now.
    expect((await tell(offer(1, '1'))).ended).toEqual([third.queued?.id]);
    const rows = await database.changes.list({ repository, limit: 10 });
    expect(rows.changes.map(({ number, state }) => `${number} ${state}`).toSorted()).toEqual([
      '1 queued',
      '1 superseded',
      '1 superseded',
      '1 superseded',
      '2 judging',
    ]);
  });

  it('is closed, and opened again with a row of its own', async () => {
    expect(await tell(closed(9))).toEqual(nothing);
    const first = await tell(offer(9, '1'));
    expect(await tell(closed(9))).toEqual({ queued: null, awaiting: null, ended: [first.queued?.id] });
    expect(await tell(closed(9))).toEqual(nothing);
    expect(await database.changes.findByNumber(repository, 9)).toMatchObject({ state: 'closed' });
    const again = await tell(offer(9, '1'));
    expect(again).toMatchObject({ queued: { number: 9, state: 'queued' }, ended: [] });
    expect(again.queued?.id).not.toBe(first.queued?.id);
    expect((await tell(offer(9, '2'))).ended).toEqual([again.queued?.id]);
    const states = (await database.changes.list({ repository, limit: 10 })).changes.map(({ state }) => state);
    expect(states.toSorted()).toEqual(['queued', 'superseded', 'superseded']);
  });

  it('has nothing to do with branches and baselines of its names, and comes before baselines', async () => {
    const tip = { repository, base: null, head: shaOf('5'), title: 't' };
    const baseline = await tell({
      kind: 'base-moved',
      ...tip,
      branch: 'pull/1',
      newId: `tip of ${repository}`,
    });
    const offered = await tell(offer(1, '1'));
    // As nobody has it: what is pushed to a hosted repository is no change of its own.
    const branch = { ...tip, base: shaOf('b'), branch: 'pull/1', newId: `branch of ${repository}` };
    const pushed = await tell({ kind: 'head-moved', ...branch });
    expect(pushed).toMatchObject({ queued: { kind: 'branch', number: 2 }, ended: [] });
    const ids = [await claim(), await claim(), await claim()].map(({ id }) => id);
    expect(ids).toEqual([offered.queued?.id, pushed.queued?.id, baseline.queued?.id]);
    expect((await tell({ kind: 'branch-gone', repository, branch: 'pull/1' })).ended).toEqual([ids[1]]);
    expect((await tell(closed(1))).ended).toEqual([ids[0]]);
    expect((await tell({ kind: 'base-gone', repository, branch: 'pull/1' })).ended).toEqual([ids[2]]);
  });

  it('is cancelled, queued again and tried later as any other', async () => {
    const { changes } = database;
    const { queued } = await tell(offer(3, '1'));
    const id = queued?.id ?? '';
    expect(await changes.cancel(id, 10)).toMatchObject({ ended: true });
    // Who cancelled it did not ask for another judgement of the same.
    expect(await tell(offer(3, '1'))).toEqual(nothing);
    expect(await changes.requeue(id, { atMs: 20, base: shaOf('7'), approved: true })).toMatchObject({
      state: 'queued',
      baseBranch: 'main',
      base: shaOf('7'),
    });
    await claim();
    const retry = { fault: 'GITHUB_UNREACHABLE: wait', retryAtMs: 500, atMs: 30 };
    expect(await changes.retryLater({ id, owner: 'a' }, retry)).toBe(true);
    expect(await changes.find(id)).toMatchObject({
      faults: 1,
      approved: true,
      requestJson: '{"isDraft":false}',
    });
  });

  it('is judged again where a builder offers what was missing, until it is closed', async () => {
    const { changes } = database;
    await tell(offer(1, '1'));
    const { id } = await claim();
    const asked = { system: 'riscv64-linux', requiredFeatures: [], fixedOutput: false };
    const hindrances = { awaitsApproval: false, unsatisfiable: [asked], failures: [] };
    await changes.finish({ id, owner: 'a' }, { ...judged, hindrances }, 50);
    expect(await changes.offerChanged()).toEqual([{ id, asked: [asked] }]);
    await tell(closed(1));
    expect(await changes.offerChanged()).toEqual([]);
  });

  it('keeps the newest row of each number for ever', async () => {
    const { changes } = database;
    await tell(offer(1, '1'));
    await tell(offer(1, '2'));
    await tell(closed(1));
    await tell(offer(2, '1'));
    await changes.finish({ id: (await claim()).id, owner: 'a' }, judged, 50);
    await changes.forget(1e9);
    const left = (await changes.list({ repository, limit: 10 })).changes;
    expect(new Map(left.map(({ number, head }) => [number, head]))).toEqual(
      new Map([
        [1, shaOf('2')],
        [2, shaOf('1')],
      ]),
    );
    expect(left).toHaveLength(2);
  });

  it('is listed in one order with the other kinds, page by page', async () => {
    const { changes } = database;
    const template = await tell(offer(1, '1'));
    const given = await changes.find(template.queued?.id ?? '');
    if (given === null) throw new Error('it is gone');
    const expected: string[] = [];
    for (const [index, createdAtMs] of [9, 8, 8, 8, 7, 6, 6].entries()) {
      // Of the same time the greater id comes first, by its bytes: code units have the last two the other way round.
      const id = `${repository} ${['g', 'f', 'e', 'd', 'c', '🦀', '\uFFFD'][index] ?? ''}`;
      const kind = index % 3 === 0 ? 'branch' : 'offered';
      await changes.save({ ...given, id, kind, number: 100 + index, createdAtMs, state: 'judged' });
      expected.push(id);
    }
    for (const kinds of [undefined, ['offered', 'branch', 'offered'] as const]) {
      const found: string[] = [];
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: Awaited<ReturnType<typeof changes.list>> = await changes.list({
          repository,
          limit: 2,
          states: ['judged'],
          ...(kinds !== undefined && { kinds }),
          ...(cursor !== '' && { cursor }),
        });
        found.push(...page.changes.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      expect(found).toEqual(expected);
    }
  });
};
