// Stories of pushes on a real database: each root arrives, once, whatever befalls the cache, the server or the database.
import type { StorePath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeCache, type FakeCache } from '../../cache/cache.fake.ts';
import type { PushFault } from '../../cache/cache.ts';
import type { Database } from '../../database/database.ts';
import { DatabaseError } from '../../database/database-error.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { PushQueue } from './push-queue.ts';
import {
  forgeHost,
  newRoot,
  onlyMain,
  onMain,
  onPull,
  openPushWorld,
  outputOf,
  type PushWorld,
} from './testing/push-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

let database: Database;
let cache: FakeCache;
let world: PushWorld;
const opened: PushQueue[] = [];

const open = async (more: Parameters<PushWorld['open']>[0] = {}): Promise<PushQueue> => {
  const queue = await world.open(more);
  opened.push(queue);
  return queue;
};

let caches = 0;
let repositories = 0;

beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());
beforeEach(() => {
  cache = createFakeCache({ id: `cache-${++caches}` });
  world = openPushWorld({ database, caches: [cache] });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((queue) => queue.stop()));
});

const down: PushFault = { kind: 'passing', why: 'it does not answer', retryAfterMs: null };
const full: PushFault = { kind: 'passing', why: 'it is full', retryAfterMs: 30 * minuteMs };
const readOnly: PushFault = { kind: 'refused', code: 'read-only', why: 'it takes nothing' };
const expired: PushFault = { kind: 'refused', code: 'unauthorized', why: 'its token has expired' };

const sentOnce = (paths: readonly StorePath[]) => new Map(paths.map((path) => [path, 1]));

/** A database that a server loses when it dies: what it asks from then on is never answered. */
const mortal = () => {
  let isDead = false;
  const never = new Promise<never>(() => {});
  const pushes = new Proxy(database.pushes, {
    get: (target, name: keyof Database['pushes']) =>
      isDead ? () => never : (target[name] as (...args: unknown[]) => unknown).bind(target),
  });
  return {
    database: { ...database, pushes },
    die: () => {
      isDead = true;
      world.kill();
    },
  };
};

describe('what judgements hand on', () => {
  it('arrives, base branches first, each output once', async () => {
    const pulled = [newRoot(), newRoot(), newRoot('failed')];
    const based = [newRoot(), pulled[0] ?? newRoot()];
    await world.judge(pulled, onPull);
    await world.judge(based);
    await open({ settings: { concurrency: 1 } });
    await world.settle();
    const roots = [...based, pulled[1] ?? newRoot()];
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
    expect(cache.pushes.flat()).toContain(outputOf(based[1] ?? newRoot()));
    expect(await world.counts()).toBeNull();
    // The same once more, as of the next commit: nobody is even asked.
    await world.judge(based);
    await world.settle();
    expect(cache.pushes.flat()).toHaveLength(3);
    expect(world.kinds().filter((kind) => kind === 'queued')).toHaveLength(2);
  });

  it('of a branch is also what pull requests have built before, and of pull requests what they built', async () => {
    const [unchanged, missing, notBuilt] = [newRoot('open'), newRoot('open'), newRoot('not-built')];
    for (const root of [unchanged, notBuilt]) world.valid.add(outputOf(root));
    await world.judge([unchanged, missing, notBuilt], onPull);
    await open();
    await world.settle();
    expect(cache.sent.size).toBe(0);
    await world.judge([unchanged, missing, notBuilt]);
    await world.settle();
    expect(cache.sent).toEqual(sentOnce([unchanged, notBuilt].map(outputOf)));
    expect(world.kinds()).not.toContain('collected');
  });

  it('is not sent where the cache has it, and is sent again where it has lost it and somebody asks', async () => {
    const root = newRoot();
    await world.judge([root]);
    const queue = await open();
    await world.settle();
    cache.lose([outputOf(root)]);
    expect(await queue.pushNow(cache.id, 'waiting')).toBe(0);
    expect(await queue.pushNow(cache.id, 'everything')).toBe(1);
    await world.settle();
    expect(cache.sent).toEqual(new Map([[outputOf(root), 2]]));
    expect(await queue.pushNow(cache.id, 'everything')).toBe(1);
    await world.settle();
    expect(cache.sent).toEqual(new Map([[outputOf(root), 2]]));
    expect(world.kinds().at(-1)).toBe('present');
    expect(await queue.pushNow('other', 'everything')).toBeNull();
  });

  it('goes with all that it was built from where the cache wants that', async () => {
    const root = newRoot();
    world.valid.add(root.drv);
    await world.judge([root]);
    await open({ settings: { push: 'all' } });
    await world.settle();
    expect(cache.pushes).toEqual([[outputOf(root), `${outputOf(root)}-built-from`]]);
  });

  it('runs no more pushes at a time than the cache allows', async () => {
    const held = cache.hold();
    await world.judge(Array.from({ length: 200 }, () => newRoot()));
    await open({ settings: { concurrency: 2 } });
    await vi.waitUntil(() => cache.running() === 2);
    held.release();
    await world.settle();
    expect(cache.mostRunning()).toBe(2);
    expect(cache.sent.size).toBe(200);
  });

  it('is kept from garbage collection until it was pushed', async () => {
    cache.fail(down);
    const root = newRoot();
    await world.judge([root]);
    await open();
    await world.settle();
    expect([...world.kept.values()]).toEqual([[outputOf(root)]]);
    await world.pass(hourMs);
    expect(world.kept.size).toBe(1);
    cache.fail(null);
    await world.pass(hourMs);
    expect(world.kept.size).toBe(0);
  });
});

