// Whatever a forge tells, loses, doubles or mixes up: what is here ends as what is there, and each effect happens once.
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import type { ForgeEvent } from '../forge/forge-event.ts';
import { FakeForgeFault, type FakeHostedForge, fakeSha } from '../forge/hosted-forge.fake.ts';
import { hostedName } from '../forge/hosted-forge.ts';
import { hostedKey } from './hosted/hosted-delivery.ts';
import {
  isIdle,
  keptOf,
  movedEvent,
  newOffer,
  openWorld,
  turn,
  until,
  type World,
  wantedOf,
} from './hosted/testing/intake-world.ts';
import { resumeDeliveries } from './intake.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const withWorld = async (
  work: (world: World) => Promise<void>,
  more: Parameters<typeof openWorld>[1] = {},
) => {
  const world = await openWorld(database, more);
  try {
    await work(world);
  } finally {
    await world.close();
  }
};

/** By their text. */
const sorted = (list: readonly unknown[]): unknown[] =>
  list.toSorted((one, other) => String(one).localeCompare(String(other)));

const names = ['owner/one', 'owner/two'] as const;
type Happening =
  | {
      readonly kind: 'open' | 'close' | 'draft';
      readonly repository: string;
      readonly number: number;
      readonly head: number;
      readonly base: string;
    }
  | {
      readonly kind: 'push' | 'delete';
      readonly repository: string;
      readonly branch: string;
      readonly head: number;
    };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('open' as const, 'open' as const, 'close' as const, 'draft' as const),
      repository: fc.constantFrom(...names),
      number: fc.integer({ min: 1, max: 3 }),
      head: fc.integer({ min: 1, max: 3 }),
      base: fc.constantFrom('main', 'main', 'staging', 'secret'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('push' as const, 'delete' as const),
      repository: fc.constantFrom(...names),
      branch: fc.constantFrom('main', 'release/1', 'topic'),
      head: fc.integer({ min: 1, max: 3 }),
    }),
  },
);
/** Changes the forge, and says what it tells of that. */
const happen = (forge: FakeHostedForge, one: Happening): ForgeEvent | null => {
  const found = forge.repositories.get(one.repository);
  if (found === undefined) return null;
  const { repository, changes, branches } = found;
  if ('branch' in one) {
    const before = branches.get(one.branch) ?? null;
    const after = one.kind === 'push' ? fakeSha(one.head) : null;
    if (after === null) branches.delete(one.branch);
    else branches.set(one.branch, after);
    return { kind: 'branch-pushed', repository, by: null, branch: one.branch, before, after };
  }
  const known = changes.get(one.number);
  if (one.kind === 'open') {
    const more = { headSha: fakeSha(one.head), baseBranch: one.base };
    changes.set(one.number, newOffer(one.number, more));
    return movedEvent(forge, repository.name, one.number);
  }
  if (known === undefined) return null;
  const change = { ...known, ...(one.kind === 'close' ? { isOpen: false } : { isDraft: !known.isDraft }) };
  changes.set(one.number, change);
  return one.kind === 'close'
    ? { kind: 'change-closed', repository, by: null, change, isMerged: false }
    : { kind: 'change-draft', repository, by: null, change };
};

const tipsOf = (forge: FakeHostedForge): unknown[] =>
  [...forge.repositories.values()]
    .flatMap(({ repository: { name }, branches }) =>
      [...branches].map(([branch, sha]) => [hostedName(forge.host, name), branch, sha]),
    )
    .filter(([, branch]) => branch !== 'topic');

const expectSame = async (world: World): Promise<void> => {
  const open = await world.open();
  expect(keptOf(open)).toEqual(wantedOf(world.forge));
  const baselines = await world.open('baseline');
  const tips = baselines.map(({ repository, branch, head }) => [repository, branch, head]);
  expect(sorted(tips)).toEqual(sorted(tipsOf(world.forge)));
  expect(await world.unfinished()).toEqual([]);
};

const openNew = async (): Promise<World> => {
  const world = await openWorld(database);
  world.forge.permits = (_, baseBranch) => baseBranch !== 'secret';
  for (const name of names) world.forge.addRepository(name);
  await world.intake().start();
  await world.settle();
  return world;
};

