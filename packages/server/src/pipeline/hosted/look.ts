// Asks a forge how something is now, and says what that means to the changes here. What was told is a hint where to look.
import { randomUUID } from 'node:crypto';
import type {
  BranchUpdate,
  ChangeKind,
  ChangeListing,
  ChangePage,
  ChangeState,
  Database,
} from '../../database/database.ts';
import { type BaselineRule, type BranchTip, baselineBuildOf } from '../../forge/forge.ts';
import type { EventRepository, OfferedChange } from '../../forge/forge-event.ts';
import { type HostedForge, hostedName } from '../../forge/hosted-forge.ts';
import type { ApprovalPolicy } from '../approval/approval-policy.ts';
import { lastJudgedTip } from '../intake.ts';
import type { OfferedRequest } from '../offered-request.ts';
import type { Sight } from './hosted-delivery.ts';
import { lookAtGroup } from './look-at-group.ts';
import { hasItsName, isOfRepository, ofRepository } from './own-name.ts';

export interface LookDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes'>;
  /** Which branches are kept as baselines beside the default branch; the first that matches counts. */
  readonly baselines: readonly BaselineRule[];
  /** Whether a change must wait until somebody lets it go. @default none must */
  readonly approval?: ApprovalPolicy;
  /** The same of the changes that a merge queue tests. @default none must */
  readonly groupApproval?: ApprovalPolicy;
}

/** Of open changes; and, for baselines, of what tells where they were judged last. */
const openStates: readonly ChangeState[] = ['awaiting-approval', 'queued', 'judging', 'judged', 'failed'];
const currentStates: readonly ChangeState[] = [...openStates, 'closed'];

/** Names what is looked at in its forge. */
export const nameOfSight = (sight: Sight): string => {
  const { name } = sight.repository;
  switch (sight.kind) {
    case 'seen-change':
      return JSON.stringify([name, sight.number]);
    case 'seen-branch':
      return JSON.stringify([name, sight.branch]);
    case 'seen-group':
      return JSON.stringify([name, 'group', sight.branch]);
  }
};

const requestOf = (
  forge: HostedForge,
  repository: EventRepository,
  change: OfferedChange,
): OfferedRequest => ({
  host: forge.host,
  repository: repository.name,
  repositoryId: repository.id,
  isPrivate: repository.isPrivate,
  defaultBranch: repository.defaultBranch,
  author: change.author === null ? null : { id: change.author.id, login: change.author.login },
  headBranch: change.headBranch,
  headRepository: change.headRepository?.name ?? null,
});

/** What is open, ready, and may join the branch that it wants to: a draft is looked at when it is none any more. */
export const isWanted = (forge: HostedForge, repository: string, change: OfferedChange): boolean =>
  change.isOpen && !change.isDraft && forge.isPermitted(repository, change.baseBranch);

/** @throws HostedForgeFault, DatabaseError */
export const updateOfChange = async (
  { forge, approval }: Pick<LookDeps, 'forge' | 'approval'>,
  { repository, change }: { readonly repository: EventRepository; readonly change: OfferedChange },
  signal: AbortSignal,
): Promise<BranchUpdate> => {
  const { number } = change;
  const name = hostedName(forge.host, repository.name);
  const of = { repository: name, ...ofRepository(repository) };
  if (!isWanted(forge, repository.name, change)) return { kind: 'offer-closed', ...of, number };
  return {
    kind: 'offer-moved',
    ...of,
    number,
    branch: `pull/${number}`,
    baseBranch: change.baseBranch,
    base: change.baseSha,
    head: change.headSha,
    title: change.title,
    requestJson: JSON.stringify(requestOf(forge, repository, change)),
    newId: randomUUID(),
    awaitsApproval: (await approval?.awaits({ forge, repository: repository.name }, change, signal)) ?? false,
  };
};

/** Whether the tips of a branch are judged by themselves. */
export const isBaseline = (
  { forge, baselines }: Pick<LookDeps, 'forge' | 'baselines'>,
  { name, defaultBranch }: Pick<EventRepository, 'name' | 'defaultBranch'>,
  branch: string,
): boolean =>
  baselineBuildOf({ baseBranch: defaultBranch, baselines }, branch) !== null &&
  !forge.isGroupBranch(branch) &&
  forge.isPermitted(name, branch);

/** @param known the branch's newest baseline */
export const updateOfTip = (
  of: Pick<BranchUpdate, 'repository' | 'repositoryId'>,
  { name: branch, sha: head }: BranchTip,
  known: ChangeListing | undefined,
): BranchUpdate => ({
  kind: 'base-moved',
  ...of,
  branch,
  base: lastJudgedTip(known),
  head,
  title: branch,
  newId: randomUUID(),
});

/** All of a repository, or of all; closed ones where they are asked for. */
export const readKnown = async (
  { changes }: Pick<Database, 'changes'>,
  which: { readonly repository?: string; readonly kind: ChangeKind; readonly closedToo: boolean },
): Promise<ChangeListing[]> => {
  const known: ChangeListing[] = [];
  let cursor: string | null = '';
  do {
    const page: ChangePage = await changes.list({
      ...(which.repository !== undefined && { repository: which.repository }),
      kinds: [which.kind],
      states: which.closedToo ? currentStates : openStates,
      limit: 1000,
      ...(cursor !== '' && { cursor }),
    });
    known.push(...page.changes);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return known;
};

const newestBaseline = async (
  { changes }: Pick<Database, 'changes'>,
  repository: string,
  branch: string,
): Promise<ChangeListing | undefined> => {
  const query = { repository, branch, kinds: ['baseline'], states: currentStates, limit: 1 } as const;
  return (await changes.list(query)).changes[0];
};

/**
 * How it is now; null for a branch that is not judged by itself, for a group of which its queue tells nothing yet, and
 * where another repository has that name by now.
 * @throws HostedForgeFault, DatabaseError
 */
export const lookAt = async (
  deps: LookDeps,
  sight: Sight,
  signal: AbortSignal,
): Promise<BranchUpdate | null> => {
  const { forge, database } = deps;
  const { name } = sight.repository;
  const repository = hostedName(forge.host, name);
  const of = { repository, ...ofRepository(sight.repository) };
  if (sight.kind === 'seen-change') {
    const { number } = sight;
    const change = forge.isPermitted(name, null) ? await forge.findChange(name, number, signal) : null;
    if (change === null) return { kind: 'offer-closed', ...of, number };
    if (!isOfRepository(change, sight.repository)) return null;
    return updateOfChange(deps, { repository: sight.repository, change }, signal);
  }
  if (sight.kind === 'seen-group') return lookAtGroup(deps, sight, signal);
  const { branch } = sight;
  const known = await newestBaseline(database, repository, branch);
  if (!isBaseline(deps, sight.repository, branch)) {
    const isKept = known !== undefined && known.state !== 'closed';
    return isKept ? { kind: 'base-gone', ...of, branch } : null;
  }
  const sha = await forge.findBranchTip(name, branch, signal);
  if (sha === null) return { kind: 'base-gone', ...of, branch };
  if (!(await hasItsName(forge, sight.repository, signal))) return null;
  return updateOfTip(of, { name: branch, sha }, known);
};
