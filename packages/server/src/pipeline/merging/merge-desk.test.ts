// What becomes of merges that people asked for: on a real database, whatever happens to their changes, the forge and us.
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, Merges } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { FakeForgeFault, fakeSha } from '../../forge/hosted-forge.fake.ts';
import type { MergeOutcome } from '../../forge/hosted-merging.ts';
import { chooseStep } from './choose-step.ts';
import { ann, bob, type DeskWorld, openDeskWorld } from './testing/desk-world.ts';

let database: Database;
let world: DeskWorld;

beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());
beforeEach(() => {
  world = openDeskWorld(database);
});
afterEach(() => world.desk().stop());

const replyTo = (commentId: number): string | undefined =>
  world.forge.comments.get(`owner/set#1 merge:${commentId}`);
const merged = (head: number, method: string): string => `merge owner/set#1 ${fakeSha(head)} ${method}`;
const queueLooks = () => world.forge.asked.filter((what) => what.startsWith('queue '));

const withdraw = (by: typeof ann, mayAlways: boolean) =>
  world
    .desk()
    .withdraw(
      { repository: `${world.forge.host}/owner/set`, number: 1, by, mayAlways },
      AbortSignal.timeout(10_000),
    );

describe('a merge that was asked for', () => {
  it('waits while its head is judged or red, and is carried out once when it is green', async () => {
    world.offer(1);
    await world.know(1, 'queued');
    expect(await world.ask(5)).toEqual({ kind: 'kept' });
    for (const [state, conclusion] of [
      ['awaiting-approval', null],
      ['judging', null],
      ['judged', 'failure'],
      ['judged', 'neutral'],
      ['judged', 'action-required'],
      ['queued', 'success'],
      ['failed', 'failure'],
    ] as const) {
      await world.know(1, state, conclusion);
      await world.settle();
    }
    expect([world.merges(), world.reactions()]).toEqual([[], []]);
    await world.know(1, 'judged', 'success');
    await world.settle();
    await world.settle();
    await world.restart();
    expect(world.merges()).toEqual([merged(1, 'squash')]);
    expect(world.reactions()).toEqual(['5 merged']);
    expect(world.forge.comments.size).toBe(0);
    expect(await world.newest()).toMatchObject({ state: 'merged', isTold: true });
    expect(await world.ask(5)).toEqual({ kind: 'kept' });
    expect((await world.newest()).commentId).toBe(5);
    expect(await world.ask(6)).toEqual({ kind: 'not-open' });
  });

  it('is cleared by another head, which is told with both', async () => {
    world.offer(1);
    await world.know(1, 'judged', 'failure');
    await world.ask(5);
    world.offer(2);
    await world.know(2, 'judged', 'success');
    await world.settle();
    await world.settle();
    expect(world.reactions()).toEqual(['5 withdrawn']);
    expect(replyTo(5)).toContain(fakeSha(1));
    expect(replyTo(5)).toContain(fakeSha(2));
    expect(world.merges()).toEqual([]);
    await world.ask(6, { method: 'rebase' });
    await world.settle();
    expect(world.merges()).toEqual([merged(2, 'rebase')]);
    expect(world.reactions()).toEqual(['5 withdrawn', '6 merged']);
  });

  it('is not cleared by a head that only we do not know yet', async () => {
    world.offer(1);
    await world.know(1, 'judged', 'success');
    world.offer(2);
    await world.ask(5);
    await world.settle();
    expect(await world.newest()).toMatchObject({ state: 'pending', headSha: fakeSha(2) });
    await world.know(2, 'judged', 'success');
    world.nowMs += 10_000;
    await world.settle();
    expect(world.merges()).toEqual([merged(2, 'squash')]);
  });

  it('is of the head that whoever asked has seen', async () => {
    world.offer(2);
    expect(await world.ask(5, { headSha: fakeSha(1) })).toEqual({ kind: 'head-moved', now: fakeSha(2) });
    world.offer(2, { isOpen: false });
    expect(await world.ask(6)).toEqual({ kind: 'not-open' });
    world.offer(2);
    world.forge.permits = () => false;
    expect(await world.ask(7)).toEqual({ kind: 'not-open' });
    expect(await world.ask(8, { repository: 'elsewhere.org/owner/set' })).toEqual({ kind: 'not-open' });
    expect(await database.merges.findOpen(`${world.forge.host}/owner/set`, 1)).toBeNull();
  });

  it('is replaced by a later one', async () => {
    world.offer(1);
    await world.know(1, 'judging');
    await world.ask(5, { method: 'merge' });
    await world.ask(6, { method: 'rebase' });
    await world.ask(5, { method: 'merge' });
    await world.know(1, 'judged', 'success');
    await world.settle();
    expect(world.merges()).toEqual([merged(1, 'rebase')]);
    expect(world.reactions()).toEqual(['6 merged']);
  });

  it('is of the branch that it was to join: elsewhere it is another diff', async () => {
    world.offer(1, { baseBranch: 'staging' });
    await world.know(1, 'judging', null, 'staging');
    await world.ask(5);
    // Before anybody has told us.
    world.offer(1, { baseBranch: 'main' });
    await world.know(1, 'judged', 'success', 'staging');
    await world.settle();
    expect(world.reactions()).toEqual(['5 withdrawn']);
    expect(replyTo(5)).toMatch(/`staging`.*`main`/);
    expect(await world.ask(6)).toEqual({ kind: 'base-changed', now: 'main' });
    expect(await world.ask(7, { baseBranch: 'staging' })).toEqual({ kind: 'base-changed', now: 'main' });
    await world.know(1, 'judging', null, 'main');
    await world.ask(8);
    world.offer(1, { baseBranch: 'staging' });
    await world.know(1, 'judged', 'success', 'staging');
    await world.settle();
    expect(world.reactions()).toEqual(['5 withdrawn', '8 withdrawn']);
    expect(world.merges()).toEqual([]);
  });

  it('ends in silence when its change is closed', async () => {
    world.offer(1);
    await world.know(1, 'judging');
    await world.ask(5);
    world.offer(1, { isOpen: false });
    await world.know(1, 'closed');
    await world.settle();
    expect(await world.newest()).toMatchObject({ state: 'closed', isTold: true });
    expect([world.reactions(), world.merges()]).toEqual([[], []]);
  });

  it('is withdrawn by whoever asked, or may anyway', async () => {
    world.offer(1);
    await world.know(1, 'judging');
    expect(await withdraw(ann, true)).toBe('nothing-pending');
    await world.ask(5);
    expect(await withdraw(bob, false)).toBe('not-theirs');
    expect(await withdraw(ann, false)).toBe('withdrawn');
    await world.ask(6);
    expect(await withdraw(bob, true)).toBe('withdrawn');
    expect(await withdraw(bob, true)).toBe('nothing-pending');
    await world.know(1, 'judged', 'success');
    await world.settle();
    expect([world.reactions(), world.merges()]).toEqual([[], []]);
  });

  it('waits for reviewers where it needs them', async () => {
    await world.desk().stop();
    let isApproved = false;
    world = openDeskWorld(database, { isApproved: () => Promise.resolve(isApproved) });
    world.offer(1);
    await world.know(1, 'judged', 'success');
    await world.ask(null, { needsReviews: true });
    await world.settle();
    expect(world.merges()).toEqual([]);
    isApproved = true;
    await world.settle();
    expect(world.merges()).toEqual([merged(1, 'squash')]);
    expect(world.reactions()).toEqual([]);
  });
});

