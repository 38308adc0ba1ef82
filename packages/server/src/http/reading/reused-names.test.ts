// Names are given up, swapped and taken by others, and the news of that comes late, twice, in any order or never: whoever
// asks never sees anything of a repository that they could not read at its forge.
import type { CommitSha } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { UserCaller } from '../../auth/caller.ts';
import type { ChangeListing, Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { EventRepository, ForgeEvent } from '../../forge/forge-event.ts';
import { fakeSha } from '../../forge/hosted-forge.fake.ts';
import { newOffer, openWorld, turn } from '../../pipeline/hosted/testing/intake-world.ts';
import { createChangeRights } from '../../pipeline/people/change-rights.ts';
import { createVisibility } from '../../pipeline/privacy/visibility.ts';
import { guardDatabase } from './guarded-database.ts';
import { createReaders, type Reader } from './reader.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const names = ['a/x', 'a/y', 'b/x'] as const;
const people = ['ann', 'bob'] as const;
const viewers = [null, ...people];
type Viewer = (typeof viewers)[number];
const number = 1;

type Step =
  | { readonly kind: 'create'; readonly name: number; readonly isPrivate: boolean; readonly reader: number }
  | { readonly kind: 'replace'; readonly of: number; readonly isPrivate: boolean; readonly reader: number }
  | { readonly kind: 'delete' | 'change' | 'turn-over'; readonly of: number }
  | { readonly kind: 'rename'; readonly of: number; readonly name: number }
  | { readonly kind: 'swap'; readonly of: number; readonly other: number }
  | { readonly kind: 'tell'; readonly event: number }
  | { readonly kind: 'wait'; readonly turns: number }
  /** As the forge is looked at from time to time: whatever was believed before is too old by then. */
  | { readonly kind: 'look' }
  | { readonly kind: 'kill' };

const index = fc.nat({ max: 30 });
const mostlyTrue = fc.constantFrom(true, true, false);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      name: index,
      isPrivate: mostlyTrue,
      reader: index,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), of: index }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('replace' as const),
      of: index,
      isPrivate: mostlyTrue,
      reader: index,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), of: index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('turn-over' as const), of: index }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rename' as const), of: index, name: index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swap' as const), of: index, other: index }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('tell' as const), event: index }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.nat({ max: 30 }) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'look' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'kill' } as const) },
);

/** A head says of which repository it is, whatever row it comes into. */
const headOf = (id: number, version: number): CommitSha => fakeSha(id * 0x10000 + version);
const ownerOfHead = (head: CommitSha): number => Math.floor(Number.parseInt(head, 16) / 0x10000);

interface Owned {
  readonly reader: Viewer;
  isPrivate: boolean;
  isDeleted: boolean;
  version: number;
}

