// One sweep: everything that a forge shows, compared with what is known here.
import type { Database } from '../../database/database.ts';
import { type HostedForge, type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { Visibility } from '../privacy/visibility.ts';
import { compareListing } from './compare-listing.ts';
import type { HostedIntakeEvent } from './hosted-event.ts';
import type { HostedStatuses } from './hosted-statuses.ts';
import { lookWork, type PlacedWork } from './hosted-work.ts';
import { type LookDeps, nameOfSight, readKnown } from './look.ts';
import type { Naming } from './naming.ts';
import type { OpenChanges } from './open-changes.ts';
import { laneOf, type RepositoryNames } from './repository-names.ts';
import type { SeenUpdates } from './seen-updates.ts';
import { findUnlisted } from './unlisted.ts';

export interface ForgeSweepDeps extends LookDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes' | 'deliveries' | 'repositories'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly names: RepositoryNames;
  readonly naming: Pick<Naming, 'take'>;
  readonly statuses: HostedStatuses;
  readonly updates: SeenUpdates;
  readonly open: OpenChanges;
  /** Waits for the turn of that lane; null where nothing more is begun. */
  readonly inLane: <T>(lane: string, work: () => Promise<T>) => Promise<T | null>;
  readonly add: (work: PlacedWork) => void;
  readonly onEvent: (event: HostedIntakeEvent) => void;
  readonly visibility?: Pick<Visibility, 'mark'>;
  readonly signal: AbortSignal;
}

interface Beside {
  /** Names of what is looked at. */
  readonly lookedAt: ReadonlySet<string>;
  /** Of the visibility, when the sweep began. */
  readonly mark: number;
}

const takeListing = async (
  deps: ForgeSweepDeps,
  listing: HostedListing,
  { lookedAt, mark }: Beside,
): Promise<number> => {
  const { forge, database, naming, updates, add, signal } = deps;
  const { name } = listing.repository;
  // Before anything is kept under its name.
  await naming.take(listing.repository, mark);
  const repository = hostedName(forge.host, name);
  const known = {
    offered: await readKnown(database, { repository, kind: 'offered', closedToo: false }),
    baselines: await readKnown(database, { repository, kind: 'baseline', closedToo: true }),
    groups: await readKnown(database, { repository, kind: 'group', closedToo: false }),
  };
  const found = await compareListing(deps, { listing, known }, { lookedAt, signal });
  await updates.apply(found.updates);
  for (const sight of found.missing) add(lookWork(sight));
  return found.updates.length + found.missing.length;
};

/** Repositories that are not listed any more: deleted, hidden, renamed, or out of our reach. */
const lookAtUnlisted = async (
  deps: ForgeSweepDeps,
  listed: ReadonlySet<string>,
  lookedAt: ReadonlySet<string>,
): Promise<number> => {
  const { open, inLane, add, signal } = deps;
  let found = 0;
  for await (const { name, lane, changes, isGone } of findUnlisted(deps, listed, signal)) {
    if (isGone) await inLane(lane, () => open.end((one) => one === name));
    const sights = isGone ? [] : await Promise.all(changes.map((change) => open.sightOf(name, change)));
    const wanted = sights.filter((sight) => !lookedAt.has(nameOfSight(sight)));
    for (const sight of wanted) add(lookWork(sight));
    found += isGone ? changes.length : wanted.length;
  }
  return found;
};

/**
 * @param lookedAt names of what is looked at beside it from its begin on
 * @throws HostedForgeFault, DatabaseError; the signal's reason
 */
export const sweepForge = async (deps: ForgeSweepDeps, lookedAt: ReadonlySet<string>): Promise<void> => {
  const { forge, clock, statuses, inLane, onEvent, signal } = deps;
  const startedAtMs = clock();
  const mark = deps.visibility?.mark() ?? 0;
  const listed = new Set<string>();
  let differences = 0;
  for await (const listing of forge.listings(signal)) {
    signal.throwIfAborted();
    statuses.listed(listing.repository, clock());
    listed.add(listing.repository.name);
    // In the repository's turn: nothing else of it changes meanwhile.
    const take = () => takeListing(deps, listing, { lookedAt, mark });
    differences += (await inLane(laneOf(listing.repository), take)) ?? 0;
  }
  differences += await lookAtUnlisted(deps, listed, lookedAt);
  statuses.swept(listed);
  const tookMs = clock() - startedAtMs;
  onEvent({ kind: 'swept', host: forge.host, repositories: listed.size, differences, tookMs });
};
