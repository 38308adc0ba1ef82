// Publications → rows of what is to be pushed: once for each cache and output, and only what is in the store.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { Database, StoredPublication, WantedPush } from '../../database/database.ts';
import { isAside } from '../../database/repositories.ts';
import { isStillPermitted, type Publication, readPublication } from './publication.ts';
import type { PublishingCache } from './push-batch.ts';
import type { PushRoots } from './push-roots.ts';
import { candidatesOf, type PushCandidate, priorityOf, wantedPushes } from './wanted-pushes.ts';

export type TakeEvent =
  | { readonly kind: 'queued'; readonly changeId: string; readonly cache: string; readonly pushes: number }
  /** They were built, and a collection of garbage was faster. */
  | {
      readonly kind: 'collected';
      readonly changeId: string;
      readonly cache: string;
      readonly drvs: readonly DrvPath[];
    }
  /** Their outputs are named by their content: this version does not push such. */
  | { readonly kind: 'floating'; readonly changeId: string; readonly drvs: readonly DrvPath[] }
  /** ekaci.toml lets that place use the cache no more, or has no such cache. */
  | {
      readonly kind: 'kept-out';
      readonly changeId: string;
      readonly cache: string;
      readonly place: Publication['place'];
    }
  | { readonly kind: 'roots-not-kept'; readonly changeId: string; readonly why: string }
  /** Another version wrote it. */
  | { readonly kind: 'unreadable'; readonly changeId: string };

export interface TakeDeps {
  readonly database: Pick<Database, 'publications' | 'pushes'>;
  /** By id: those that there are now. */
  readonly caches: ReadonlyMap<string, Pick<PublishingCache, 'permissions' | 'push'>>;
  readonly store: Pick<StoreQueries, 'queryValid'>;
  readonly roots: PushRoots;
  readonly clock: () => number;
  readonly onEvent: (event: TakeEvent) => void;
}

/** What an earlier version wrote may be of a hundred thousand roots, and nobody is to wait for long behind that. */
const candidatesAtOnce = 1000;

/** In one transaction, of about ten milliseconds. */
const rowsAtOnce = 250;

interface OfCache {
  readonly stored: StoredPublication;
  readonly place: Publication['place'];
  readonly cache: string;
  readonly mode: PublishingCache['push'];
}

/** What of these the cache may lack and the store has. */
const chooseWanted = async (
  { database, store, onEvent }: TakeDeps,
  { stored, place, cache }: OfCache,
  candidates: readonly PushCandidate[],
): Promise<readonly WantedPush[]> => {
  const asked = candidates.map(({ outputs: [first] }) => first);
  const settled = await database.pushes.settled({ cache, priority: priorityOf(place) }, asked);
  const open = candidates.filter(({ outputs: [first] }) => !settled.has(first));
  if (open.length === 0) return [];
  const valid = await store.queryValid<StorePath>(open.flatMap(({ outputs }) => outputs));
  const chosen = wantedPushes({ cache, publication: stored, place, candidates: open, valid });
  if (chosen.gone.length > 0) {
    onEvent({ kind: 'collected', changeId: stored.changeId, cache, drvs: chosen.gone });
  }
  return chosen.wanted;
};

/** What is built from can be found from the derivation alone. */
const pathsToKeep = async (
  { store }: TakeDeps,
  { mode }: OfCache,
  wanted: readonly WantedPush[],
): Promise<readonly (DrvPath | StorePath)[]> => {
  const outputs = wanted.flatMap((push) => push.outputs);
  if (mode === 'runtime') return outputs;
  return [...outputs, ...(await store.queryValid<DrvPath>(wanted.map(({ drv }) => drv)))];
};

const takeForCache = async (
  deps: TakeDeps,
  of: OfCache,
  candidates: readonly PushCandidate[],
): Promise<number> => {
  const { database, roots, clock, onEvent } = deps;
  const { changeId, id } = of.stored;
  let pushes = 0;
  for (let at = 0; at < candidates.length; at += candidatesAtOnce) {
    const wanted = await chooseWanted(deps, of, candidates.slice(at, at + candidatesAtOnce));
    if (wanted.length === 0) continue;
    // Before the rows: what they name is there until it was pushed.
    const why = await roots.keep(id, await pathsToKeep(deps, of, wanted));
    if (why !== null) onEvent({ kind: 'roots-not-kept', changeId, why });
    for (let first = 0; first < wanted.length; first += rowsAtOnce) {
      pushes += await database.pushes.want(wanted.slice(first, first + rowsAtOnce), clock());
    }
  }
  if (pushes > 0) onEvent({ kind: 'queued', changeId, cache: of.cache, pushes });
  return pushes;
};

/**
 * Idempotent, wherever it was cut short.
 * @returns the caches for which something waits now that did not before
 * @throws DatabaseError, StoreQueryError; it is to be taken again then
 */
export const takePublication = async (
  deps: TakeDeps,
  stored: StoredPublication,
): Promise<readonly string[]> => {
  const queued: string[] = [];
  const { database, caches, onEvent } = deps;
  const { id, changeId } = stored;
  const publication = readPublication(stored);
  if (publication === null) {
    onEvent({ kind: 'unreadable', changeId });
    await database.publications.taken('pushes', id);
    return queued;
  }
  const { place } = publication;
  const { ofCache, floating } = candidatesOf(publication);
  if (floating.length > 0) onEvent({ kind: 'floating', changeId, drvs: floating });
  for (const [cache, candidates] of ofCache) {
    const now = caches.get(cache);
    // The operator may have changed it since it was judged, and its owner how it is called.
    if (now === undefined || !(isAside(place.repository) || isStillPermitted(now.permissions, place))) {
      onEvent({ kind: 'kept-out', changeId, cache, place });
      continue;
    }
    const pushes = await takeForCache(deps, { stored, place, cache, mode: now.push }, candidates);
    if (pushes > 0) queued.push(cache);
  }
  await database.publications.taken('pushes', id);
  return queued;
};