const see = (repositoryId: number, name: string) =>
  database.repositories.seen({ host: forgeHost, repositoryId, name, oldName: null, atMs: 1 });

describe('what may not be pushed', () => {
  it('is not: what a pull request built, to a cache of the base branch', async () => {
    await world.judge([newRoot()], onPull);
    await open({ settings: { permissions: onlyMain } });
    await world.settle();
    expect(cache.sent.size).toBe(0);
    expect(world.kinds()).toContain('kept-out');
    expect(await world.counts()).toBeNull();
  });

  it('is not any more, where the operator has changed that while it waited', async () => {
    cache.fail(down);
    await world.judge([newRoot()], onPull);
    const first = await open();
    await world.settle();
    await first.stop();
    world.kill();
    cache.fail(null);
    await open({ settings: { permissions: onlyMain } });
    await world.settle();
    expect(cache.sent.size).toBe(0);
    expect(world.kinds().at(-1)).toBe('dropped');
  });

  /** Its repository is `first/…` when it is judged, and allowed by that name; then it is renamed, or another one takes its name. */
  it.each([
    ['was renamed, and its name of now is not allowed', 'second', ['first/*'], false],
    ['was renamed, and its name of now is allowed instead', 'second', ['second/*'], true],
    ['was renamed, and both are allowed', 'second', ['*/*'], true],
    ['has lost its name to another one', 'aside', ['*'], false],
  ] as const)('is not by a name that was given up: its repository %s', async (_what, now, allowed, goes) => {
    const permissions = { allow_all: allowed[0] === '*', allowed_repos: allowed, allowed_branches: [] };
    for (const when of [
      'while it waits for the cache',
      'before it is taken',
      'after it was pushed',
    ] as const) {
      const repositoryId = ++repositories;
      const [name, nowName] = [`first/r${repositoryId}`, `second/r${repositoryId}`];
      const rename = () => (now === 'aside' ? see(++repositories, name) : see(repositoryId, nowName));
      await see(repositoryId, name);
      const root = newRoot();
      cache.fail(when === 'while it waits for the cache' ? down : null);
      const first = when === 'before it is taken' ? null : await open();
      await world.judge([root], { ...onMain, repository: name });
      if (first !== null) await world.settle();
      await first?.stop();
      world.kill();
      const before = new Map(cache.sent);
      await rename();
      cache.fail(null);
      const queue = await open({ settings: { permissions } });
      if (when === 'after it was pushed') {
        cache.lose([outputOf(root)]);
        await queue.pushNow(cache.id, 'everything');
      }
      await world.settle();
      await queue.stop();
      world.kill();
      const sentNow = (cache.sent.get(outputOf(root)) ?? 0) - (before.get(outputOf(root)) ?? 0);
      expect([when, sentNow]).toEqual([when, goes ? 1 : 0]);
    }
  });

  it('is given up where it was collected as garbage, and pushed when it was built again', async () => {
    cache.fail(down);
    const [root, other] = [newRoot(), newRoot()];
    await world.judge([root, other]);
    await open();
    await world.settle();
    world.valid.delete(outputOf(root));
    cache.fail(null);
    await world.pass(hourMs);
    expect(cache.sent).toEqual(sentOnce([outputOf(other)]));
    expect(world.kinds()).toContain('dropped');
    await world.judge([root]);
    await world.settle();
    expect(cache.sent).toEqual(sentOnce([root, other].map(outputOf)));
  });
});

