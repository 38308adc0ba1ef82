// Asks a forge what became of a group of its merge queue, and says what that means to the changes here.
import { randomUUID } from 'node:crypto';
import type { CommitSha } from '@eka-ci/core/ids';
import type { BranchUpdate, ChangeListing, Database } from '../../database/database.ts';
import type { EventRepository, ForgeRepositoryEvent, MergeGroup } from '../../forge/forge-event.ts';
import { type HostedForge, type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { QueuedGroup } from '../../forge/hosted-merging.ts';
import type { ApprovalPolicy } from '../approval/approval-policy.ts';
import type { OfferedRequest } from '../offered-request.ts';
import type { Sight } from './hosted-delivery.ts';
import { mayPass } from './hosted-fault.ts';
import { hasItsName, ofRepository } from './own-name.ts';

interface GroupDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes'>;
  readonly groupApproval?: ApprovalPolicy;
}

type GroupSight = Extract<Sight, { kind: 'seen-group' }>;
type GroupEvent = Extract<ForgeRepositoryEvent, { kind: 'merge-group-requested' | 'merge-group-destroyed' }>;

/** Where to look for what was told. */
export const sightOfGroup = ({ kind, repository, group: { ref, ...told } }: GroupEvent): GroupSight => {
  const branch = ref.replace(/^refs\/heads\//, '');
  return kind === 'merge-group-requested'
    ? { kind: 'seen-group', repository, branch, told, endedSha: null }
    : { kind: 'seen-group', repository, branch, told: null, endedSha: told.headSha };
};

/** The row of a group holds the same as that of an offered change, whose author nobody is. */
const requestOf = (forge: HostedForge, repository: EventRepository, branch: string): OfferedRequest => ({
  host: forge.host,
  repository: repository.name,
  repositoryId: repository.id,
  isPrivate: repository.isPrivate,
  defaultBranch: repository.defaultBranch,
  author: null,
  headBranch: branch,
  headRepository: repository.name,
});

/**
 * Whether somebody has to let it go: one of its changes was not approved here, and its author may not write. Each
 * change counts by the head that it has: a queue takes a change out as soon as that is another.
 */
const awaitsApproval = async (
  { forge, database, groupApproval }: GroupDeps,
  { repository, found }: { readonly repository: EventRepository; readonly found: QueuedGroup | null },
  signal: AbortSignal,
): Promise<boolean> => {
  if (groupApproval === undefined) return false;
  // It may hold anybody's changes.
  if (found === null) return true;
  for (const { number, headSha, author } of found.members) {
    const row = await database.changes.findByNumber(hostedName(forge.host, repository.name), number);
    if (row?.kind === 'offered' && row.head === headSha && row.approved) continue;
    if (await groupApproval.awaits({ forge, repository: repository.name }, { author }, signal)) return true;
  }
  return false;
};

type Facts = Pick<MergeGroup, 'headSha' | 'baseSha' | 'baseBranch'> & { readonly title: string };

const titleOf = (number: number | null | undefined, baseBranch: string): string =>
  typeof number === 'number'
    ? `#${number} in the merge queue of ${baseBranch}`
    : `Merge queue of ${baseBranch}`;

const factsOf = (told: GroupSight['told'], found: QueuedGroup | null): Facts | null => {
  const group = told ?? found;
  if (group === null) return null;
  const { headSha, baseSha, baseBranch } = group;
  const number = told?.changeNumber ?? found?.members.at(-1)?.number;
  return { headSha, baseSha, baseBranch, title: titleOf(number, baseBranch) };
};

/** Where the forge will never say, what was told is enough to judge it, and nothing to know whose changes it holds by. */
const findGroup = async (
  forge: HostedForge,
  {
    sight,
    headSha,
    isTold,
  }: { readonly sight: GroupSight; readonly headSha: CommitSha; readonly isTold: boolean },
  signal: AbortSignal,
): Promise<QueuedGroup | null> => {
  const { branch, repository } = sight;
  try {
    return await forge.findGroup({ repository: repository.name, branch }, headSha, signal);
  } catch (error) {
    if (!isTold || signal.aborted || mayPass(error)) throw error;
    return null;
  }
};

/**
 * How it is now; null where nobody tells what it stands on, or another repository has that name by now: it is found again
 * by a later sweep, or told.
 * @throws HostedForgeFault, DatabaseError
 */
export const lookAtGroup = async (
  deps: GroupDeps,
  sight: GroupSight,
  signal: AbortSignal,
): Promise<BranchUpdate | null> => {
  const { forge, groupApproval } = deps;
  const { branch, endedSha, repository: place } = sight;
  const repository = hostedName(forge.host, place.name);
  const of = { repository, ...ofRepository(place) };
  const gone = { kind: 'group-gone', ...of, branch } as const;
  const headSha = forge.isPermitted(place.name, null)
    ? await forge.findBranchTip(place.name, branch, signal)
    : null;
  // What was told to end has ended, also where its branch is still to be deleted.
  if (headSha === null || headSha === endedSha) return gone;
  if (!(await hasItsName(forge, place, signal))) return null;
  const told = sight.told?.headSha === headSha ? sight.told : null;
  const mustFind = told === null || groupApproval !== undefined;
  const found = mustFind ? await findGroup(forge, { sight, headSha, isTold: told !== null }, signal) : null;
  const facts = factsOf(told, found);
  if (facts === null) return null;
  const { baseBranch, baseSha: base, title } = facts;
  if (!forge.isPermitted(place.name, baseBranch)) return gone;
  return {
    ...{ kind: 'group-made', ...of, branch, baseBranch, base, head: headSha, title },
    requestJson: JSON.stringify(requestOf(forge, place, branch)),
    newId: randomUUID(),
    awaitsApproval: await awaitsApproval(deps, { repository: place, found }, signal),
  };
};

/**
 * What a listing says of groups: where it differs from what is known, each is looked at by itself.
 * @param known those that are open here
 */
export const groupsToLookAt = (
  forge: Pick<HostedForge, 'isGroupBranch'>,
  { repository, branches }: Pick<HostedListing, 'repository' | 'branches'>,
  known: readonly ChangeListing[],
): Sight[] => {
  const tips = new Map(branches.map(({ name, sha }) => [name, sha]));
  // Whose changes were approved meanwhile, or whose authors may write by now, waits no more.
  const settled = known.filter(
    ({ branch, head, state }) => tips.get(branch) === head && state !== 'awaiting-approval',
  );
  const isSettled = new Set(settled.map(({ branch }) => branch));
  const names = new Set([
    ...known.map(({ branch }) => branch),
    ...branches.map(({ name }) => name).filter((name) => forge.isGroupBranch(name)),
  ]);
  return [...names]
    .filter((branch) => !isSettled.has(branch))
    .map((branch) => ({ kind: 'seen-group', repository, branch, told: null, endedSha: null }));
};