/** A forge with people who may read what is theirs, and a server that is told of it as the test likes. */
const openHistory = async () => {
  let visibility = createVisibility(database);
  await visibility.load();
  const world = await openWorld(database, {
    visibility: {
      mark: () => visibility.mark(),
      told: (...told) => visibility.told(...told),
      write: () => visibility.write(),
      seen: (...seen) => visibility.seen(...seen),
      named: (...named) => visibility.named(...named),
    },
    onRightsChanged: (whose) => rights.forget(whose),
  });
  const { forge } = world;
  const { clock } = world.time;
  const rights = createChangeRights({ forges: [forge], database, clock });
  const owned = new Map<number, Owned>();
  const events: ForgeEvent[] = [];
  /** `id viewer`, of whatever they may read now or could at any time. */
  const ever = new Set<string>();

  const mayRead = (id: number, viewer: Viewer): boolean => {
    const one = owned.get(id);
    if (one === undefined) return false;
    return !one.isPrivate || (!one.isDeleted && viewer !== null && one.reader === viewer);
  };
  const update = (): void => {
    forge.rights.clear();
    for (const { repository } of forge.repositories.values()) {
      const one = owned.get(repository.id);
      if (one !== undefined && one.reader !== null)
        forge.rights.set(`${repository.name} ${one.reader}`, 'read');
    }
    for (const id of owned.keys()) {
      for (const viewer of viewers) if (mayRead(id, viewer)) ever.add(`${id} ${viewer}`);
    }
  };
  const listed = (): EventRepository[] =>
    [...forge.repositories.values()].map(({ repository }) => repository);
  const pick = (of: number): EventRepository | undefined =>
    listed()[of % Math.max(1, forge.repositories.size)];
  const changeOf = ({ id }: EventRepository) =>
    newOffer(number, { headSha: headOf(id, owned.get(id)?.version ?? 0) });
  const tellChange = (repository: EventRepository): void => {
    const change = changeOf(repository);
    forge.repositories.get(repository.name)?.changes.set(number, change);
    forge.repositories.get(repository.name)?.branches.set('main', change.headSha);
    events.push({ kind: 'change-moved', repository, by: null, change });
    events.push({
      kind: 'branch-pushed',
      repository,
      by: null,
      branch: 'main',
      before: null,
      after: change.headSha,
    });
  };
  const put = (repository: EventRepository, from: string): void => {
    const found = forge.repositories.get(from);
    if (found === undefined) return;
    if (from !== repository.name) forge.repositories.delete(from);
    forge.repositories.set(repository.name, { ...found, repository });
  };
  const moved = (repository: EventRepository, name: string): void => {
    events.push({
      kind: 'repository-renamed',
      repository: { ...repository, name },
      by: null,
      oldName: repository.name,
    });
  };
  /** The forge is looked at, and whatever was believed before is too old. */
  const look = async (): Promise<void> => {
    const endMs = clock() + 11 * 60_000;
    await world.passUntil(() => clock() >= endMs);
    await world.settle();
  };
  const add = (
    name: string,
    { isPrivate, reader }: Pick<Owned, 'isPrivate'> & { readonly reader: number },
  ): void => {
    const { repository } = forge.addRepository(name, { isPrivate });
    const its = { reader: viewers[reader % viewers.length] ?? null, isPrivate, isDeleted: false, version: 0 };
    owned.set(repository.id, its);
    tellChange(repository);
  };
  const remove = (repository: EventRepository): void => {
    forge.repositories.delete(repository.name);
    const of = owned.get(repository.id);
    if (of !== undefined) of.isDeleted = true;
    events.push({ kind: 'repository-deleted', repository, by: null });
  };
  const act = async (one: Step): Promise<void> => {
    if (one.kind === 'create') {
      const name = names[one.name % names.length] ?? '';
      if (!forge.repositories.has(name)) add(name, one);
      return;
    }
    if (one.kind === 'tell') {
      const event = events[one.event % Math.max(1, events.length)];
      if (event !== undefined) await world.deliver(event);
      return;
    }
    if (one.kind === 'wait') {
      for (let turns = 0; turns < one.turns; turns++) await turn();
      return;
    }
    if (one.kind === 'look') return look();
    if (one.kind === 'kill') {
      const next = createVisibility(database);
      await next.load();
      visibility = next;
      return world.restart();
    }
    const repository = pick(one.of);
    const of = owned.get(repository?.id ?? 0);
    if (repository === undefined || of === undefined) return;
    switch (one.kind) {
      case 'delete':
        return remove(repository);
      case 'replace':
        remove(repository);
        return add(repository.name, one);
      case 'change':
        of.version += 1;
        return tellChange(repository);
      case 'turn-over': {
        of.isPrivate = !of.isPrivate;
        const { isPrivate } = of;
        put({ ...repository, isPrivate }, repository.name);
        return void events.push({
          ...{ kind: 'repository-visibility', isPrivate, by: null },
          repository: { ...repository, isPrivate },
        });
      }
      case 'rename': {
        const name = names[one.name % names.length] ?? '';
        if (forge.repositories.has(name)) return;
        put({ ...repository, name }, repository.name);
        return moved(repository, name);
      }
      case 'swap': {
        const other = pick(one.other);
        if (other === undefined || other.id === repository.id) return;
        const [first, second] = [repository, other].map(({ name }) => forge.repositories.get(name));
        if (first === undefined || second === undefined) return;
        forge.repositories.set(other.name, { ...first, repository: { ...repository, name: other.name } });
        forge.repositories.set(repository.name, {
          ...second,
          repository: { ...other, name: repository.name },
        });
        moved(repository, other.name);
        return moved(other, repository.name);
      }
    }
  };
  const readers = createReaders({
    visible: {
      ownerOf: (...asked) => visibility.ownerOf(...asked),
      ownersOf: (drv) => visibility.ownersOf(drv),
      owners: () => visibility.owners(),
      aside: () => visibility.aside(),
      hidesDerivations: () => visibility.hidesDerivations(),
    },
    rights,
    clock,
  });
  const readerOf = async (viewer: Viewer): Promise<Reader> => {
    if (viewer === null) return readers.anybody;
    const user: UserCaller = {
      ...{ kind: 'user', host: forge.host, id: people.indexOf(viewer) + 1, login: viewer },
      ...{ isAdmin: false, by: 'session' },
    };
    return readers.of(user);
  };
  const kept = async (): Promise<ChangeListing[]> => {
    const { changes } = await database.changes.list({ kinds: ['offered', 'baseline'], limit: 1000 });
    return changes.filter(({ repository }) => repository.startsWith(`${forge.host}/`));
  };
  /** By every way that leads to one. */
  const seenBy = async (viewer: Viewer): Promise<ChangeListing[]> => {
    const reader = await readerOf(viewer);
    const { changes } = guardDatabase(database, () => reader);
    const kinds = ['offered', 'baseline'] as const;
    const own = await kept();
    const found = await Promise.all([
      ...own.map(({ id }) => changes.find(id)),
      ...names.map((name) => changes.findByNumber(`${forge.host}/${name}`, number)),
    ]);
    const lists = await Promise.all(
      names.map((repository) =>
        changes.list({ repository: `${forge.host}/${repository}`, kinds, limit: 100 }),
      ),
    );
    return [...found, ...lists.flatMap((page) => page.changes)].flatMap((one) => (one === null ? [] : [one]));
  };
  return {
    world,
    look,
    act: async (one: Step) => {
      // What they could read until now, they may have been shown.
      const acting = act(one);
      update();
      await acting;
      update();
    },
    /** Nobody could ever read it. */
    leaks: async (): Promise<string[]> => {
      const leaks: string[] = [];
      const rows = await kept();
      for (const viewer of viewers) {
        const reader = await readerOf(viewer);
        for (const { head, repository, repositoryId } of rows) {
          const isKnown = ever.has(`${ownerOfHead(head)} ${viewer}`);
          if (reader.maySee(repository, repositoryId) && !isKnown)
            leaks.push(`${viewer} sees what is of ${ownerOfHead(head)} under ${repository}`);
        }
      }
      return leaks;
    },
    /** When the forge was looked at: what each may read now, all of that, and nothing under the name of another one. */
    differences: async (): Promise<string[]> => {
      const found: string[] = [];
      const holders = new Map(listed().map(({ id, name }) => [`${forge.host}/${name}`, id]));
      for (const { head, repository } of await kept()) {
        const id = ownerOfHead(head);
        if ((holders.get(repository) ?? id) !== id) found.push(`${id} is under ${repository} of another one`);
      }
      for (const viewer of viewers) {
        const seen = await seenBy(viewer);
        for (const { head, repository } of seen) {
          const id = ownerOfHead(head);
          // Of one that is gone nobody is told any more what it was when it went.
          const may = owned.get(id)?.isDeleted === true ? ever.has(`${id} ${viewer}`) : mayRead(id, viewer);
          if (!may) found.push(`${viewer} sees ${id}, which is hidden by now, under ${repository}`);
        }
        for (const { id, name } of listed().filter((one) => mayRead(one.id, viewer))) {
          const head = headOf(id, owned.get(id)?.version ?? 0);
          const isSeen = seen.some((one) => one.head === head && one.repository === `${forge.host}/${name}`);
          if (!isSeen) found.push(`${viewer} does not see ${id} under ${name}`);
        }
      }
      return found;
    },
  };
};