describe('the forge’s own rules', () => {
  beforeEach(async () => {
    world.offer(1);
    await world.know(1, 'judging');
  });

  it('forbid a method, when it is asked for or later', async () => {
    world.forge.mergeRulesOf = () => ({ methods: ['merge'], hasQueue: false });
    expect(await world.ask(5)).toEqual({ kind: 'method-forbidden', allowed: ['merge'] });
    expect(await world.ask(5, { method: 'merge' })).toEqual({ kind: 'kept' });
    world.forge.mergeRulesOf = () => ({ methods: ['rebase'], hasQueue: false });
    await world.know(1, 'judged', 'success');
    await world.settle();
    expect(world.reactions()).toEqual(['5 denied']);
    expect(replyTo(5)).toMatch(/`merge`.*`rebase`/);
    world.forge.mergeRulesOf = () => ({ methods: null, hasQueue: false });
    await world.ask(6);
    await world.settle();
    expect(world.merges()).toEqual([merged(1, 'squash')]);
  });

  it('refuse, and whoever asked is told what they say, as data', async () => {
    const says = 'Required status check "x" is expected.\n```\n@everyone </details>\n# /merge';
    world.forge.merging = () => ({ kind: 'refused', says });
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    await world.settle();
    expect(world.reactions()).toEqual(['5 denied']);
    expect(replyTo(5)).toMatch(
      /\n````\nRequired status check "x" is expected\.\n```\n@everyone <\/details>\n# \/merge\n````$/,
    );
    expect(world.merges()).toHaveLength(1);
    expect(await world.newest()).toMatchObject({ state: 'refused', isTold: true });
  });

  it('want another try when the branch has moved at that moment', async () => {
    const outcomes: MergeOutcome[] = [
      { kind: 'base-moved' },
      { kind: 'base-moved' },
      { kind: 'merged', mergedAs: null },
    ];
    world.forge.merging = () => outcomes.shift() ?? expect.fail('it is merged');
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    await world.settle();
    expect(world.merges()).toHaveLength(1);
    for (let tries = 0; tries < 3; tries++) {
      world.nowMs += 20_000;
      await world.settle();
    }
    expect(world.merges()).toHaveLength(3);
    expect(world.reactions()).toEqual(['5 merged']);
  });

  it('put it into their queue, and it is told when that has merged it', async () => {
    world.forge.mergeRulesOf = () => ({ methods: ['merge'], hasQueue: true });
    expect(await world.ask(5, { method: 'squash' })).toEqual({ kind: 'kept' });
    await world.know(1, 'judged', 'success');
    await world.settle();
    await world.settle();
    expect(world.merges()).toEqual([`enqueue owner/set#1 ${fakeSha(1)}`]);
    expect(await world.newest()).toMatchObject({ state: 'queued' });
    world.forge.merging = () => ({ kind: 'merged', mergedAs: null });
    world.offer(1, { isOpen: false });
    await world.know(1, 'closed');
    await world.settle();
    expect(world.reactions()).toEqual(['5 merged']);
  });

  it('are told when their queue has taken it out', async () => {
    world.forge.mergeRulesOf = () => ({ methods: null, hasQueue: true });
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    // Asked of the queue now and then, not at each turn.
    for (let turn = 0; turn < 3; turn++) await world.settle();
    expect(queueLooks()).toHaveLength(1);
    world.forge.queued.clear();
    await world.settle();
    expect([queueLooks(), await world.newest()]).toMatchObject([[expect.anything()], { state: 'queued' }]);
    // Seen twice: a queue that has just merged it has let it go already.
    for (let look = 0; look < 2; look++) {
      world.nowMs += 20_000;
      await world.settle();
    }
    expect(world.reactions()).toEqual(['5 withdrawn']);
    expect(await world.newest()).toMatchObject({ state: 'refused', isTold: true });
    expect([...world.forge.comments.values()]).toEqual([
      expect.stringContaining('the merge queue of `main` took it out'),
    ]);
  });

  it('are told nothing of the sort where their queue has merged it, or it was put back', async () => {
    world.forge.mergeRulesOf = () => ({ methods: null, hasQueue: true });
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    const key = [...world.forge.queued].join();
    world.forge.queued.clear();
    world.nowMs += 20_000;
    await world.settle();
    world.forge.queued.add(key);
    world.nowMs += 20_000;
    await world.settle();
    expect(await world.newest()).toMatchObject({ state: 'queued', fault: null });
    world.forge.queued.clear();
    world.nowMs += 20_000;
    await world.settle();
    world.forge.merging = () => ({ kind: 'merged', mergedAs: null });
    world.offer(1, { isOpen: false });
    world.nowMs += 20_000;
    await world.settle();
    expect(world.reactions()).toEqual(['5 merged']);
  });

  it('withdraw it from their queue', async () => {
    world.forge.mergeRulesOf = () => ({ methods: null, hasQueue: true });
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    expect(await withdraw(bob, false)).toBe('not-theirs');
    expect(world.forge.queued.size).toBe(1);
    expect(await withdraw(ann, true)).toBe('withdrawn');
    expect([world.forge.queued.size, (await world.newest()).state]).toEqual([0, 'withdrawn']);
    expect(await withdraw(ann, true)).toBe('nothing-pending');
  });

  it('may take it out of their queue: closed without being merged, nothing is said', async () => {
    world.forge.mergeRulesOf = () => ({ methods: null, hasQueue: true });
    await world.know(1, 'judged', 'success');
    await world.ask(5);
    await world.settle();
    world.forge.merging = () => ({ kind: 'refused', says: 'Pull Request is not mergeable' });
    world.offer(1, { isOpen: false });
    await world.know(1, 'closed');
    await world.settle();
    expect([world.reactions(), (await world.newest()).state]).toEqual([[], 'closed']);
  });

  it('know of another head before we do', async () => {
    await world.ask(5);
    world.offer(2);
    await world.know(1, 'judged', 'success');
    await world.settle();
    expect(world.reactions()).toEqual(['5 withdrawn']);
    expect(replyTo(5)).toContain(fakeSha(2));
  });
});

describe('a forge that fails', () => {
  beforeEach(async () => {
    world.offer(1);
    await world.know(1, 'judged', 'success');
  });

  it('is asked again, the later the more often, and not before it wants to be', async () => {
    await world.ask(5);
    await world.settle();
    expect(world.reactions()).toEqual(['5 merged']);
    world.offer(2);
    await world.know(2, 'judged', 'success');
    const retryAtMs = world.nowMs + 600_000;
    world.forge.onAsked = (what) => {
      if (what.startsWith('merge ')) throw new FakeForgeFault(true, retryAtMs);
    };
    await world.ask(6);
    await world.settle();
    world.nowMs = retryAtMs - 1;
    await world.settle();
    expect(await world.newest()).toMatchObject({ attempts: 1, state: 'merging', nextAtMs: retryAtMs });
    world.nowMs = retryAtMs;
    await world.settle();
    expect(await world.newest()).toMatchObject({ attempts: 2, nextAtMs: retryAtMs + 4000 });
    world.forge.onAsked = () => {};
    world.nowMs += 5000;
    await world.settle();
    expect(world.reactions()).toEqual(['5 merged', '6 merged']);
  });

  it('has the asking one told where no other try would help', async () => {
    world.forge.onAsked = (what) => {
      if (what.startsWith('merge ')) throw new FakeForgeFault(false);
    };
    await world.ask(5);
    await world.settle();
    expect(world.reactions()).toEqual(['5 denied']);
    expect(replyTo(5)).toContain('FAKE_FAULT: the forge fails');
    world.forge.onAsked = (what) => {
      if (what.startsWith('react ')) throw new FakeForgeFault(false);
    };
    await world.ask(6);
    world.forge.merging = () => ({ kind: 'refused', says: 'no' });
    await world.settle();
    expect(await world.newest()).toMatchObject({ isTold: true });
    expect(await database.merges.unfinished()).toEqual([]);
  });

  it('is never silent about rules that it does not tell', async () => {
    world.forge.onAsked = (what) => {
      if (what.startsWith('rules ')) throw new FakeForgeFault(false);
    };
    expect(await world.ask(5)).toEqual({ kind: 'kept' });
    await world.settle();
    expect([world.reactions(), world.merges()]).toEqual([['5 denied'], []]);
    world.forge.onAsked = (what) => {
      if (what.startsWith('rules ')) throw new FakeForgeFault(true);
    };
    await expect(world.ask(6)).rejects.toMatchObject({ code: 'FAKE_FAULT' });
  });

  it('keeps nobody else waiting', async () => {
    const other = openDeskWorld(database);
    world.forge.onAsked = (what) => {
      if (what.startsWith('rules ') && world.merges().length > 0) throw new FakeForgeFault(true);
    };
    other.offer(1);
    await other.know(1, 'judged', 'success');
    await world.ask(5);
    await other.ask(5);
    await other.settle();
    expect(other.reactions()).toEqual(['5 merged']);
    await other.desk().stop();
  });
});

interface PowerCut {
  /** How many calls go well before. */
  at: number;
  /** The call at which it comes is carried out. */
  isDone: boolean;
  /** Nothing reaches anybody any more. */
  isDark: boolean;
}

const cutPower = (merges: Merges, cut: PowerCut): Merges =>
  new Proxy(merges, {
    get:
      (target, name: keyof Merges) =>
      async (...args: never[]) => {
        const isNow = cut.at-- === 0;
        if (cut.isDark || (isNow && !cut.isDone)) {
          cut.isDark = true;
          throw new FakeForgeFault(true);
        }
        const result: unknown = await (target[name] as (...all: never[]) => Promise<unknown>)(...args);
        if (!isNow) return result;
        cut.isDark = true;
        throw new FakeForgeFault(true);
      },
  });

describe('a server that dies', () => {
  it.each(['merged', 'refused', 'moved', 'queued'] as const)(
    'tells once what became of it: %s',
    async (ending) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(14), fc.boolean(), fc.nat(6), async (at, isDone, asked) => {
          const cut = { at, isDone, isDark: false };
          const died = openDeskWorld(database, {
            database: { ...database, merges: cutPower(database.merges, cut) },
          });
          const { forge } = died;
          let isMerged = false;
          let done = 0;
          forge.mergeRulesOf = () => ({ methods: null, hasQueue: ending === 'queued' });
          forge.merging = (what) => {
            if (ending === 'refused') return { kind: 'refused', says: 'no' };
            if (what === 'enqueue') return { kind: 'queued' };
            if (!isMerged) done += 1;
            isMerged = true;
            return { kind: 'merged', mergedAs: null };
          };
          died.offer(1);
          await died.know(1, 'judged', 'success');
          // Also after the forge has done it, and before we hear of it.
          let left = asked;
          forge.onAsked = () => {
            if (left-- === 0) cut.isDark = true;
            if (cut.isDark) throw new FakeForgeFault(true);
          };
          const ask = () => died.ask(5).catch(() => null);
          // Whoever is not heard asks again; the power goes once.
          for (let tries = 0; tries < 4 && (await ask()) === null; tries++) cut.isDark = false;
          if (ending === 'moved') {
            died.offer(2);
            await died.know(2, 'judged', 'success');
          }
          for (let life = 0; life < 4; life++) {
            cut.isDark = false;
            await died.restart();
            died.nowMs += 3_600_000;
            if (ending === 'queued' && (await died.newest()).state === 'queued') {
              died.offer(1, { isOpen: false });
              await died.know(1, 'closed');
            }
            if (isMerged && ending === 'merged') await died.know(1, 'closed');
          }
          cut.isDark = false;
          await died.restart();
          const word = { merged: 'merged', refused: 'denied', moved: 'withdrawn', queued: 'merged' }[ending];
          // The same once more changes nothing at the forge: it was told so, and nothing else.
          if (ending === 'moved' && done > 0)
            expect(new Set(died.reactions())).toEqual(new Set(['5 merged']));
          else expect(new Set(died.reactions())).toEqual(new Set([`5 ${word}`]));
          expect(await died.newest()).toMatchObject({ isTold: true });
          expect(done).toBeLessThanOrEqual(1);
          await died.desk().stop();
        }),
        { numRuns: 60 },
      );
    },
  );
});

