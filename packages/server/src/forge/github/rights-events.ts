// Webhooks by which people may do more or less than before. They say who and where; what somebody may do now is asked.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#member
import { z } from 'zod';
import type { RightsEvent } from '../forge-event.ts';
import { Id, RepositoryId } from './github-schema.ts';

const Account = z.object({ login: z.string().min(1).max(100) });
const Person = z.object({ id: Id }).nullish();

const RightsHook = z.object({
  repository: RepositoryId.nullish(),
  organization: Account.nullish(),
  /** Of a repository, or of a team. */
  member: Person,
  /** Of an organization. */
  membership: z.object({ user: Person }).nullish(),
});

/** By `event` or `event.action`. */
const names: ReadonlySet<string> = new Set([
  'member.added',
  'member.edited',
  'member.removed',
  'membership.added',
  'membership.removed',
  'organization.member_added',
  'organization.member_removed',
  'organization.renamed',
  'organization.deleted',
  'team.added_to_repository',
  'team.created',
  'team.deleted',
  'team.edited',
  'team.removed_from_repository',
  'team_add',
]);

export const isOfRights = (name: string): boolean => names.has(name);

/** Null where it does not say of what. @throws ZodError */
export const readRights = (json: unknown): RightsEvent | null => {
  const { repository, organization, member, membership } = RightsHook.parse(json);
  const userId = member?.id ?? membership?.user?.id ?? null;
  const account = organization?.login ?? repository?.name.split('/')[0];
  if (account === undefined) return null;
  return { kind: 'rights-changed', account, place: repository ?? null, userId };
};
