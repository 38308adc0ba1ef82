// What a forge has against what is known here: what must happen so that both are the same.
import type { BranchUpdate, ChangeListing } from '../../database/database.ts';
import { type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { Sight } from './hosted-delivery.ts';
import { isBaseline, isWanted, type LookDeps, nameOfSight, updateOfChange, updateOfTip } from './look.ts';
import { groupsToLookAt } from './look-at-group.ts';
import { isOfRepository, ofRepository } from './own-name.ts';

/** What is known here of the repository of a listing. */
export interface KnownHere {
  /** Offered changes that are open. */
  readonly offered: readonly ChangeListing[];
  /** The newest of each branch, also where it is closed. */
  readonly baselines: readonly ChangeListing[];
  /** Groups of merge queues that are open. */
  readonly groups: readonly ChangeListing[];
}

export interface SeenUpdate {
  readonly update: BranchUpdate;
  /** Where to look for the same. */
  readonly sight: Sight;
}

export interface Differences {
  /** As the listing has it. */
  readonly updates: readonly SeenUpdate[];
  /**
   * Not in the listing. That alone proves nothing: what is open can slip from one page to another while pages are read,
   * so each is looked at by itself.
   */
  readonly missing: readonly Sight[];
}

type Rules = Pick<LookDeps, 'forge' | 'baselines' | 'approval'>;

/** Ends what is asked meanwhile. */
interface Seen {
  /** Names of what was looked at since the listing began: that is newer than the listing. */
  readonly lookedAt: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

const noneKnown: ChangeListing | undefined = undefined;

const compareChanges = async (
  rules: Rules,
  { listing, known }: { readonly listing: HostedListing; readonly known: readonly ChangeListing[] },
  { lookedAt, signal }: Seen,
): Promise<Differences> => {
  const { forge } = rules;
  const { repository } = listing;
  const open = new Map(known.map((change) => [change.number, change]));
  const listed = new Set(listing.changes.map(({ number }) => number));
  const sightOf = (number: number): Sight => ({ kind: 'seen-change', repository, number });
  const updates: SeenUpdate[] = [];
  for (const change of listing.changes) {
    const here = open.get(change.number) ?? noneKnown;
    const isSame = here?.head === change.headSha && here.baseBranch === change.baseBranch;
    // Its author may have been given rights since.
    const waits = isSame && here.state === 'awaiting-approval';
    if (isWanted(forge, repository.name, change) ? isSame && !waits : here === undefined) continue;
    const sight = sightOf(change.number);
    if (lookedAt.has(nameOfSight(sight)) || !isOfRepository(change, repository)) continue;
    const update = await updateOfChange(rules, { repository, change }, signal);
    if (waits && update.kind === 'offer-moved' && update.awaitsApproval) continue;
    updates.push({ update, sight });
  }
  const missing = known.filter(({ number }) => !listed.has(number)).map(({ number }) => sightOf(number));
  return { updates, missing: listing.isComplete ? missing : [] };
};

const compareTips = (rules: Rules, listing: HostedListing, known: readonly ChangeListing[]): Differences => {
  const { repository } = listing;
  const of = { repository: hostedName(rules.forge.host, repository.name), ...ofRepository(repository) };
  const here = new Map(known.map((change) => [change.branch, change]));
  const tips = listing.branches.filter((tip) => isBaseline(rules, repository, tip.name));
  const listed = new Set(tips.map((tip) => tip.name));
  const sightOf = (branch: string): Sight => ({ kind: 'seen-branch', repository, branch });
  const updates = tips.flatMap((tip): SeenUpdate[] => {
    const baseline = here.get(tip.name);
    if (baseline !== undefined && baseline.state !== 'closed' && baseline.head === tip.sha) return [];
    return [{ update: updateOfTip(of, tip, baseline), sight: sightOf(tip.name) }];
  });
  const missing = known
    .filter(({ branch, state }) => state !== 'closed' && !listed.has(branch))
    .map(({ branch }) => sightOf(branch));
  return { updates, missing: listing.isComplete ? missing : [] };
};

/** @throws HostedForgeFault, DatabaseError */
export const compareListing = async (
  rules: Rules,
  { listing, known }: { readonly listing: HostedListing; readonly known: KnownHere },
  seen: Seen,
): Promise<Differences> => {
  const parts = [
    await compareChanges(rules, { listing, known: known.offered }, seen),
    compareTips(rules, listing, known.baselines),
    { updates: [], missing: groupsToLookAt(rules.forge, listing, known.groups) },
  ];
  const isNew = (sight: Sight): boolean => !seen.lookedAt.has(nameOfSight(sight));
  return {
    updates: parts.flatMap(({ updates }) => updates).filter(({ sight }) => isNew(sight)),
    missing: parts.flatMap(({ missing }) => missing).filter(isNew),
  };
};
