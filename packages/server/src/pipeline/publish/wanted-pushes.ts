// A publication → what may have to be pushed to each cache; and, of what is in the store, what is to be. Pure.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoredPublication } from '../../database/database.ts';
import { pushPriorities, type WantedPush } from '../../database/pushes.ts';
import type { Publication, PublishedRoot } from './publication.ts';

export interface PushCandidate {
  readonly drv: DrvPath;
  readonly outputs: readonly [StorePath, ...StorePath[]];
  /** Its build succeeded: where it is not in the store, somebody has taken it away. */
  readonly wasBuilt: boolean;
}

export interface PushCandidates {
  /** By cache; of equal outputs one, over all jobs. */
  readonly ofCache: ReadonlyMap<string, readonly PushCandidate[]>;
  /** Were built and cannot be pushed: nobody knows their paths but by their content, or they look like derivations. */
  readonly floating: readonly DrvPath[];
}

/** What failed is not there. What was not asked for, or not built, may be: a pull request has built it before. */
const mayBeThere = ({ ending }: PublishedRoot): boolean =>
  ending === 'succeeded' || ending === 'open' || ending === 'not-built';

export const candidatesOf = ({ place, jobs }: Publication): PushCandidates => {
  const ofCache = new Map<string, Map<string, PushCandidate>>();
  const floating = new Set<DrvPath>();
  for (const { caches, roots } of jobs) {
    for (const root of roots) {
      const wasBuilt = root.ending === 'succeeded';
      if (caches.length === 0 || !(place.isOnBranch ? mayBeThere(root) : wasBuilt)) continue;
      // As they stand in the derivation; whether they are paths of the store is for Nix to say.
      const [first, ...others] = root.outputs as readonly StorePath[];
      // Whoever is told to copy a path that ends in .drv may take it for a derivation, and build that.
      if (first === undefined || root.outputs.some((path) => path.endsWith('.drv'))) {
        if (wasBuilt) floating.add(root.drv);
        continue;
      }
      for (const cache of caches) {
        const known = ofCache.get(cache) ?? new Map<string, PushCandidate>();
        ofCache.set(cache, known);
        if (known.get(first)?.wasBuilt !== true) {
          known.set(first, { drv: root.drv, outputs: [first, ...others], wasBuilt });
        }
      }
    }
  }
  return {
    ofCache: new Map(Array.from(ofCache, ([cache, known]) => [cache, [...known.values()]])),
    floating: [...floating],
  };
};

export const priorityOf = ({ isOnBranch }: Publication['place']): number =>
  isOnBranch ? pushPriorities.branch : pushPriorities.unmerged;

interface ToWant {
  readonly cache: string;
  readonly publication: Pick<StoredPublication, 'id' | 'changeId'>;
  readonly place: Publication['place'];
  readonly candidates: readonly PushCandidate[];
  /** Of their outputs, those that are in the store. */
  readonly valid: ReadonlySet<StorePath>;
}

/** `gone`: was built, and is not in the store any more. */
export const wantedPushes = ({
  cache,
  publication: { id: publicationId, changeId },
  place,
  candidates,
  valid,
}: ToWant): { readonly wanted: readonly WantedPush[]; readonly gone: readonly DrvPath[] } => {
  const { repository, branch } = place;
  const wanted: WantedPush[] = [];
  const gone: DrvPath[] = [];
  for (const { drv, outputs, wasBuilt } of candidates) {
    if (outputs.every((path) => valid.has(path))) {
      const priority = priorityOf(place);
      wanted.push({ cache, drv, outputs, repository, branch, changeId, publicationId, priority });
    } else if (wasBuilt) gone.push(drv);
  }
  return { wanted, gone };
};
