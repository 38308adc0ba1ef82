// Some pushes that were claimed, to one cache: what is gone or not allowed any more is dropped, what the cache has is done,
// the rest is sent.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import { type Cache, CacheError, type PushFault } from '../../cache/cache.ts';
import type { Permissions } from '../../config/permissions.ts';
import type { Database, StoredPush } from '../../database/database.ts';
import { isAside } from '../../database/repositories.ts';
import { isStillPermitted } from './publication.ts';

/** A cache as the operator has set it up. */
export interface PublishingCache {
  readonly cache: Cache;
  readonly permissions: Permissions;
  readonly push: 'runtime' | 'all';
  /** Pushes at a time. */
  readonly concurrency: number;
}

/** What became of one push, or of one attempt at it. */
export type PushEnding =
  | { readonly kind: 'pushed'; readonly push: StoredPush; readonly durationMs: number }
  | { readonly kind: 'present'; readonly push: StoredPush }
  | { readonly kind: 'dropped'; readonly push: StoredPush; readonly why: string }
  | {
      readonly kind: 'failed';
      readonly push: StoredPush;
      readonly fault: PushFault;
      readonly durationMs: number;
    };

/** What was sent in one go. */
export interface Sent {
  readonly paths: number | null;
  readonly bytes: number | null;
}

export interface BatchDeps {
  /** Who holds what is pushed. */
  readonly owner: string;
  readonly database: Pick<Database, 'pushes'>;
  readonly store: Pick<StoreQueries, 'queryValid'>;
  /** What these were built from, as far as it is in the store; their files are in it. @throws CacheError */
  readonly buildTimePathsOf: (drvs: readonly DrvPath[], signal: AbortSignal) => Promise<readonly StorePath[]>;
  readonly clock: () => number;
  /** Told of what is on disk. Must not throw. */
  readonly onEnding: (cache: string, ending: PushEnding) => void;
  readonly onSent: (cache: string, sent: Sent) => void;
}

const outputsOf = (pushes: readonly StoredPush[]): StorePath[] => [
  ...new Set(pushes.flatMap(({ outputs }) => outputs)),
];

const split = (
  pushes: readonly StoredPush[],
  isFirst: (push: StoredPush) => boolean,
): readonly [StoredPush[], StoredPush[]] => [pushes.filter(isFirst), pushes.filter((push) => !isFirst(push))];

type Settling = Extract<PushEnding, { kind: 'present' | 'dropped' | 'pushed' }>;

const settle = async (deps: BatchDeps, cache: string, endings: readonly Settling[]): Promise<void> => {
  const [first] = endings;
  if (first === undefined) return;
  const fault = first.kind === 'dropped' ? first.why : null;
  const ids = endings.map(({ push }) => push.id);
  await deps.database.pushes.settle(ids, { state: first.kind, fault, atMs: deps.clock() });
  for (const ending of endings) deps.onEnding(cache, ending);
};

const dropAll = (
  deps: BatchDeps,
  cache: string,
  { pushes, why }: { readonly pushes: readonly StoredPush[]; readonly why: string },
): Promise<void> =>
  settle(
    deps,
    cache,
    pushes.map((push) => ({ kind: 'dropped', push, why })),
  );

const untilNamedMs = 10 * 60_000;
/** A repository that nobody has seen for so long is gone: forges are asked several times an hour. */
const longestNamelessMs = 24 * 60 * 60_000;

/** Another repository has their name: how theirs is called now nobody knows until it is seen, and that may be soon. */
const putOffNameless = async (
  deps: BatchDeps,
  cache: string,
  pushes: readonly StoredPush[],
): Promise<void> => {
  const { database, owner, clock } = deps;
  const atMs = clock();
  const fault = 'another repository has the name of its repository, whose own name is not known';
  const [gone, some] = split(pushes, ({ waitingSinceMs }) => atMs - waitingSinceMs > longestNamelessMs);
  await dropAll(deps, cache, { pushes: gone, why: fault });
  if (some.length === 0) return;
  const ids = some.map(({ id }) => id);
  await database.pushes.putOff({ ids, owner }, { fault, nextAtMs: atMs + untilNamedMs, atMs });
};