it('ends as the forge is, in whatever order it is told and however often, without any sweep', async () => {
  const property = fc.asyncProperty(
    fc.array(happening, { maxLength: 25 }),
    fc.array(fc.nat({ max: 1000 }), { minLength: 7, maxLength: 40 }),
    async (happenings, numbers) => {
      const world = await openNew();
      const sweepsBefore = world.forge.asked.filter((what) => what.startsWith('listing')).length;
      const events = happenings.flatMap((one) => happen(world.forge, one) ?? []);
      const told = [...events, ...events.filter((_, at) => at % 3 === 0)]
        .map((event, at) => ({ event, at: numbers[at % numbers.length] ?? 0 }))
        .toSorted((one, other) => one.at - other.at);
      for (const { event } of told) await world.deliver(event, String(events.indexOf(event)));
      await until(() => isIdle(world.intake()));
      await expectSame(world);
      expect(world.forge.asked.filter((what) => what.startsWith('listing'))).toHaveLength(sweepsBefore);
      await world.close();
    },
  );
  await fc.assert(property, { numRuns: 20 });
});

const step = fc.record({
  what: happening,
  fate: fc.constantFrom('told' as const, 'told' as const, 'twice' as const, 'lost' as const),
  after: fc.constantFrom('on', 'on', 'on', 'fault', 'well', 'restart', 'time' as const),
});

it('ends as the forge is after a sweep, whatever was lost, failed or died on the way', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
    const world = await openNew();
    for (const { what, fate, after } of steps) {
      const event = happen(world.forge, what);
      if (event !== null && fate !== 'lost') await world.deliver(event);
      if (event !== null && fate === 'twice') await world.deliver(event);
      if (after === 'fault') world.forge.fault = new FakeForgeFault(true);
      if (after === 'well') world.forge.fault = null;
      if (after === 'restart') await world.restart();
      if (after === 'time') world.time.ring();
    }
    world.forge.fault = null;
    await world.restart();
    await world.settle();
    await expectSame(world);
    // And a sweep that finds nothing does nothing.
    const before = world.taken.length;
    await world.restart();
    await world.settle();
    expect(world.taken).toHaveLength(before);
    expect(world.events.filter(({ kind }) => kind === 'given-up')).toEqual([]);
    await world.close();
  });
  await fc.assert(property, { numRuns: 20 });
});

it('tells once of what is queued and what ends, with the numbers and names of the forge', async () => {
  await withWorld(async (world) => {
    const { forge, taken } = world;
    const { changes } = forge.addRepository('owner/one');
    changes.set(12, newOffer(12, { title: 'zlib: 1.3 -> 1.4', headRepository: null }));
    await world.intake().start();
    await until(() => isIdle(world.intake()));
    expect(taken).toMatchObject([
      {
        repository: `${forge.host}/owner/one`,
        queued: [
          { kind: 'offered', number: 12, branch: 'pull/12', baseBranch: 'main', base: fakeSha(0xba5e) },
        ],
        ended: [],
      },
    ]);
    const row = await world.database.changes.findByNumber(`${forge.host}/owner/one`, 12);
    expect(JSON.parse(row?.requestJson ?? '')).toMatchObject({
      host: forge.host,
      repository: 'owner/one',
      author: { id: 7, login: 'somebody' },
      headBranch: 'patch-1',
      headRepository: null,
    });
    changes.set(12, newOffer(12, { headSha: fakeSha(77) }));
    const key = await world.deliver(movedEvent(forge, 'owner/one', 12), 'moved');
    await until(() => isIdle(world.intake()));
    expect(taken.slice(1)).toMatchObject([{ queued: [{ head: fakeSha(77) }], ended: [row?.id] }]);
    expect(world.events.filter(({ kind }) => kind === 'processed')).toMatchObject([
      { event: 'change-moved', outcome: 'applied', key },
    ]);
    // A redelivery of what was done, and one that tells nothing new.
    await world.deliver(movedEvent(forge, 'owner/one', 12), 'moved');
    await world.deliver(movedEvent(forge, 'owner/one', 12), 'another');
    await until(() => isIdle(world.intake()));
    expect(taken).toHaveLength(2);
  });
});

