// Groups of merge queues: whatever order their events come in, and whichever of them is lost, what is judged is what is
// in the queue.
import type { CommitSha } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { ForgeEvent } from '../../forge/forge-event.ts';
import { FakeForgeFault, fakeSha } from '../../forge/hosted-forge.fake.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import type { QueuedGroup } from '../../forge/hosted-merging.ts';
import type { ApprovalPolicy } from '../approval/approval-policy.ts';
import { newOffer, openWorld, type World } from './testing/intake-world.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const name = 'owner/repo';
const branch = 'queue/main/12';
const [base, head, other] = [fakeSha(0xba5e), fakeSha(0x1), fakeSha(0x2)];
const facts = { headSha: head, baseSha: base, baseBranch: 'main', changeNumber: 12 };
const member = (number: number, login = 'somebody'): QueuedGroup['members'][number] => ({
  ...{ number, headSha: fakeSha(number), author: { id: number, login, isPerson: true } },
});

const setUp = async (
  work: (world: World, tools: ReturnType<typeof toolsOf>) => Promise<void>,
  more: Parameters<typeof openWorld>[1] = {},
): Promise<void> => {
  const world = await openWorld(database, more);
  try {
    await work(world, toolsOf(world));
  } finally {
    await world.close();
  }
};

const toolsOf = ({ forge, open }: World) => {
  const added = forge.addRepository(name);
  const event = (kind: 'requested' | 'destroyed', headSha = head, queue = branch): ForgeEvent => {
    const group = { ...facts, headSha, ref: `refs/heads/${queue}` };
    const common = { repository: added.repository, by: null, group };
    return kind === 'requested'
      ? { kind: 'merge-group-requested', ...common }
      : { kind: 'merge-group-destroyed', reason: 'dequeued', ...common };
  };
  return {
    ...{ added, event },
    requested: event('requested'),
    destroyed: event('destroyed'),
    make(headSha = head, members = [member(12)]) {
      added.branches.set(branch, headSha);
      forge.groups.set(`${name} ${branch}`, { headSha, baseSha: base, baseBranch: 'main', members });
    },
    destroy: () => void added.branches.delete(branch),
    groups: async () => (await open('group')).map((one) => ({ state: one.state, head: one.head })),
  };
};

it('judges a group once, however often it is told, and gives it up when it is destroyed', async () => {
  await setUp(async (world, { make, destroy, requested, destroyed }) => {
    await world.intake().start();
    await world.settle();
    make();
    await world.deliver(requested, 'one');
    await world.deliver(requested, 'one');
    await world.deliver(requested);
    await world.settle();
    const [group, ...more] = await world.open('group');
    expect(more).toEqual([]);
    expect(group).toMatchObject({
      ...{ kind: 'group', number: 0, branch, base, head, baseBranch: 'main' },
      ...{ state: 'queued', title: '#12 in the merge queue of main' },
      repository: hostedName(world.forge.host, name),
    });
    // The event tells all that is needed.
    expect(world.forge.asked.filter((what) => what.startsWith('group '))).toEqual([]);
    destroy();
    await world.deliver(destroyed);
    await world.deliver(destroyed);
    await world.settle();
    expect(await world.open('group')).toEqual([]);
    expect(world.taken.flatMap(({ ended }) => ended)).toEqual([group?.id]);
    expect(await world.unfinished()).toEqual([]);
  });
});

it('does not judge what was destroyed before it was asked for', async () => {
  await setUp(async (world, { destroyed, requested, groups }) => {
    await world.intake().start();
    await world.deliver(destroyed);
    await world.settle();
    await world.deliver(requested);
    await world.settle();
    expect(await groups()).toEqual([]);
    expect(world.taken).toEqual([]);
  });
});

it('believes that one is destroyed whose branch is still there, and not that a newer one is', async () => {
  await setUp(async (world, { make, event, requested, groups }) => {
    await world.intake().start();
    make();
    await world.deliver(requested);
    await world.settle();
    await world.deliver(event('destroyed'));
    await world.settle();
    expect(await groups()).toEqual([]);
    make(other);
    await world.deliver(event('requested', other));
    await world.deliver(event('destroyed', head));
    await world.settle();
    expect(await groups()).toEqual([{ state: 'queued', head: other }]);
  });
});

