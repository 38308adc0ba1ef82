// Authors whose changes need no approval.
import { z } from 'zod';
import { Change } from './change.ts';

const ApprovedAuthor = z
  .object({
    /** The host of the forge: `github.com`. */
    forge: z.string(),
    /** The forge's; it stays when the login changes. */
    id: z.int().nonnegative(),
    /** As of the approval. */
    login: z.string(),
    /** Whoever said so: a login of that forge, or `operator`. */
    approvedBy: z.string(),
    /** Milliseconds since 1970. */
    approvedAtMs: z.number(),
  })
  .meta({ id: 'ApprovedAuthor' });
export type ApprovedAuthor = z.infer<typeof ApprovedAuthor>;

export const ApprovedAuthors = z.object({ users: z.array(ApprovedAuthor) }).meta({ id: 'ApprovedAuthors' });
export type ApprovedAuthors = z.infer<typeof ApprovedAuthors>;

export const ApprovedAuthorParams = z.object({
  forge: z.string().min(1).max(255),
  id: z.coerce.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
});

export const AuthorApproval = z
  .object({
    author: ApprovedAuthor,
    /** What waited for that and is queued now. */
    changes: z.array(Change),
  })
  .meta({ id: 'AuthorApproval' });
export type AuthorApproval = z.infer<typeof AuthorApproval>;