it('does not judge a draft before it is ready', async () => {
  await withWorld(async (world) => {
    const { forge, taken } = world;
    const { changes } = forge.addRepository('owner/one');
    changes.set(1, newOffer(1, { isDraft: true }));
    await world.intake().start();
    await world.deliver(movedEvent(forge, 'owner/one', 1));
    await until(() => isIdle(world.intake()));
    expect(taken).toEqual([]);
    changes.set(1, newOffer(1));
    await world.deliver(movedEvent(forge, 'owner/one', 1));
    await until(() => isIdle(world.intake()));
    const id = taken[0]?.queued[0]?.id;
    expect(taken).toMatchObject([{ queued: [{ number: 1 }], ended: [] }]);
    changes.set(1, newOffer(1, { isDraft: true }));
    await world.deliver(movedEvent(forge, 'owner/one', 1));
    await until(() => isIdle(world.intake()));
    expect(taken.slice(1)).toMatchObject([{ queued: [], ended: [id] }]);
  });
});

it('judges a baseline against where its branch was when it was judged last', async () => {
  await withWorld(async (world) => {
    const { branches, repository } = world.forge.addRepository('owner/one');
    branches.set('main', fakeSha(1));
    await world.intake().start();
    await until(() => isIdle(world.intake()));
    for (const [before, after] of [
      [1, 2],
      [2, 3],
    ] as const) {
      branches.set('main', fakeSha(after));
      const shas = { before: fakeSha(before), after: fakeSha(after) };
      await world.deliver({ kind: 'branch-pushed', repository, by: null, branch: 'main', ...shas });
      await until(() => isIdle(world.intake()));
    }
    expect((await world.open('baseline')).map(({ base, head }) => [base, head])).toEqual([
      [null, fakeSha(3)],
    ]);
    const claim = { owner: 'server', nowMs: 5, untilMs: 10 };
    const claimed = await world.database.changes.claimNext(claim);
    const lease = { id: claimed?.id ?? '', owner: 'server' };
    const judged = { base: null, judgedTree: fakeSha(9) as never, title: '', conclusion: 'success' };
    await world.database.changes.finish(
      lease,
      { state: 'judged', ...judged, summaryJson: '{}', markdown: '' },
      6,
    );
    branches.set('main', fakeSha(4));
    const shas = { before: fakeSha(3), after: fakeSha(4) };
    await world.deliver({ kind: 'branch-pushed', repository, by: null, branch: 'main', ...shas });
    await until(() => isIdle(world.intake()));
    expect((await world.open('baseline')).map(({ base, head }) => [base, head])).toEqual([
      [fakeSha(3), fakeSha(4)],
    ]);
  });
});

it('does not undo with an older listing what it was told since', async () => {
  const world = await openWorld(database);
  const { forge } = world;
  const { changes } = forge.addRepository('owner/one');
  changes.set(1, newOffer(1)).set(2, newOffer(2)).set(3, newOffer(3));
  await world.intake().start();
  await world.settle();
  const { listings } = forge;
  forge.listings = async function* (signal) {
    for await (const listing of listings.call(forge, signal)) {
      // While the answer is on its way: one moves, one is closed, one is new, one joins another branch.
      changes.set(1, newOffer(1, { headSha: fakeSha(11) }));
      changes.set(2, newOffer(2, { isOpen: false }));
      changes.set(3, newOffer(3, { baseBranch: 'release/1' }));
      changes.set(4, newOffer(4));
      const count = world.events.length;
      for (const number of [1, 2, 3, 4]) await world.deliver(movedEvent(forge, 'owner/one', number));
      await until(() => world.events.slice(count).filter(({ kind }) => kind === 'processed').length === 4);
      world.taken.length = 0;
      yield listing;
    }
  };
  await world.restart();
  await world.settle();
  expect(world.taken).toEqual([]);
  await expectSame(world);
  await world.close();
});