describe('two repositories that swap their names', () => {
  it('lose nothing that waits, while the name of one is not known', async () => {
    const [mine, theirs] = [newRoot(), newRoot()];
    const [first, second] = [++repositories, ++repositories];
    await see(first, 'swap/a');
    await see(second, 'swap/b');
    cache.fail(down);
    await open();
    await world.judge([mine], { ...onMain, repository: 'swap/a' });
    await world.judge([theirs], { ...onMain, repository: 'swap/b' });
    await world.settle();
    await see(first, 'swap/b');
    cache.fail(null);
    await world.pass(hourMs);
    expect(cache.sent).toEqual(sentOnce([outputOf(mine)]));
    await see(second, 'swap/a');
    await world.pass(hourMs);
    expect(cache.sent).toEqual(sentOnce([mine, theirs].map(outputOf)));
  });

  it('drop it after a day in which nobody has seen the other', async () => {
    const root = newRoot();
    const [first, second] = [++repositories, ++repositories];
    await see(first, 'gone/a');
    cache.fail(down);
    await open();
    await world.judge([root], { ...onMain, repository: 'gone/a' });
    await world.settle();
    await see(second, 'gone/a');
    cache.fail(null);
    await world.pass(20 * hourMs);
    expect(await world.counts()).toMatchObject({ waiting: 1 });
    await world.pass(5 * hourMs);
    expect(await world.counts()).toBeNull();
    expect(cache.sent.size).toBe(0);
  });
});

describe('a cache', () => {
  const tellings = () => world.kinds().filter((kind) => kind === 'cache-fails' || kind === 'cache-works');

  it('that is down for an hour is asked seldom, and gets everything once afterwards', async () => {
    cache.fail(down);
    const roots = Array.from({ length: 100 }, () => newRoot());
    await world.judge(roots);
    const queue = await open();
    await world.pass(hourMs);
    const failures = world.kinds().filter((kind) => kind === 'failed').length;
    // One batch for each seat at first, then one push at a time.
    expect(failures).toBeLessThan(100 + 30);
    const [state] = await queue.queues();
    expect(state).toMatchObject({ waiting: 100, fault: 'it does not answer' });
    expect(tellings()).toEqual(['cache-fails']);
    cache.fail(null);
    await world.pass(15 * minuteMs);
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
    expect(tellings()).toEqual(['cache-fails', 'cache-works']);
    expect((await queue.queues())[0]).toMatchObject({ waiting: 0, fault: null, waitingSinceMs: null });
  });

  it('that is full is left alone for as long as it asks', async () => {
    cache.fail(full);
    await world.judge([newRoot()]);
    await open();
    await world.settle();
    cache.fail(null);
    await world.pass(29 * minuteMs);
    expect(cache.sent.size).toBe(0);
    await world.pass(2 * minuteMs);
    expect(cache.sent.size).toBe(1);
  });

  it('that takes nothing is an error that is told once, and asked each hour', async () => {
    cache.fail(readOnly);
    await world.judge([newRoot()]);
    const queue = await open();
    await world.pass(6 * hourMs);
    const tries = world.kinds().filter((kind) => kind === 'failed').length;
    expect(tries).toBeGreaterThan(6);
    expect(tries).toBeLessThan(15);
    expect(tellings()).toEqual(['cache-fails']);
    expect((await queue.queues())[0]).toMatchObject({ waiting: 1, failing: 1, fault: 'it takes nothing' });
    cache.fail(null);
    expect(await queue.pushNow(cache.id, 'waiting')).toBe(1);
    await world.settle();
    expect(cache.sent.size).toBe(1);
  });

  it('that says yes and keeps nothing is at fault, and gets it when it keeps things', async () => {
    cache.forgetful(true);
    const root = newRoot();
    await world.judge([root]);
    await open();
    await world.pass(minuteMs);
    expect(await world.counts()).toMatchObject({ waiting: 1, failing: 1 });
    cache.forgetful(false);
    await world.pass(10 * minuteMs);
    expect(await world.counts()).toBeNull();
    expect(tellings()).toEqual(['cache-fails', 'cache-works']);
  });

  it('whose credentials expired gets what waited soon after they were rotated', async () => {
    cache.fail(expired);
    await world.judge([newRoot(), newRoot()]);
    await open();
    await world.pass(30 * secondMs);
    cache.fail(null);
    await world.pass(2 * minuteMs);
    expect(cache.sent.size).toBe(2);
  });

  it('that fails over one path for ever takes the others, and is not held up by it', async () => {
    const bad = newRoot();
    cache.refuse(outputOf(bad), { kind: 'passing', why: 'it is too large', retryAfterMs: null });
    await world.judge([newRoot(), bad, newRoot()]);
    await open();
    await world.pass(hourMs);
    expect(cache.sent.size).toBe(2);
    const tries = world.kinds().filter((kind) => kind === 'failed').length;
    expect(tries).toBeLessThan(30);
    await world.judge([newRoot(), newRoot()]);
    await world.pass(5 * secondMs);
    expect(cache.sent.size).toBe(4);
  });

  it('that fails over one path of many takes the others within a minute, for few failures', async () => {
    const roots = Array.from({ length: 300 }, () => newRoot());
    const [bad] = roots;
    cache.refuse(outputOf(bad!), { kind: 'passing', why: 'it is too large', retryAfterMs: null });
    await world.judge(roots);
    await open();
    await world.pass(minuteMs);
    expect(cache.sent).toEqual(sentOnce(roots.slice(1).map(outputOf)));
    const failures = world.kinds().filter((kind) => kind === 'failed').length;
    // Smaller groups each time, and it alone a few times.
    expect(failures).toBeLessThan(30);
  });

  it('that never takes twenty, the oldest of all, has the others within hours', async () => {
    const tooLarge = { kind: 'refused', code: 'read-only', why: 'it is too large' } as const;
    const roots = Array.from({ length: 40 }, () => newRoot());
    for (const root of roots.slice(0, 20)) cache.refuse(outputOf(root), tooLarge);
    await world.judge(roots);
    let seed = 42;
    const random = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648;
    };
    await open({ random });
    await world.pass(4 * hourMs);
    expect(cache.sent).toEqual(sentOnce(roots.slice(20).map(outputOf)));
  });

  it('that does not take one path takes the others', async () => {
    const bad = newRoot();
    const roots = [newRoot(), bad, newRoot()];
    cache.refuse(outputOf(bad), { kind: 'refused', code: 'no-such-path', why: 'it is not here' });
    await world.judge(roots);
    await open();
    await world.pass(5 * minuteMs);
    expect(cache.sent.size).toBe(2);
    expect(tellings()).toEqual([]);
    expect(await world.counts()).toMatchObject({ waiting: 1, failing: 1 });
  });
});

