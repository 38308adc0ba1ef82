// Repositories that get other names: what is kept of them goes on, and nothing is judged twice for it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { ForgeEvent } from '../../forge/forge-event.ts';
import { fakeSha } from '../../forge/hosted-forge.fake.ts';
import { newOffer, openWorld, type World } from './testing/intake-world.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const withWorld = async (work: (world: World) => Promise<void>): Promise<void> => {
  const world = await openWorld(database);
  try {
    await work(world);
  } finally {
    await world.close();
  }
};

describe('a repository that gets another name', () => {
  const renamed = (world: World, from: string, to: string): ForgeEvent => {
    const { forge } = world;
    const found = forge.repositories.get(from);
    if (found === undefined) throw new Error(`there is no ${from}`);
    const repository = { ...found.repository, name: to };
    forge.repositories.delete(from);
    forge.repositories.set(to, { ...found, repository });
    return { kind: 'repository-renamed', repository, by: null, oldName: from };
  };
  /** With what was judged of it: nothing of that is judged again. */
  const judged = async (world: World, name: string) => {
    const { changes, branches } = world.forge.addRepository(name);
    changes.set(1, newOffer(1)).set(2, newOffer(2));
    branches.set('main', fakeSha(7));
    await world.intake().start();
    await world.settle();
    const ids = [...(await world.open()), ...(await world.open('baseline'))].map(({ id }) => id);
    world.taken.length = 0;
    return ids;
  };
  const namesOf = async (world: World) => {
    const open = [...(await world.open()), ...(await world.open('baseline'))];
    return [new Set(open.map(({ repository }) => repository)), open.map(({ id }) => id)] as const;
  };

  it.each(['told', 'found by a look', 'told late, after a look'])('goes on under it: %s', async (how) => {
    await withWorld(async (world) => {
      const { forge } = world;
      const ids = await judged(world, 'owner/one');
      const event = renamed(world, 'owner/one', 'new/name');
      if (how !== 'told') await world.restart();
      if (how !== 'found by a look') await world.deliver(event);
      await world.settle();
      expect(await namesOf(world)).toEqual([new Set([`${forge.host}/new/name`]), ids]);
      expect(world.taken).toEqual([]);
      expect(world.events.filter(({ kind }) => kind === 'renamed')).toMatchObject([
        { repository: 'new/name', oldName: 'owner/one' },
      ]);
      expect(world.intake().nameNow(forge.host, 'OWNER/One')).toBe('new/name');
      expect(await world.unfinished()).toEqual([]);
    });
  });

  it('is known by what was told before, and by what is told too early', async () => {
    await withWorld(async (world) => {
      const { forge } = world;
      const ids = await judged(world, 'owner/one');
      const before = forge.repositories.get('owner/one')?.repository;
      if (before === undefined) throw new Error('there is none');
      const first = renamed(world, 'owner/one', 'owner/two');
      const second = renamed(world, 'owner/two', 'owner/three');
      // Of three names, in the wrong order; with the forge leading from the old ones to the new.
      const { findChange } = forge;
      forge.findChange = (_name, number, signal) => findChange.call(forge, 'owner/three', number, signal);
      const change = newOffer(1);
      await world.deliver({
        kind: 'change-moved',
        repository: { ...before, name: 'owner/two' },
        by: null,
        change,
      });
      await world.deliver(second);
      await world.deliver({ kind: 'change-moved', repository: before, by: null, change });
      await world.deliver(first);
      // The forge is looked at for each of them, and knows.
      await world.passUntil(() => world.intake().nameNow(forge.host, 'owner/one') === 'owner/three');
      await world.settle();
      expect(await namesOf(world)).toEqual([new Set([`${forge.host}/owner/three`]), ids]);
      expect(world.taken).toEqual([]);
      expect(await world.unfinished()).toEqual([]);
    });
  });

  it('ends where it is not served under that, also where nobody tells', async () => {
    await withWorld(async (world) => {
      const { forge } = world;
      await judged(world, 'owner/one');
      forge.permits = (repository) => repository.startsWith('owner/');
      renamed(world, 'owner/one', 'elsewhere/one');
      // It leads on, as forges do.
      const { findChange } = forge;
      forge.findChange = (_name, number, signal) => findChange.call(forge, 'elsewhere/one', number, signal);
      const { listings } = forge;
      forge.listings = async function* (signal) {
        for await (const one of listings.call(forge, signal)) {
          if (forge.permits(one.repository.name, null)) yield one;
        }
      };
      await world.restart();
      await world.settle();
      expect((await namesOf(world))[1]).toEqual([]);
    });
  });
});