it('closes nothing for not being in a listing that is not complete, and asks for what is missing in one that is', async () => {
  await withWorld(async (world) => {
    const { forge } = world;
    const { changes } = forge.addRepository('owner/one');
    changes.set(1, newOffer(1)).set(2, newOffer(2));
    await world.intake().start();
    await world.settle();
    forge.isComplete = false;
    changes.delete(1);
    await world.restart();
    await world.settle();
    expect((await world.open()).map(({ number }) => number)).toEqual([1, 2]);
    forge.isComplete = true;
    await world.restart();
    await world.settle();
    expect((await world.open()).map(({ number }) => number)).toEqual([2]);
    // A page can lack what is open all the same: the forge is asked for it before it is given up.
    const { listings } = forge;
    forge.listings = async function* (signal) {
      for await (const listing of listings.call(forge, signal)) yield { ...listing, changes: [] };
    };
    const before = world.taken.length;
    await world.restart();
    await world.settle();
    expect(forge.asked.at(-1)).toBe('change owner/one 2');
    expect([(await world.open()).length, world.taken.length]).toEqual([1, before]);
  });
});

it('ends what it may not reach any more, and takes it back', async () => {
  await withWorld(async (world) => {
    const { forge } = world;
    for (const name of ['owner/one', 'owner/two', 'Other/three']) {
      const { changes, branches } = forge.addRepository(name);
      changes.set(1, newOffer(1));
      branches.set('main', fakeSha(1));
    }
    await world.intake().start();
    await world.settle();
    const openIn = async () =>
      [...(await world.open()), ...(await world.open('baseline'))].map((one) => one.repository);
    const { host } = forge;
    const [one, two, three] = ['owner/one', 'owner/two', 'Other/three'].map((name) => `${host}/${name}`);
    expect(sorted(await openIn())).toEqual(sorted([three, three, one, one, two, two]));

    const gone = forge.repositories.get('owner/one');
    if (gone === undefined) throw new Error('it was there');
    forge.repositories.delete('owner/one');
    await world.deliver({ kind: 'repository-deleted', repository: gone.repository, by: null });
    await world.settle();
    expect(sorted(await openIn())).toEqual(sorted([three, three, two, two]));

    const others = new Map(forge.repositories);
    forge.repositories.delete('Other/three');
    await world.deliver({ kind: 'access-ended', account: 'other' });
    await world.settle();
    expect(await openIn()).toEqual([two, two]);

    forge.repositories.clear();
    for (const [name, repository] of others) forge.repositories.set(name, repository);
    await world.deliver({ kind: 'access-given', account: 'Other' });
    await until(() => isIdle(world.intake()));
    world.time.ring();
    await world.settle();
    expect(sorted(await openIn())).toEqual(sorted([three, three, two, two]));

    // It was not told of at all: the listing lacks it, and it is asked for.
    forge.repositories.delete('owner/two');
    await world.restart();
    await world.settle();
    expect(await openIn()).toEqual([three, three]);
    // Nor is the configuration: nobody is asked for what is not permitted.
    forge.permits = () => false;
    forge.repositories.clear();
    forge.asked.length = 0;
    await world.restart();
    await world.settle();
    expect([await openIn(), new Set(forge.asked)]).toEqual([[], new Set(['listings'])]);
  });
});

it('judges again what somebody presses a button for, and nothing of others', async () => {
  await withWorld(async (world) => {
    const { repository, changes } = world.forge.addRepository('owner/one');
    changes.set(1, newOffer(1));
    changes.set(2, newOffer(2));
    await world.intake().start();
    await world.settle();
    const open = await world.open();
    for (const change of open) {
      const row = await world.database.changes.find(change.id);
      if (row !== null) await world.database.changes.save({ ...row, state: 'failed', fault: 'X: y' });
    }
    const [first] = open;
    if (first === undefined) throw new Error('nothing is open');
    const states = async (): Promise<Record<string, string>> =>
      Object.fromEntries((await world.open()).map(({ id, state }) => [String(id === first.id), state]));
    const press = (externalId: string | null, headSha = first.head) =>
      world.deliver({
        ...{ kind: 'gate-rerun', repository, by: null },
        gate: { gateId: 1, name: 'EkaCI', externalId, headSha },
      });
    await press('none of ours');
    await press(null);
    await press(`${first.id}/summary`, fakeSha(99));
    await world.settle();
    expect(await states()).toEqual({ true: 'failed', false: 'failed' });
    world.taken.length = 0;
    await press(`${first.id}/summary`);
    await press(`${first.id}/`);
    await world.settle();
    expect(await states()).toEqual({ true: 'queued', false: 'failed' });
    expect(world.taken.map(({ queued }) => queued.map(({ id }) => id))).toEqual([[first.id]]);
    for (const { head } of open) {
      await world.deliver({ kind: 'gates-rerun', repository, by: null, headSha: head });
    }
    await world.settle();
    expect(await states()).toEqual({ true: 'queued', false: 'queued' });
    expect(await world.unfinished()).toEqual([]);
  });
});