it('merges nothing but what is known to be good, of exactly that head', () => {
  const states = [
    'awaiting-approval',
    'queued',
    'judging',
    'judged',
    'failed',
    'superseded',
    'closed',
  ] as const;
  const conclusions = [
    null,
    'success',
    'failure',
    'neutral',
    'pending',
    'cancelled',
    'timed-out',
    'action-required',
  ];
  const asked = { headSha: fakeSha(1), baseBranch: 'main' };
  const places = [fakeSha(1), fakeSha(2)].flatMap((head) =>
    ['main', 'staging', null].map((to) => [head, to] as const),
  );
  for (const [head, baseBranch] of places) {
    for (const state of states) {
      for (const conclusion of conclusions) {
        const step = chooseStep({ ...asked, state: 'pending' }, { head, baseBranch, state, conclusion });
        const isGood =
          head === fakeSha(1) && baseBranch === 'main' && state === 'judged' && conclusion === 'success';
        expect(step.kind === 'merge').toBe(isGood);
      }
    }
  }
  const green = { head: fakeSha(1), baseBranch: 'main', state: 'judged', conclusion: 'success' } as const;
  expect(chooseStep({ ...asked, state: 'merging' }, green).kind).toBe('merge');
  expect(chooseStep({ ...asked, state: 'queued' }, green).kind).toBe('look-in-queue');
  expect(chooseStep({ ...asked, state: 'queued' }, { ...green, state: 'judging' }).kind).toBe(
    'look-in-queue',
  );
  expect(chooseStep({ ...asked, state: 'pending' }, null).kind).toBe('look');
});
