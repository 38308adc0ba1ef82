// What is open here of a hosted forge: where to look for each there, and its end where nobody is left to be asked.
import type { BranchUpdate, ChangeListing } from '../../database/database.ts';
import type { SeenUpdate } from './compare-listing.ts';
import type { Sight } from './hosted-delivery.ts';
import type { LookDeps } from './look.ts';
import { type HostedKind, hostedKinds, openHere, sightOf } from './open-here.ts';
import type { RepositoryNames } from './repository-names.ts';
import type { SeenUpdates } from './seen-updates.ts';

export interface OpenChangesDeps extends Pick<LookDeps, 'forge' | 'database'> {
  readonly names: Pick<RepositoryNames, 'idOf'>;
  readonly updates: SeenUpdates;
}

/** All methods reject with DatabaseError. */
export interface OpenChanges {
  /** @param name `owner/repo` */
  sightOf(name: string, change: ChangeListing): Promise<Sight>;
  /** Of repositories that are not to be served any more, by `owner/repo` or by what the change says. Nobody is asked. */
  end(isOver: (name: string, change: ChangeListing) => boolean): Promise<void>;
  /** Groups of merge queues that wait for approval. */
  waitingGroups(): Promise<readonly Sight[]>;
}

/** Nobody is left who would judge it. */
const endOf = (kind: HostedKind, change: ChangeListing): BranchUpdate => {
  const { number, branch, repositoryId } = change;
  const of = { repository: change.repository, ...(repositoryId !== undefined && { repositoryId }) };
  switch (kind) {
    case 'offered':
      return { kind: 'offer-closed', ...of, number };
    case 'baseline':
      return { kind: 'base-gone', ...of, branch };
    case 'group':
      return { kind: 'group-gone', ...of, branch };
  }
};

export const createOpenChanges = (deps: OpenChangesDeps): OpenChanges => {
  const { names, updates } = deps;
  const placed = async (name: string, change: ChangeListing): Promise<Sight> => {
    const sight = await sightOf(deps, name, change);
    const { repository } = sight;
    return { ...sight, repository: { ...repository, id: repository.id || names.idOf(name) } };
  };
  return {
    sightOf: placed,
    async end(isOver) {
      const byName = new Map<string, SeenUpdate[]>();
      for (const kind of hostedKinds) {
        for (const [name, change] of await openHere(deps, kind)) {
          if (!isOver(name, change)) continue;
          const sight = await placed(name, change);
          byName.set(name, [...(byName.get(name) ?? []), { update: endOf(kind, change), sight }]);
        }
      }
      for (const seen of byName.values()) await updates.apply(seen);
    },
    async waitingGroups() {
      const groups = await openHere(deps, 'group');
      const waiting = groups.filter(([, { state }]) => state === 'awaiting-approval');
      return Promise.all(waiting.map(([name, group]) => placed(name, group)));
    },
  };
};