it('finishes what it does not act on, and says so', async () => {
  await withWorld(async (world) => {
    const { repository } = world.forge.addRepository('owner/one');
    await world.intake().start();
    await world.settle();
    const author = { id: 1, login: 'somebody', isPerson: true };
    const told: ForgeEvent[] = [
      {
        kind: 'comment-created',
        repository,
        by: author,
        changeNumber: 1,
        commentId: 2,
        author,
        text: 'hi',
        createdAtMs: 1,
      },
      { kind: 'branch-pushed', repository, by: author, branch: 'topic', before: null, after: fakeSha(1) },
    ];
    for (const event of told) await world.deliver(event);
    // It was seen under that name already.
    await world.deliver({ kind: 'repository-renamed', repository, by: author, oldName: 'owner/old' });
    await world.settle();
    const processed = world.events.flatMap((one) =>
      one.kind === 'processed' ? [[one.event, one.outcome]] : [],
    );
    expect(sorted(processed)).toEqual(
      sorted([...told.map(({ kind }) => [kind, 'not-acted-on']), ['repository-renamed', 'unchanged']]),
    );
    expect(world.events.filter(({ kind }) => kind === 'renamed')).toEqual([]);
    expect(await world.unfinished()).toEqual([]);
  });
});

it('gives up what cannot be read, of whomever it is, and nothing else for it', async () => {
  await withWorld(async (world) => {
    const { changes } = world.forge.addRepository('owner/one');
    changes.set(1, newOffer(1));
    const { host } = world.forge;
    const event = movedEvent(world.forge, 'owner/one', 1);
    const hostile = [
      '',
      'null',
      '[]',
      '{"kind":"change-moved"}',
      '{"kind":"what-comes-in-a-later-version","repository":{}}',
      '{"__proto__":{"kind":"ping"}}',
      JSON.stringify({ ...event, repository: { id: 'x', name: '../..', isPrivate: 1, defaultBranch: '' } }),
    ];
    const rows = hostile.map((payload, at) => ({ key: hostedKey(host, `h${at}`), payload, receivedAtMs: 1 }));
    const elsewhere = {
      key: hostedKey('gone.example.org', '1'),
      payload: '{"kind":"ping"}',
      receivedAtMs: 1,
    };
    await world.database.deliveries.receive([...rows, elsewhere]);
    await world.deliver(event);
    // Those who look for their own rows leave these alone.
    expect(await resumeDeliveries({ database: world.database, clock: () => 1 })).toEqual({
      queued: [],
      ended: [],
    });
    await world.intake().start();
    await until(() => isIdle(world.intake()));
    expect(world.events.filter(({ kind }) => kind === 'unreadable')).toHaveLength(hostile.length);
    expect(world.events.filter(({ kind }) => kind === 'not-served')).toMatchObject([{ key: elsewhere.key }]);
    expect((await world.open()).map(({ number }) => number)).toEqual([1]);
    expect(await world.unfinished()).toEqual([]);
  });
});