it('finds what no webhook told, new, made anew and gone, at its start and from time to time', async () => {
  await setUp(
    async (world, { make, destroy, added, groups }) => {
      make();
      added.branches.set('queue/main/nobody-tells-of-it', other);
      await world.intake().start();
      await world.settle();
      expect(await groups()).toEqual([{ state: 'queued', head }]);
      make(other);
      await world.restart();
      await world.settle();
      expect(await groups()).toEqual([{ state: 'queued', head: other }]);
      // Nothing differs, and nothing is asked but the listing and what nobody tells of.
      world.forge.asked.length = 0;
      await world.restart();
      await world.settle();
      expect(world.forge.asked.filter((what) => what.includes(branch))).toEqual([]);
      destroy();
      await world.restart();
      await world.settle();
      expect(await groups()).toEqual([]);
      // Branches of queues are nobody's baselines.
      expect(await world.open('baseline')).toEqual([]);
    },
    { baselines: [{ matches: () => true, build: 'changed' }] },
  );
});

/** Everything of a group that a forge can tell, once or twice, at once or much later, or not at all. */
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom('make' as const, 'destroy' as const), queue: fc.nat(1) }),
  fc.record({
    kind: fc.constantFrom('tell' as const, 'tell-end' as const),
    which: fc.nat(7),
    twice: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('sweep' as const, 'wait' as const) }),
);

it('ends with what is in the queues, whatever is told in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 16 }), async (steps) => {
      await setUp(async (world, { added, event }) => {
        await world.intake().start();
        const made: { readonly queue: string; readonly headSha: CommitSha; isOver: boolean }[] = [];
        const end = (queue: string): void => {
          added.branches.delete(queue);
          for (const one of made) if (one.queue === queue) one.isOver = true;
        };
        for (const one of steps) {
          if (one.kind === 'sweep') await world.restart();
          else if (one.kind === 'wait') await world.settle();
          else if ('queue' in one) {
            const queue = `queue/main/${one.queue}`;
            end(queue);
            if (one.kind === 'destroy') continue;
            const headSha = fakeSha(made.length + 1);
            made.push({ queue, headSha, isOver: false });
            added.branches.set(queue, headSha);
            world.forge.groups.set(`${name} ${queue}`, {
              headSha,
              baseSha: base,
              baseBranch: 'main',
              members: [],
            });
          } else if ('which' in one) {
            const of = made[one.which];
            if (of === undefined || (one.kind === 'tell-end' && !of.isOver)) continue;
            const told = event(one.kind === 'tell' ? 'requested' : 'destroyed', of.headSha, of.queue);
            for (let times = one.twice ? 2 : 1; times > 0; times--) await world.deliver(told);
          }
        }
        await world.settle();
        await world.restart();
        await world.settle();
        const open = (await world.open('group')).map(({ branch: queue, head: tip }) => `${queue} ${tip}`);
        const queued = [...added.branches].map(([queue, tip]) => `${queue} ${tip}`);
        expect(open.toSorted()).toEqual(queued.toSorted());
        expect(await world.unfinished()).toEqual([]);
      });
    }),
    { numRuns: 40 },
  );
});

it('waits while the forge fails, and leaves what it may not serve', async () => {
  await setUp(async (world, { make, requested, groups }) => {
    await world.intake().start();
    await world.settle();
    make();
    world.forge.fault = new FakeForgeFault(true);
    await world.deliver(requested);
    await world.passUntil(() => world.events.some(({ kind }) => kind === 'passing-fault'));
    world.forge.fault = null;
    await world.settle();
    expect(await groups()).toEqual([{ state: 'queued', head }]);
    world.forge.permits = (_, baseBranch) => baseBranch !== 'main';
    await world.deliver(requested);
    await world.settle();
    expect(await groups()).toEqual([]);
  });
});

