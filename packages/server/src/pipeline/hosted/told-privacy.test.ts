// Whoever a forge says may see less sees less from that moment on: repositories that become private, rights that end.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { ForgeEvent } from '../../forge/forge-event.ts';
import { createChangeRights } from '../people/change-rights.ts';
import type { ForgottenRights } from '../people/rights-memory.ts';
import { createVisibility, type Visibility } from '../privacy/visibility.ts';
import { newOffer, openWorld, type World } from './testing/intake-world.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

interface Told {
  readonly world: World;
  readonly visibility: Visibility;
  readonly forgotten: ForgottenRights[];
}

const withWorld = async (work: (told: Told) => Promise<void>): Promise<void> => {
  const visibility = createVisibility(database);
  const forgotten: ForgottenRights[] = [];
  const world = await openWorld(database, { visibility, onRightsChanged: (whose) => forgotten.push(whose) });
  try {
    await work({ world, visibility, forgotten });
  } finally {
    await world.close();
  }
};

const start = async ({ world }: Told, isPrivate: boolean) => {
  const { repository, changes } = world.forge.addRepository('octo/set', { isPrivate });
  changes.set(1, newOffer(1));
  await world.intake().start();
  await world.settle();
  return repository;
};
const isHidden = ({ world, visibility }: Told): boolean =>
  visibility.ownerOf(`${world.forge.host}/octo/set`) !== null;

it('serves private repositories, hidden before anything of them is a row', async () => {
  await withWorld(async (told) => {
    const { world } = told;
    await start(told, true);
    expect(isHidden(told)).toBe(true);
    expect(await world.open()).toHaveLength(1);
    // By another server, before it has asked anybody.
    const next = createVisibility(database);
    await next.load();
    expect(next.ownerOf(`${world.forge.host}/OCTO/set`)).not.toBeNull();
  });
});

it('hides one with the event, and shows it when the forge shows it', async () => {
  await withWorld(async (told) => {
    const { world } = told;
    const repository = await start(told, false);
    expect(isHidden(told)).toBe(false);
    const event = (isPrivate: boolean): ForgeEvent => ({
      ...{ kind: 'repository-visibility', isPrivate, by: null },
      repository: { ...repository, isPrivate },
    });
    const hosted = world.forge.repositories.get('octo/set');
    if (hosted === undefined) throw new Error('it is gone');
    const become = (isPrivate: boolean) =>
      world.forge.repositories.set('octo/set', { ...hosted, repository: { ...repository, isPrivate } });
    become(true);
    await world.deliver(event(true));
    // Nothing has waited for anything.
    expect(isHidden(told)).toBe(true);
    await world.settle();
    expect([isHidden(told), (await world.open()).length]).toEqual([true, 1]);
    become(false);
    await world.deliver(event(false));
    expect(isHidden(told)).toBe(true);
    await world.passUntil(() => !isHidden(told));
    await world.settle();
    // One of the past, that comes late: the forge is asked.
    await world.deliver(event(true));
    expect(isHidden(told)).toBe(true);
    await world.passUntil(() => !isHidden(told));
    await world.settle();
  });
});

it('hides it under its new name before anything is moved there', async () => {
  await withWorld(async (told) => {
    const { world, visibility } = told;
    const repository = await start(told, true);
    const renamed = { ...repository, name: 'octo/renamed' };
    const hosted = world.forge.repositories.get('octo/set');
    if (hosted === undefined) throw new Error('it is gone');
    world.forge.repositories.delete('octo/set');
    world.forge.repositories.set('octo/renamed', { ...hosted, repository: renamed });
    await world.deliver({ kind: 'repository-renamed', repository: renamed, by: null, oldName: 'octo/set' });
    const names = ['octo/set', 'octo/renamed'].map((name) =>
      visibility.ownerOf(`${world.forge.host}/${name}`),
    );
    expect(names).toEqual([names[0], names[0]]);
    expect(names[0]).not.toBeNull();
    await world.settle();
    expect((await world.open()).map(({ repository: kept }) => kept)).toEqual([
      `${world.forge.host}/octo/renamed`,
    ]);
  });
});

it('believes no right that was changed, of a person, a repository or an account', async () => {
  await withWorld(async (told) => {
    const { world, forgotten } = told;
    const repository = await start(told, true);
    const { forge } = world;
    const rights = createChangeRights({ forges: [forge], database, clock: () => 1 });
    const [ann, eve] = [
      { id: 7, login: 'ann' },
      { id: 8, login: 'eve' },
    ];
    const place = { host: forge.host, repository: 'octo/set' };
    const may = async () => {
      const { signal } = new AbortController();
      return [await rights.mayRead(place, ann, signal), await rights.mayWrite(place, eve, signal)];
    };
    const set = (right: 'read' | 'write' | 'none'): void => {
      forge.rights.set('octo/set ann', right).set('octo/set eve', right);
    };
    const tell = async (event: ForgeEvent): Promise<void> => {
      forgotten.length = 0;
      await world.deliver(event);
      for (const one of forgotten) rights.forget(one);
    };
    const changed = { kind: 'rights-changed', account: 'Octo', place: null, userId: null } as const;
    set('write');
    expect(await may()).toEqual([true, true]);
    set('none');
    expect(await may()).toEqual([true, true]);
    await tell({ ...changed, account: 'elsewhere' });
    expect(await may()).toEqual([true, true]);
    await tell({ ...changed, place: repository, userId: 7 });
    expect(await may()).toEqual([false, true]);
    await tell(changed);
    expect(await may()).toEqual([false, false]);
    set('read');
    await tell({ kind: 'access-rights-changed', account: 'octo' });
    expect(await may()).toEqual([true, false]);
    expect(await world.unfinished()).toEqual([]);
  });
});

it('hears of what a server that died had not read, also of more than is kept in mind, before it starts', async () => {
  let visibility = createVisibility(database);
  const world = await openWorld(database, {
    mostInMind: 2,
    visibility: {
      mark: () => visibility.mark(),
      told: (...told) => visibility.told(...told),
      write: () => visibility.write(),
      seen: (...seen) => visibility.seen(...seen),
      named: (...named) => visibility.named(...named),
    },
  });
  try {
    const set = world.forge.addRepository('octo/set').repository;
    const other = world.forge.addRepository('octo/other').repository;
    const isHidden = (name: string) => visibility.ownerOf(`${world.forge.host}/${name}`) !== null;
    const visibilityEvent = (repository: typeof set, isPrivate: boolean): ForgeEvent => ({
      ...{ kind: 'repository-visibility', isPrivate, by: null },
      repository: { ...repository, isPrivate },
    });
    // Nobody has read any of these when it dies.
    for (let count = 0; count < 5; count++) await world.deliver(visibilityEvent(other, false));
    await world.deliver(visibilityEvent(set, true));
    const next = createVisibility(database);
    await next.load();
    visibility = next;
    expect([world.intake().hasHeard(), isHidden('octo/set')]).toEqual([false, false]);
    await world.intake().hear();
    expect([world.intake().hasHeard(), isHidden('octo/set'), isHidden('octo/other')]).toEqual([
      true,
      true,
      false,
    ]);
    // What comes before it starts is heard of, too.
    await world.deliver(visibilityEvent(other, true));
    expect(isHidden('octo/other')).toBe(true);
  } finally {
    await world.close();
  }
});