it('finishes what no waiting mends, and goes on with the rest', async () => {
  await withWorld(async (world) => {
    const { forge } = world;
    const { changes } = forge.addRepository('owner/one');
    await world.intake().start();
    await world.settle();
    changes.set(1, newOffer(1)).set(2, newOffer(2)).set(3, newOffer(3));
    const { findChange } = forge;
    forge.findChange = (repository, number, signal) => {
      if (number === 1) return Promise.reject(new FakeForgeFault(false));
      if (number === 2) return Promise.reject(new TypeError('a bug'));
      return findChange.call(forge, repository, number, signal);
    };
    for (const number of [1, 2, 3]) await world.deliver(movedEvent(forge, 'owner/one', number));
    await until(() => isIdle(world.intake()));
    expect(world.events.filter(({ kind }) => kind === 'given-up')).toMatchObject([
      { what: 'change 1 of owner/one', deliveries: 1, error: { code: 'FAKE_FAULT' } },
      { what: 'change 2 of owner/one' },
    ]);
    expect((await world.open()).map(({ number }) => number)).toEqual([3]);
    expect(await world.unfinished()).toEqual([]);
  });
});

it('asks for several repositories at once, and for one thing of each', async () => {
  await withWorld(async (world) => {
    const { forge } = world;
    const repositories = Array.from({ length: 12 }, (_, at) => `owner/r${at}`);
    for (const name of repositories) {
      const { changes } = forge.addRepository(name);
      for (let number = 1; number <= 3; number++) changes.set(number, newOffer(number));
    }
    const listed = [...forge.repositories];
    forge.repositories.clear();
    await world.intake().start();
    await world.settle();
    for (const [name, repository] of listed) forge.repositories.set(name, repository);
    const now = new Map<string, number>();
    let [most, mostOfOne] = [0, 0];
    const order: string[] = [];
    // However slow the database is: all is told before the first answer.
    const told = Promise.withResolvers<void>();
    forge.onAsked = async (what) => {
      const [, name = ''] = what.split(' ');
      now.set(name, (now.get(name) ?? 0) + 1);
      mostOfOne = Math.max(mostOfOne, now.get(name) ?? 0);
      most = Math.max(
        most,
        [...now.values()].reduce((sum, one) => sum + one, 0),
      );
      order.push(what);
      await told.promise;
      for (let turns = 0; turns < 3; turns++) await turn();
      now.set(name, (now.get(name) ?? 0) - 1);
    };
    for (const name of repositories) {
      for (let number = 1; number <= 3; number++) await world.deliver(movedEvent(forge, name, number));
    }
    told.resolve();
    await until(() => isIdle(world.intake()));
    expect([mostOfOne, most > 1, most <= 8]).toEqual([1, true, true]);
    expect(order.filter((what) => what.includes(' owner/r5 '))).toEqual(
      [1, 2, 3].map((n) => `change owner/r5 ${n}`),
    );
    expect(await world.open()).toHaveLength(36);
  });
});

it('outlasts an hour of faults, asks less and less often, and then does everything once', async () => {
  await withWorld(async (world) => {
    const { forge, time } = world;
    const { changes } = forge.addRepository('owner/one');
    const other = forge.addRepository('owner/two');
    await world.intake().start();
    await until(() => isIdle(world.intake()));
    const startMs = time.clock();
    forge.fault = new FakeForgeFault(true);
    for (let number = 1; number <= 20; number++) {
      changes.set(number, newOffer(number));
      for (let times = 0; times < 10; times++) await world.deliver(movedEvent(forge, 'owner/one', number));
    }
    other.changes.set(1, newOffer(1));
    await world.deliver(movedEvent(forge, 'owner/two', 1));
    forge.asked.length = 0;
    const sinceMs = () => time.clock() - startMs;
    const waits: number[] = [];
    while (sinceMs() < 60 * 60_000) {
      for (let turns = 0; turns < 30; turns++) await turn();
      const before = time.clock();
      time.ring();
      waits.push(time.clock() - before);
    }
    const asked = forge.asked.filter((what) => what.startsWith('change owner/one')).length;
    expect(asked).toBeGreaterThan(8);
    expect(asked).toBeLessThan(25);
    expect(await world.unfinished()).toHaveLength(201);
    expect(world.intake().counts()).toMatchObject({ deliveries: 201, works: 21 });
    expect(world.intake().repositories()).toMatchObject([
      { repository: 'owner/one', fault: 'FAKE_FAULT: the forge fails: wait, or mend it' },
      { repository: 'owner/two', failures: expect.any(Number) as number },
    ]);
    expect(world.taken).toEqual([]);
    forge.fault = null;
    forge.asked.length = 0;
    await world.settle();
    expect(await world.unfinished()).toEqual([]);
    expect(world.taken.flatMap(({ queued }) => queued)).toHaveLength(21);
    await expectSame(world);
    expect(world.events.filter(({ kind }) => kind === 'processed')).toHaveLength(201);
    await world.restart();
    await world.settle();
    expect(
      world
        .intake()
        .repositories()
        .map(({ fault }) => fault),
    ).toEqual([null, null]);
    expect(world.taken.flatMap(({ queued }) => queued)).toHaveLength(21);
  });
});