it('ends with its repository', async () => {
  await setUp(async (world, { make, added, requested, groups }) => {
    await world.intake().start();
    make();
    await world.deliver(requested);
    await world.settle();
    await world.deliver({ kind: 'repository-deleted', repository: added.repository, by: null });
    world.forge.repositories.delete(name);
    await world.settle();
    expect(await groups()).toEqual([]);
  });
});

/** Whoever is called `writer` may write. */
const groupApproval: ApprovalPolicy = { awaits: async (_, { author }) => author?.login !== 'writer' };

const stateOfGroup = async (world: World): Promise<string | undefined> => {
  const query = { repository: hostedName(world.forge.host, name), kinds: ['group'], limit: 10 } as const;
  return (await database.changes.list(query)).changes.find(({ state }) => state !== 'superseded')?.state;
};

it('holds a group until each of its changes is approved, or of somebody who may write', async () => {
  await setUp(
    async (world, { make, added, requested }) => {
      added.changes.set(11, newOffer(11));
      await world.intake().start();
      await world.settle();
      make(head, [member(10, 'writer'), member(11), member(12, 'writer')]);
      await world.deliver(requested);
      await world.settle();
      expect(await stateOfGroup(world)).toBe('awaiting-approval');
      expect(world.taken.flatMap(({ awaiting }) => awaiting)).toHaveLength(1);
      // Another head of it was approved: that says nothing of this one.
      const [change] = await world.open();
      await database.changes.requeue(change?.id ?? '', { atMs: 1, approved: true });
      make(head, [member(10, 'writer'), { ...member(11), headSha: other }]);
      await world.deliver(requested);
      await world.settle();
      expect(await stateOfGroup(world)).toBe('awaiting-approval');
      make(head, [member(10, 'writer'), member(11)]);
      world.intake().approved();
      await world.passUntil(() =>
        world.taken.some(({ queued }) => queued.some(({ kind }) => kind === 'group')),
      );
      expect(await stateOfGroup(world)).toBe('queued');
    },
    { groupApproval },
  );
});

it('looks again soon where the queue is late to say whose changes a group holds', async () => {
  await setUp(
    async (world, { make, added, requested }) => {
      await world.intake().start();
      await world.settle();
      added.branches.set(branch, head);
      await world.deliver(requested);
      await world.settle();
      expect(await stateOfGroup(world)).toBe('awaiting-approval');
      make(head, [member(12, 'writer')]);
      const sinceMs = world.time.clock();
      await world.passUntil(() =>
        world.taken.some(({ queued }) => queued.some(({ kind }) => kind === 'group')),
      );
      expect(world.time.clock() - sinceMs).toBeLessThan(60_000);
    },
    { groupApproval },
  );
});

it('holds a group where the forge will not say whose changes it holds', async () => {
  await setUp(
    async (world, { make, requested }) => {
      await world.intake().start();
      await world.settle();
      make(head, [member(12, 'writer')]);
      world.forge.onAsked = (what) => {
        if (what.startsWith('group ')) throw new FakeForgeFault(false);
      };
      await world.deliver(requested);
      await world.settle();
      expect(await stateOfGroup(world)).toBe('awaiting-approval');
    },
    { groupApproval },
  );
});

it('holds a group of which nobody tells whose changes it holds, and lets writers pass', async () => {
  await setUp(
    async (world, { make, added, requested, event }) => {
      await world.intake().start();
      added.branches.set(branch, head);
      await world.deliver(requested);
      await world.settle();
      expect(await stateOfGroup(world)).toBe('awaiting-approval');
      // The queue tells it by now, and no webhook: a sweep looks again.
      make(head, [member(12, 'writer')]);
      await world.restart();
      await world.settle();
      expect(await stateOfGroup(world)).toBe('queued');
      make(other, [member(12, 'writer')]);
      await world.deliver(event('requested', other));
      await world.settle();
      expect(await stateOfGroup(world)).toBe('queued');
    },
    { groupApproval },
  );
});
