// Contract of the port's outbox: the newest state of each gate is sent, once, in its turn, however sending goes.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database, Gates, StoredGate, WantedGate } from './database.ts';
import { settlingContract } from './gates-settling.contract.ts';

const headSha = '1'.repeat(40) as CommitSha;

let gates: Gates;
/** No other test has it; the database is shared. */
let host: string;
let hosts = 0;

const wanted = (name: string, says: string, more: Partial<WantedGate> = {}): WantedGate => ({
  host,
  repository: 'owner/set',
  headSha,
  name,
  wantedJson: JSON.stringify({ says: `${says} "quoted" 🦀` }),
  placeJson: '{"baseBranch":"main"}',
  isConcluded: false,
  priority: 1,
  ...more,
});

const claim = (nowMs = 1000, more: { readonly limit?: number; readonly host?: string } = {}) =>
  gates.claimDue({ owner: `server of ${host}`, host, nowMs, untilMs: nowMs + 100, limit: 10, ...more });
const namesOf = (claimed: readonly StoredGate[]): string[] => claimed.map(({ name }) => name);

/** The only one that is due. */
const claimOne = async (nowMs = 1000): Promise<StoredGate> => {
  const [gate, ...others] = await claim(nowMs);
  if (gate === undefined || others.length > 0) throw new Error('not one gate is due');
  return gate;
};
const countsOf = async () => (await gates.counts()).find((one) => one.host === host);

const coalescingContract = (): void => {
  it('keeps the newest state of a gate alone, and sends it once', async () => {
    expect(await gates.want([wanted('a', 'queued'), wanted('a', 'building')], 10)).toBe(2);
    const newest = wanted('a', 'built', { isConcluded: true });
    expect(await gates.want([newest], 20)).toBe(1);
    const claimed = await claimOne();
    const state = { attempts: 0, fault: null, nextAtMs: 0, forgeId: null };
    expect(claimed).toEqual({ ...newest, ...state, version: 3, sentVersion: 0, updatedAtMs: 20 });
    await gates.sent(claimed, { forgeId: 2 ** 52 + 1, atMs: 1100 });
    await gates.sent(claimed, { forgeId: 2 ** 52 + 1, atMs: 1200 });
    expect(await claim(9000)).toEqual([]);
    expect(await gates.find(newest)).toMatchObject({
      sentVersion: 3,
      forgeId: 2 ** 52 + 1,
      updatedAtMs: 1100,
    });
    expect(await countsOf()).toBeUndefined();
  });

  it('takes up again what was given up, of that host alone, and nothing else', async () => {
    const elsewhere = wanted('a', 'says', { host: `${host}.other` });
    await gates.want([wanted('refused', 'says'), wanted('put off', 'says'), elsewhere], 10);
    for (const gate of [...(await claim()), ...(await claim(1000, { host: elsewhere.host }))]) {
      const nextAtMs = gate.name === 'put off' ? 5000 : null;
      await gates.failed(gate, { fault: 'NO: for good', nextAtMs, atMs: 1001 });
    }
    expect(await gates.retryGivenUp(host, 2000)).toBe(1);
    expect(await gates.retryGivenUp(host, 2000)).toBe(0);
    const [again, ...others] = await claim(2001);
    expect(others).toEqual([]);
    expect(again).toMatchObject({ name: 'refused', attempts: 0 });
    expect(await claim(2001, { host: elsewhere.host })).toEqual([]);
  });

  it('sends nothing for what is wanted already, sent or not, and takes a new priority', async () => {
    await gates.want([wanted('a', 'queued'), wanted('b', 'queued')], 10);
    expect(await gates.want([wanted('b', 'queued', { priority: 0 })], 20)).toBe(0);
    const claimed = await claim();
    expect(namesOf(claimed)).toEqual(['b', 'a']);
    for (const gate of claimed) await gates.sent(gate, { forgeId: 1, atMs: 1000 });
    expect(await gates.want([wanted('a', 'queued'), wanted('b', 'queued')], 30)).toBe(0);
    expect(await gates.want([], 30)).toBe(0);
    expect(await claim(9000)).toEqual([]);
    // Another base branch may need another app of ours.
    expect(await gates.want([wanted('a', 'queued', { placeJson: '{}' })], 40)).toBe(1);
    expect(await claimOne(9000)).toMatchObject({ name: 'a', forgeId: 1, sentVersion: 1, version: 2 });
  });

  it('tells gates of one name apart by commit, repository and host', async () => {
    const other = '2'.repeat(40) as CommitSha;
    const all = [
      wanted('a', 'x'),
      wanted('a', 'x', { headSha: other }),
      wanted('a', 'x', { repository: 'owner/other' }),
      wanted('a', 'x', { host: `other.${host}` }),
      wanted('b', 'x'),
    ];
    expect(await gates.want(all, 10)).toBe(5);
    expect(namesOf(await gates.ofHead({ host, repository: 'owner/set', headSha }))).toEqual(['a', 'b']);
    expect(await claim(1000, { host: `other.${host}` })).toMatchObject([{ host: `other.${host}` }]);
    expect(await claim(1000, { host: `no.${host}` })).toEqual([]);
    expect(await claim(1000, { limit: 1 })).toHaveLength(1);
    const ofAll = await gates.claimDue({ owner: 'x', nowMs: 1000, untilMs: 1100, limit: 1000 });
    expect(ofAll.filter((gate) => gate.host === host)).toHaveLength(3);
    expect(await gates.find(wanted('c', 'x'))).toBeNull();
  });
};