it('comes back when the forge says, and not before', async () => {
  await withWorld(async (world) => {
    const { forge, time } = world;
    const { changes } = forge.addRepository('owner/one');
    await world.intake().start();
    await until(() => isIdle(world.intake()));
    changes.set(1, newOffer(1));
    const backMs = time.clock() + 7 * 60_000;
    forge.fault = new FakeForgeFault(true, backMs);
    forge.asked.length = 0;
    await world.deliver(movedEvent(forge, 'owner/one', 1));
    await until(() => world.events.some(({ kind }) => kind === 'passing-fault'));
    await turn();
    forge.fault = null;
    while (forge.asked.filter((what) => what.startsWith('change')).length < 2) {
      time.ring();
      await turn();
    }
    expect(time.clock()).toBe(backMs);
    await until(() => isIdle(world.intake()));
    expect(await world.open()).toHaveLength(1);
  });
});

it('goes on with what does not fail beside what does', async () => {
  await withWorld(async (world) => {
    const { forge } = world;
    const { changes } = forge.addRepository('owner/one');
    await world.intake().start();
    await world.settle();
    // No sweep is to find what is asked for in vain.
    forge.listings = async function* () {};
    changes.set(1, newOffer(1)).set(2, newOffer(2)).set(3, newOffer(3));
    const { findChange } = forge;
    forge.findChange = async (repository, number, signal) => {
      if (number === 1) throw new FakeForgeFault(true);
      return findChange.call(forge, repository, number, signal);
    };
    const faults = () => world.events.filter(({ kind }) => kind === 'passing-fault').length;
    const done = () => world.events.filter(({ kind }) => kind === 'processed').length;
    await world.deliver(movedEvent(forge, 'owner/one', 1));
    await world.passUntil(() => faults() === 4);
    await world.deliver(movedEvent(forge, 'owner/one', 2));
    await world.passUntil(() => done() === 1);
    const before = faults();
    await world.passUntil(() => faults() > before);
    // By now the one waits much longer than what is beside it.
    const startMs = world.time.clock();
    await world.deliver(movedEvent(forge, 'owner/one', 3));
    await world.passUntil(() => done() === 2);
    expect(world.time.clock() - startMs).toBeLessThan(30_000);
    expect((await world.open()).map(({ number }) => number)).toEqual([2, 3]);
    expect(await world.unfinished()).toHaveLength(1);
  });
});

it('keeps a bounded number in mind, and forgets none of the others', async () => {
  await withWorld(
    async (world) => {
      const { forge } = world;
      const { changes } = forge.addRepository('owner/one');
      for (let number = 1; number <= 90; number++) changes.set(number, newOffer(number));
      for (let at = 0; at < 300; at++) await world.deliver(movedEvent(forge, 'owner/one', (at % 90) + 1));
      forge.isComplete = false;
      forge.listings = async function* () {};
      let most = 0;
      forge.onAsked = () => {
        most = Math.max(most, world.intake().counts().deliveries);
      };
      await world.intake().start();
      for (let at = 0; at < 30; at++)
        await world.deliver(movedEvent(forge, 'owner/one', at + 1), `late ${at}`);
      await world.settle();
      expect(most).toBeLessThanOrEqual(40);
      expect(await world.open()).toHaveLength(90);
      expect(await world.unfinished()).toEqual([]);
      expect(world.events.filter(({ kind }) => kind === 'processed')).toHaveLength(330);
    },
    { mostInMind: 40 },
  );
});
