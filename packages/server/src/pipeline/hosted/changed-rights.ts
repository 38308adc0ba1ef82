// Whose rights may be other ones, by what a forge told.
import type { ForgottenRights } from '../people/rights-memory.ts';
import { type HostedPayload, isSight } from './hosted-delivery.ts';

export type ChangedRights = Omit<ForgottenRights, 'host'>;

const accountOf = (name: string): string => name.split('/')[0] ?? '';

/** Null where it changes nobody's. Pure. */
export const rightsChangedBy = (payload: HostedPayload): ChangedRights | null => {
  if (isSight(payload)) return null;
  switch (payload.kind) {
    case 'rights-changed': {
      const { account, place, userId } = payload;
      return { account, repository: place?.name ?? null, userId };
    }
    case 'repository-renamed':
    case 'repository-transferred':
    case 'repository-deleted':
    case 'repository-visibility': {
      const { name } = payload.repository;
      return { account: accountOf(name), repository: name, userId: null };
    }
    case 'access-given':
    case 'access-ended':
    case 'access-suspended':
    case 'access-resumed':
    case 'access-rights-changed':
    case 'repositories-changed':
      return { account: payload.account, repository: null, userId: null };
    case 'change-opened':
    case 'change-moved':
    case 'change-closed':
    case 'change-draft':
    case 'change-base-changed':
    case 'merge-group-requested':
    case 'merge-group-destroyed':
    case 'branch-pushed':
    case 'comment-created':
    case 'review-submitted':
    case 'review-dismissed':
    case 'gate-rerun':
    case 'gates-rerun':
    case 'gate-action':
    case 'outside-run-held':
    case 'outside-run-goes-on':
    case 'ping':
      return null;
  }
};