const orderContract = (): void => {
  it('gives out by priority, then by how long each waits, and never more than was asked for', async () => {
    await gates.want([wanted('late', 'x', { priority: 2 }), wanted('one', 'x'), wanted('two', 'x')], 10);
    await gates.want([wanted('first', 'x', { priority: 0 }), wanted('one', 'y')], 20);
    expect(namesOf(await claim(1000, { limit: 3 }))).toEqual(['first', 'one', 'two']);
    expect(namesOf(await claim())).toEqual(['late']);
    expect(await claim()).toEqual([]);
  });

  it('lets one that changes all the time hold up no other', async () => {
    await gates.want([wanted('busy', '0'), wanted('calm', '0')], 10);
    const [busy] = await claim(1000, { limit: 1 });
    if (busy === undefined) throw new Error('nothing is due');
    await gates.want([wanted('busy', '1')], 1001);
    await gates.sent(busy, { forgeId: 1, atMs: 1002 });
    expect(namesOf(await claim(1003))).toEqual(['calm', 'busy']);
  });
};

const raceContract = (): void => {
  it('leaves a newer state due when an older one arrives, and lets nothing overtake', async () => {
    await gates.want([wanted('a', 'old')], 10);
    const old = await claimOne();
    await gates.want([wanted('a', 'new')], 1010);
    expect(await claim(1050)).toEqual([]);
    await gates.sent(old, { forgeId: 7, atMs: 1060 });
    const newer = await claimOne(1070);
    expect(newer).toMatchObject({ version: 2, sentVersion: 1, forgeId: 7 });
    await gates.sent(newer, { forgeId: 7, atMs: 1080 });
    // A copy of the older answer.
    await gates.sent(old, { forgeId: 7, atMs: 1090 });
    await gates.failed(old, { fault: 'late', nextAtMs: null, atMs: 1090 });
    expect(await gates.find(old)).toMatchObject({ sentVersion: 2, fault: null, attempts: 0 });
    expect(await claim(9000)).toEqual([]);
  });

  it('gives out again what nobody answered for, in its time or when its owner is back', async () => {
    await gates.want([wanted('a', 'x')], 10);
    const first = await claimOne(1000);
    expect(await claim(1100)).toEqual([]);
    const second = await claimOne(1101);
    // The first one's answer ends nothing but itself: they are of one version.
    await gates.sent(first, { forgeId: 1, atMs: 1102 });
    await gates.failed(second, { fault: 'late', nextAtMs: 5, atMs: 1103 });
    expect(await claim(9000)).toEqual([]);
    await gates.want([wanted('a', 'y'), wanted('b', 'y')], 9000);
    await claim(9000);
    expect(await gates.releaseAll('another')).toBe(0);
    expect(await gates.releaseAll(`server of ${host}`)).toBe(2);
    expect(await gates.releaseAll(`server of ${host}`)).toBe(0);
    expect(namesOf(await claim(9000))).toEqual(['a', 'b']);
  });

  it('knows nothing of a gate that is forgotten', async () => {
    const gate = { ...wanted('gone', 'x'), version: 1 };
    await gates.sent(gate, { forgeId: 1, atMs: 1 });
    await gates.failed(gate, { fault: 'F', nextAtMs: null, atMs: 1 });
    expect(await gates.find(gate)).toBeNull();
    // Wanted anew it counts from one again: what an earlier life of it was told is not its own.
    await gates.want([gate], 2);
    await gates.sent({ ...gate, version: 2 }, { forgeId: 1, atMs: 3 });
    await gates.failed({ ...gate, version: 2 }, { fault: 'F', nextAtMs: null, atMs: 3 });
    expect(await claimOne()).toMatchObject({ version: 1, sentVersion: 0, forgeId: null, attempts: 0 });
  });
};