/** What may be pushed and can be. */
const dropUseless = async (
  deps: BatchDeps,
  { cache, permissions }: PublishingCache,
  pushes: readonly StoredPush[],
): Promise<readonly StoredPush[]> => {
  const [nameless, named] = split(pushes, ({ repository }) => isAside(repository));
  await putOffNameless(deps, cache.id, nameless);
  const [permitted, refused] = split(named, (push) => isStillPermitted(permissions, push));
  await dropAll(deps, cache.id, {
    pushes: refused,
    why: 'the permissions of the cache do not let its branch through any more, as its repository is called now',
  });
  const valid = await deps.store.queryValid(outputsOf(permitted));
  const [there, gone] = split(permitted, ({ outputs }) => outputs.every((path) => valid.has(path)));
  await dropAll(deps, cache.id, {
    pushes: gone,
    why: 'its outputs are not in the store any more: a collection of garbage was faster; it is pushed when it was built again',
  });
  return there;
};

interface Lacking {
  readonly pushes: readonly StoredPush[];
  /** Of their outputs, as far as the cache was asked. */
  readonly lacking: readonly StorePath[];
}

/** What the cache lacks. With their build closures it is asked about by whoever pushes, path for path. */
const settlePresent = async (
  deps: BatchDeps,
  { cache, push: mode }: PublishingCache,
  { pushes, signal }: { readonly pushes: readonly StoredPush[]; readonly signal: AbortSignal },
): Promise<Lacking> => {
  if (mode === 'all') return { pushes, lacking: [] };
  const has = await cache.present(outputsOf(pushes), signal);
  const [present, left] = split(pushes, ({ outputs }) => outputs.every((path) => has.has(path)));
  await settle(
    deps,
    cache.id,
    present.map((push) => ({ kind: 'present', push })),
  );
  return { pushes: left, lacking: outputsOf(left).filter((path) => !has.has(path)) };
};

/** All are settled. */
interface SettledBatch {
  readonly kind: 'settled';
  /** False: it was not asked, for there was nothing for it. */
  readonly cacheAnswered: boolean;
}

/** Of these pushes nothing is settled. */
export interface FailedBatch {
  readonly kind: 'failed';
  readonly pushes: readonly StoredPush[];
  readonly fault: PushFault;
  readonly durationMs: number;
}

/** Where a derivation file is gone by now, nobody knows any more; its outputs are pushed all the same. */
const buildTimePaths = async (
  { store, buildTimePathsOf }: BatchDeps,
  pushes: readonly StoredPush[],
  signal: AbortSignal,
): Promise<readonly StorePath[]> => {
  const drvs = await store.queryValid(pushes.map(({ drv }) => drv));
  return drvs.size === 0 ? [] : buildTimePathsOf([...drvs], signal);
};

/** @throws DatabaseError, StoreQueryError; the signal's reason when it aborts */
export const pushBatch = async (
  deps: BatchDeps,
  to: PublishingCache,
  { pushes, signal }: { readonly pushes: readonly StoredPush[]; readonly signal: AbortSignal },
): Promise<SettledBatch | FailedBatch> => {
  const { cache } = to;
  const startedAtMs = performance.now();
  const passed = () => performance.now() - startedAtMs;
  const useful = await dropUseless(deps, to, pushes);
  if (useful.length === 0) return { kind: 'settled', cacheAnswered: false };
  try {
    const { pushes: left, lacking } = await settlePresent(deps, to, { pushes: useful, signal });
    if (left.length === 0) return { kind: 'settled', cacheAnswered: true };
    const needed = to.push === 'all' ? await buildTimePaths(deps, left, signal) : [];
    const paths = [...new Set([...outputsOf(left), ...needed])];
    const outcome = await cache.push({ paths, lacking }, signal);
    if (outcome.kind !== 'pushed') {
      return { kind: 'failed', pushes: left, fault: outcome, durationMs: passed() };
    }
    deps.onSent(cache.id, { paths: outcome.sentPaths, bytes: outcome.sentBytes });
    const durationMs = passed();
    await settle(
      deps,
      cache.id,
      left.map((push) => ({ kind: 'pushed', push, durationMs })),
    );
    return { kind: 'settled', cacheAnswered: true };
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    // Asked before anything was sent: of what it has already nobody knows.
    return { kind: 'failed', pushes: useful, fault: error.outcome, durationMs: passed() };
  }
};