describe('a judgement of many', () => {
  /** Of the publications that are read: how much is parsed in one go. */
  const watchParts = (sizes: number[]): Database => ({
    ...database,
    publications: {
      ...database.publications,
      waiting: async (...asked) => {
        const found = await database.publications.waiting(...asked);
        sizes.push(found.reduce((sum, { json }) => sum + (json.match(/"drv":/g)?.length ?? 0), 0));
        return found;
      },
    },
  });

  it('is read in parts, also by a server that takes it up in the middle', async () => {
    const roots = Array.from({ length: 100 }, () => newRoot());
    await world.judge([...roots, ...roots]);
    const sizes: number[] = [];
    const life = mortal();
    await open({ database: { ...watchParts(sizes), pushes: life.database.pushes } });
    await vi.waitUntil(() => sizes.length > 3);
    life.die();
    opened.length = 0;
    await open({ database: watchParts(sizes) });
    await world.settle();
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
    expect(Math.max(...sizes)).toBe(7);
    expect(await world.counts()).toBeNull();
  });
});

describe('whatever happens', () => {
  const faults = fc.constantFrom<PushFault | null>(null, null, down, full, readOnly, expired);
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('judge' as const), roots: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ kind: fc.constant('pass' as const), minutes: fc.integer({ min: 0, max: 10 }) }),
      fc.record({ kind: fc.constant('cache' as const), fault: faults }),
      fc.record({ kind: fc.constant('kill' as const) }),
    ),
    { maxLength: 10 },
  );

  it('property: in the end each output is there, and was sent once', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        cache = createFakeCache({ id: `cache-${++caches}` });
        world = openPushWorld({ database, caches: [cache] });
        const roots: StorePath[] = [];
        let life = mortal();
        await open({ database: life.database });
        for (const step of plan) {
          if (step.kind === 'pass') await world.pass(step.minutes * minuteMs);
          if (step.kind === 'cache') cache.fail(step.fault);
          if (step.kind === 'judge') {
            const made = Array.from({ length: step.roots }, () => newRoot());
            roots.push(...made.map(outputOf));
            await world.judge(made, step.roots % 2 === 0 ? onMain : onPull);
          }
          if (step.kind === 'kill') {
            life.die();
            opened.length = 0;
            life = mortal();
            await open({ database: life.database });
          }
        }
        cache.fail(null);
        await world.pass(70 * minuteMs);
        expect(cache.sent).toEqual(sentOnce(roots));
        expect(await world.counts()).toBeNull();
        await Promise.all(opened.splice(0).map((queue) => queue.stop()));
      }),
      { numRuns: 5 },
    );
  }, 60_000);
});