const failureContract = (): void => {
  it('puts off what failed, and a newer state with it', async () => {
    await gates.want([wanted('a', 'x')], 10);
    for (const attempts of [1, 2]) {
      const nextAtMs = attempts * 10_000;
      const gate = await claimOne(nextAtMs - 5000);
      await gates.failed(gate, { fault: 'GITHUB_UNREACHABLE: wait', nextAtMs, atMs: nextAtMs - 5000 });
      expect(await gates.find(gate)).toMatchObject({ attempts, nextAtMs, fault: 'GITHUB_UNREACHABLE: wait' });
      await gates.want([wanted('a', `x${attempts}`)], nextAtMs - 4000);
      expect(await claim(nextAtMs - 1)).toEqual([]);
    }
    expect(await countsOf()).toEqual({ host, waiting: 1, waitingSinceMs: 10, givenUp: 0 });
    const gate = await claimOne(20_000);
    await gates.sent(gate, { forgeId: 3, atMs: 20_001 });
    expect(await gates.find(gate)).toMatchObject({ attempts: 0, fault: null, sentVersion: 3 });
  });

  it('gives up until something else is wanted', async () => {
    await gates.want([wanted('a', 'x')], 10);
    await gates.failed(await claimOne(), { fault: 'GITHUB_FORBIDDEN: ask', nextAtMs: null, atMs: 1000 });
    expect(await claim(10 ** 9)).toEqual([]);
    expect(await countsOf()).toEqual({ host, waiting: 0, waitingSinceMs: null, givenUp: 1 });
    expect(await gates.want([wanted('a', 'x')], 2000)).toBe(0);
    expect(await claim(10 ** 9)).toEqual([]);
    expect(await gates.want([wanted('a', 'y')], 3000)).toBe(1);
    expect(await countsOf()).toEqual({ host, waiting: 1, waitingSinceMs: 3000, givenUp: 0 });
    expect(await claimOne(3000)).toMatchObject({ attempts: 0, fault: null, version: 2 });
  });

  it('tries the newer state where an older one was refused for good', async () => {
    await gates.want([wanted('a', 'refused')], 10);
    const old = await claimOne();
    await gates.want([wanted('a', 'fine')], 1010);
    await gates.failed(old, { fault: 'GITHUB_REFUSED: ask', nextAtMs: null, atMs: 1020 });
    expect(await claimOne(1030)).toMatchObject({ version: 2, attempts: 0, fault: null });
  });

  it('does not wait for a clock that was set back to come so far again', async () => {
    await gates.want([wanted('a', 'x')], 9000);
    await gates.failed(await claimOne(9000), { fault: 'F', nextAtMs: 9500, atMs: 9000 });
    expect(await claim(9499)).toEqual([]);
    expect(await claimOne(1000)).toMatchObject({ name: 'a' });
  });
};

const keepingContract = (): void => {
  it('lists what is not concluded, page by page, whatever came of sending it', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    await gates.want(
      names.map((name) => wanted(name, 'x')),
      10,
    );
    await gates.want(
      [wanted('b', 'y', { isConcluded: true }), wanted('z', 'x', { host: `other.${host}` })],
      20,
    );
    const [first, second] = await claim();
    if (first === undefined || second === undefined) throw new Error('too few are due');
    await gates.sent(first, { forgeId: 1, atMs: 1000 });
    await gates.failed(second, { fault: 'F', nextAtMs: null, atMs: 1000 });
    const found: string[] = [];
    for (let after: StoredGate | null = null; ; ) {
      const page: readonly StoredGate[] = await gates.unfinishedOf(host, { after, limit: 2 });
      found.push(...namesOf(page));
      after = page.at(-1) ?? null;
      if (after === null) break;
    }
    expect(found).toEqual(['a', 'c', 'd', 'e']);
  });

  it('forgets what is old and has nothing to be sent any more', async () => {
    const done = { isConcluded: true };
    // What other tests left.
    await gates.forget(Number.MAX_SAFE_INTEGER);
    const all = [wanted('sent', 'x', done), wanted('refused', 'x'), wanted('waiting', 'x', done)];
    await gates.want([...all, wanted('unfinished', 'x'), wanted('young', 'x', done)], 10);
    for (const gate of await claim()) {
      const atMs = gate.name === 'young' ? 5000 : 1000;
      if (gate.name === 'refused') await gates.failed(gate, { fault: 'F', nextAtMs: null, atMs });
      else if (gate.name !== 'waiting') await gates.sent(gate, { forgeId: 1, atMs });
    }
    expect(await gates.forget(1000)).toBe(0);
    expect(await gates.forget(5000)).toBe(2);
    const left = await gates.ofHead({ host, repository: 'owner/set', headSha });
    expect(namesOf(left)).toEqual(['unfinished', 'waiting', 'young']);
    // It is found by its name on the forge.
    expect(await gates.want([wanted('sent', 'x', done)], 6000)).toBe(1);
    expect(await gates.find(wanted('sent', 'x'))).toMatchObject({ version: 1, forgeId: null });
  });
};

/** @param open makes an empty database that nobody else uses */
export const gateContract = (open: () => Promise<Database>): void => {
  let database: Database;
  beforeAll(async () => {
    database = await open();
    ({ gates } = database);
  });
  afterAll(() => database.close());
  beforeEach(() => {
    host = `forge-${hosts++}.org`;
  });

  coalescingContract();
  orderContract();
  raceContract();
  failureContract();
  keepingContract();
  settlingContract(() => gates);
};
