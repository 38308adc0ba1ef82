// A queue of pushes over a real database, a cache and a store in memory, with a clock and timers that the test moves.
import { setImmediate as immediate } from 'node:timers/promises';
import type { CommitSha, DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import { createFakeCache, type FakeCache } from '../../../cache/cache.fake.ts';
import type { Permissions } from '../../../config/permissions.ts';
import type { Database } from '../../../database/database.ts';
import { judgedResult, newPath } from '../../../database/testing/samples.ts';
import type { Publication, PublishedRoot } from '../publication.ts';
import { writePublication } from '../publication-parts.ts';
import type { PublishingCache } from '../push-batch.ts';
import { createPushQueue, type PushQueue, type PushQueueEvent } from '../push-queue.ts';

export const everybody: Permissions = { allow_all: true, allowed_repos: [], allowed_branches: [] };
export const onlyMain: Permissions = {
  allow_all: false,
  allowed_repos: ['owner/set'],
  allowed_branches: ['main'],
};

export const onMain: Publication['place'] = { repository: 'owner/set', branch: 'main', isOnBranch: true };
export const onPull: Publication['place'] = { repository: 'owner/set', branch: 'pull/7', isOnBranch: false };

export const newRoot = (ending: PublishedRoot['ending'] = 'succeeded'): PublishedRoot => {
  const drv = newPath();
  return { drv, outputs: [drv.slice(0, -4)], ending };
};

export const outputOf = ({ outputs: [first = ''] }: PublishedRoot): StorePath => first as StorePath;

/** All repositories are of it. */
export const forgeHost = 'forge.example';

/** So few that most stories are of several parts. */
const rootsOfPart = 7;
/** Changes of all worlds, which may share a database. */
let changes = 0;
const startMs = 1_000_000;

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

export interface PushWorldOptions {
  readonly database: Database;
  readonly caches?: readonly FakeCache[];
  readonly settings?: Partial<Omit<PublishingCache, 'cache'>>;
}

/** Each `queue` is a life of the server. */
export const openPushWorld = ({ database, caches = [createFakeCache()], settings }: PushWorldOptions) => {
  const events: PushQueueEvent[] = [];
  const valid = new Set<string>();
  const kept = new Map<number, readonly string[]>();
  const timers = new Set<Timer>();
  let nowMs = startMs;
  let queue: PushQueue | null = null;
  /** What was asked of the database and is not answered yet, in this life. */
  let life = { calls: 0 };
  const counted = <Part extends object>(part: Part, of: typeof life): Part =>
    new Proxy(part, {
      get:
        (target, name) =>
        (...args: unknown[]) => {
          of.calls += 1;
          const asked = (Reflect.get(target, name) as (...given: unknown[]) => Promise<unknown>).apply(
            target,
            args,
          );
          return asked.finally(() => {
            of.calls -= 1;
          });
        },
    });

  const store: Pick<StoreQueries, 'queryValid'> = {
    queryValid: async (paths) => new Set([...paths].filter((path) => valid.has(path))),
  };
  const open = async (
    more: {
      database?: Database;
      owner?: string;
      settings?: PushWorldOptions['settings'];
      /** @default always a half: what is random is in the middle */
      random?: () => number;
    } = {},
  ) => {
    const asked = { ...settings, ...more.settings };
    const given = more.database ?? database;
    const of = { calls: 0 };
    life = of;
    const opened = createPushQueue({
      database: { pushes: counted(given.pushes, of), publications: counted(given.publications, of) },
      caches: caches.map((cache) => ({
        cache,
        permissions: asked.permissions ?? everybody,
        push: asked.push ?? 'runtime',
        concurrency: asked.concurrency ?? 4,
      })),
      store,
      buildTimePathsOf: async (drvs) =>
        drvs.map((drv: DrvPath) => `${drv.slice(0, -4)}-built-from` as StorePath),
      roots: {
        keep: async (id, paths) => {
          kept.set(id, [...(kept.get(id) ?? []), ...paths]);
          return null;
        },
        release: async (allBut) => {
          for (const id of kept.keys()) if (!allBut.has(id)) kept.delete(id);
        },
      },
      owner: more.owner ?? 'server',
      clock: () => nowMs,
      random: more.random ?? (() => 0.5),
      later: (delayMs, run) => {
        const timer: Timer = { atMs: nowMs + delayMs, run };
        timers.add(timer);
        return () => timers.delete(timer);
      },
      onEvent: (event) => events.push(event),
    });
    await opened.start();
    queue = opened;
    return opened;
  };
  /** Waits until nothing runs, and everybody waits for a timer. */
  const settle = async (): Promise<void> => {
    const deadline = performance.now() + 20_000;
    for (let calm = 0; calm < 5; ) {
      if (performance.now() > deadline) throw new Error('it does not come to rest');
      await immediate();
      calm = life.calls === 0 && timers.size > caches.length ? calm + 1 : 0;
    }
  };
  /** Moves the clock, and lets everybody act whose time has come. */
  const pass = async (ms: number): Promise<void> => {
    await settle();
    const untilMs = nowMs + ms;
    for (;;) {
      const [next] = [...timers].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      next.run();
      await settle();
    }
    nowMs = untilMs;
  };
  /** A change is judged, and hands that on; its succeeded roots are in the store. @returns its id */
  const judge = async (
    roots: readonly PublishedRoot[],
    place: Publication['place'] = onMain,
    cacheIds: readonly string[] = caches.map(({ id }) => id),
  ): Promise<string> => {
    const id = `change ${++changes}`;
    const head = String(changes).padStart(40, '0') as CommitSha;
    const update = {
      kind: 'head-moved',
      repository: `${forgeHost}/${place.repository}`,
      branch: id,
      base: head,
      head,
      title: id,
    } as const;
    await database.deliveries.receive([{ key: id, payload: '{}', receivedAtMs: nowMs }]);
    await database.changes.apply([{ deliveryKey: id, update: { ...update, newId: id } }], nowMs);
    await database.changes.claimNext({ owner: 'judge', nowMs, untilMs: nowMs + 1000 });
    const job = { name: 'packages', caches: [...cacheIds], hooks: [], roots: [...roots], builds: [] };
    const whole = { schemaVersion: 1, commit: head, place, jobs: [job] } as const;
    const publications = await writePublication(whole, rootsOfPart);
    await database.changes.finish({ id, owner: 'judge' }, judgedResult({ publications }), nowMs);
    for (const { ending, outputs } of roots) {
      if (ending === 'succeeded') for (const path of outputs) valid.add(path);
    }
    queue?.wake();
    return id;
  };
  return {
    events,
    /** Paths that are in the store. */
    valid,
    /** Roots by publication. */
    kept,
    open,
    settle,
    pass,
    judge,
    nowMs: () => nowMs,
    /** The server is killed: none of its timers comes any more. Whatever it awaits may still come back. */
    kill: () => {
      timers.clear();
      life = { calls: 0 };
      queue = null;
    },
    kinds: () => events.map((event) => (event.kind === 'ending' ? event.ending.kind : event.kind)),
    /** Of the first cache; null where nothing waits for it. */
    counts: async () => (await database.pushes.counts()).find((one) => one.cache === caches[0]?.id) ?? null,
  };
};

export type PushWorld = ReturnType<typeof openPushWorld>;