const play = async (steps: readonly Step[]): Promise<void> => {
  const history = await openHistory();
  try {
    await history.world.intake().start();
    for (const one of steps) {
      await history.act(one);
      expect(await history.leaks(), JSON.stringify(one)).toEqual([]);
    }
    await history.world.restart();
    await history.look();
    expect(await history.differences()).toEqual([]);
  } finally {
    await history.world.close();
  }
};

it('shows nobody what they could never read', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 20 }), (steps) => play(steps)),
    { numRuns: 12 },
  );
});

const create = (name: number, isPrivate: boolean, reader: number): Step => ({
  kind: 'create',
  name,
  isPrivate,
  reader,
});
const look: Step = { kind: 'look' };

it.each<[string, readonly Step[]]>([
  [
    'private, deleted and made anew in public',
    [create(0, true, 1), look, { kind: 'delete', of: 0 }, create(0, false, 0)],
  ],
  [
    'private, and made anew by somebody else',
    [create(0, true, 1), look, { kind: 'delete', of: 0 }, create(0, true, 2)],
  ],
  [
    'public, and made anew in private',
    [create(0, false, 0), look, { kind: 'delete', of: 0 }, create(0, true, 2)],
  ],
  [
    'renamed, and its name taken',
    [create(0, true, 1), look, { kind: 'rename', of: 0, name: 1 }, create(0, false, 0)],
  ],
  ['swapped', [create(0, true, 1), create(1, true, 2), look, { kind: 'swap', of: 0, other: 1 }]],
])('goes by the repository, not by its name: %s', async (_how, steps) => {
  const last = steps.length * 2;
  // Nobody tells; the newest alone is told; all of it, backwards.
  await play([...steps, look]);
  await play([...steps, { kind: 'tell', event: 2 }, { kind: 'wait', turns: 10 }, look]);
  const backwards = Array.from({ length: last }, (_, at): Step => ({ kind: 'tell', event: last - at }));
  await play([...steps, ...backwards, { kind: 'kill' }]);
});