describe('a server', () => {
  it('that is killed in the middle of pushes pushes them when it is there again', async () => {
    const roots = Array.from({ length: 50 }, () => newRoot());
    const life = mortal();
    cache.hold();
    await world.judge(roots);
    await open({ database: life.database });
    await vi.waitUntil(() => cache.running() > 1);
    life.die();
    opened.length = 0;
    cache.hold().release();
    await open();
    await world.settle();
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
  });

  it('that is killed before it has written that it pushed sends nothing twice', async () => {
    const roots = [newRoot(), newRoot()];
    const life = mortal();
    const held = cache.hold();
    await world.judge(roots);
    await open({ database: life.database });
    await vi.waitUntil(() => cache.running() === 1);
    life.die();
    opened.length = 0;
    held.release();
    await vi.waitUntil(() => cache.sent.size === 2);
    await open();
    await world.settle();
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
    expect(world.kinds().filter((kind) => kind === 'present')).toHaveLength(2);
  });

  it('that stood still for longer than its leases does not push the same twice at once', async () => {
    const held = cache.hold();
    await world.judge([newRoot()]);
    await open();
    await vi.waitUntil(() => cache.running() === 1);
    await world.pass(5 * minuteMs);
    expect(cache.running()).toBe(1);
    held.release();
    await world.settle();
    expect(cache.mostRunning()).toBe(1);
    expect(await world.counts()).toBeNull();
  });

  it('that never comes back is taken over from by another when its lease has run out', async () => {
    const life = mortal();
    cache.hold();
    await world.judge([newRoot()]);
    await open({ database: life.database, owner: 'dead' });
    await vi.waitUntil(() => cache.running() === 1);
    life.die();
    opened.length = 0;
    cache.hold().release();
    await open({ owner: 'alive' });
    await world.pass(59 * secondMs);
    expect(cache.sent.size).toBe(0);
    await world.pass(40 * secondMs);
    expect(cache.sent.size).toBe(1);
  });

  it('that ends cuts its pushes short and counts them as no failure', async () => {
    cache.hold();
    await world.judge([newRoot()]);
    const queue = await open();
    await vi.waitUntil(() => cache.running() === 1);
    await queue.stop();
    await queue.stop();
    world.kill();
    expect(cache.running()).toBe(0);
    expect(await world.counts()).toMatchObject({ waiting: 1, failing: 0 });
    cache.hold().release();
    await open();
    await world.settle();
    expect(cache.sent.size).toBe(1);
  });

  it('whose database is away goes on when it is back, and sends nothing twice', async () => {
    const roots = [newRoot(), newRoot()];
    let isAway = false;
    const flaky = <Part extends object>(part: Part): Part =>
      new Proxy(part, {
        get:
          (target, name) =>
          (...args: unknown[]) =>
            isAway
              ? Promise.reject(new DatabaseError('DATABASE_LOCKED', 'it is locked'))
              : (Reflect.get(target, name) as (...given: unknown[]) => unknown).apply(target, args),
      });
    const held = cache.hold();
    await world.judge(roots);
    await open({
      database: {
        ...database,
        pushes: flaky(database.pushes),
        publications: flaky(database.publications),
      },
    });
    await vi.waitUntil(() => cache.running() === 1);
    isAway = true;
    held.release();
    await vi.waitUntil(() => world.kinds().includes('lane-fault'));
    isAway = false;
    await world.pass(5 * minuteMs);
    expect(cache.sent).toEqual(sentOnce(roots.map(outputOf)));
    expect(await world.counts()).toBeNull();
  });
});
