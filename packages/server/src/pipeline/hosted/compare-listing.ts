// What a forge has against what is known here: what must happen so that both are the same. Pure but for new ids.
import type { BranchUpdate, ChangeListing } from '../../database/database.ts';
import { type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { Sight } from './hosted-delivery.ts';
import { isBaseline, isWanted, type LookDeps, nameOfSight, updateOfChange, updateOfTip } from './look.ts';

/** What is known here of the repository of a listing. */
export interface KnownHere {
  /** Offered changes that are open. */
  readonly offered: readonly ChangeListing[];
  /** The newest of each branch, also where it is closed. */
  readonly baselines: readonly ChangeListing[];
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

type Rules = Pick<LookDeps, 'forge' | 'baselines'>;

const noneKnown: ChangeListing | undefined = undefined;

const compareChanges = (
  rules: Rules,
  listing: HostedListing,
  known: readonly ChangeListing[],
): Differences => {
  const { forge } = rules;
  const { repository } = listing;
  const open = new Map(known.map((change) => [change.number, change]));
  const listed = new Set(listing.changes.map(({ number }) => number));
  const sightOf = (number: number): Sight => ({ kind: 'seen-change', repository, number });
  const updates = listing.changes.flatMap((change): SeenUpdate[] => {
    const here = open.get(change.number) ?? noneKnown;
    const isSame = here?.head === change.headSha && here.baseBranch === change.baseBranch;
    if (isWanted(forge, repository.name, change) ? isSame : here === undefined) return [];
    return [{ update: updateOfChange(forge, repository, change), sight: sightOf(change.number) }];
  });
  const missing = known.filter(({ number }) => !listed.has(number)).map(({ number }) => sightOf(number));
  return { updates, missing: listing.isComplete ? missing : [] };
};

const compareTips = (rules: Rules, listing: HostedListing, known: readonly ChangeListing[]): Differences => {
  const { repository } = listing;
  const name = hostedName(rules.forge.host, repository.name);
  const here = new Map(known.map((change) => [change.branch, change]));
  const tips = listing.branches.filter((tip) => isBaseline(rules, repository, tip.name));
  const listed = new Set(tips.map((tip) => tip.name));
  const sightOf = (branch: string): Sight => ({ kind: 'seen-branch', repository, branch });
  const updates = tips.flatMap((tip): SeenUpdate[] => {
    const baseline = here.get(tip.name);
    if (baseline !== undefined && baseline.state !== 'closed' && baseline.head === tip.sha) return [];
    return [{ update: updateOfTip(name, tip, baseline), sight: sightOf(tip.name) }];
  });
  const missing = known
    .filter(({ branch, state }) => state !== 'closed' && !listed.has(branch))
    .map(({ branch }) => sightOf(branch));
  return { updates, missing: listing.isComplete ? missing : [] };
};

/** @param lookedAt names of what was looked at since the listing began: that is newer than the listing */
export const compareListing = (
  rules: Rules,
  { listing, known }: { readonly listing: HostedListing; readonly known: KnownHere },
  lookedAt: ReadonlySet<string>,
): Differences => {
  const parts = [compareChanges(rules, listing, known.offered), compareTips(rules, listing, known.baselines)];
  const isNew = (sight: Sight): boolean => !lookedAt.has(nameOfSight(sight));
  return {
    updates: parts.flatMap(({ updates }) => updates).filter(({ sight }) => isNew(sight)),
    missing: parts.flatMap(({ missing }) => missing).filter(isNew),
  };
};
