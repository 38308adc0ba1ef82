// What is open here of a hosted forge, and where to look for it there, also when nobody tells of its repository any more.
import type { ChangeListing, StoredChange } from '../../database/database.ts';
import type { EventRepository } from '../../forge/forge-event.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import { OfferUnreadableError, readOffered } from '../offered-request.ts';
import type { Sight } from './hosted-delivery.ts';
import { type LookDeps, readKnown } from './look.ts';

/** Of changes that come from hosted forges. */
export const hostedKinds = ['offered', 'baseline', 'group'] as const;
export type HostedKind = (typeof hostedKinds)[number];

/** With the `owner/repo` of each. */
export const openHere = async (
  { forge, database }: Pick<LookDeps, 'forge' | 'database'>,
  kind: HostedKind,
): Promise<(readonly [string, ChangeListing])[]> => {
  const prefix = hostedName(forge.host, '');
  const open = await readKnown(database, { kind, closedToo: false });
  return open.flatMap((change) =>
    change.repository.startsWith(prefix) ? [[change.repository.slice(prefix.length), change] as const] : [],
  );
};

/** As it was told last; null for a row of another version, whose change ends all the same. */
const repositoryOf = (row: StoredChange): EventRepository | null => {
  try {
    const { repository: name, repositoryId: id, isPrivate, defaultBranch } = readOffered(row);
    return { id, name, isPrivate, defaultBranch };
  } catch (error) {
    if (error instanceof OfferUnreadableError) return null;
    throw error;
  }
};

/** @param name `owner/repo` @throws DatabaseError */
export const sightOf = async (
  { database }: Pick<LookDeps, 'database'>,
  name: string,
  { id, repositoryId, number, branch, baseBranch, kind }: ChangeListing,
): Promise<Sight> => {
  const unknown = { id: repositoryId ?? 0, name, isPrivate: true };
  if (kind === 'baseline') {
    return { kind: 'seen-branch', repository: { ...unknown, defaultBranch: branch }, branch };
  }
  const row = await database.changes.find(id);
  const known = row === null ? null : repositoryOf(row);
  const repository = known ?? { ...unknown, defaultBranch: baseBranch ?? 'main' };
  if (kind === 'group') return { kind: 'seen-group', repository, branch, told: null, endedSha: null };
  return { kind: 'seen-change', repository, number };
};
