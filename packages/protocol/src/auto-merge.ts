// Merges that somebody asked for: what is kept of one, and what it waits for.
import { z } from 'zod';

const method = z.enum(['merge', 'squash', 'rebase']);

export const AskedMerge = z
  .object({
    /** pending: not green yet. merging: the forge is being asked. queued: the forge's own merge queue has it. */
    state: z.enum(['pending', 'merging', 'queued']),
    /** The one that is merged, and no other. */
    headSha: z.string(),
    /** Null: the server's `default_merge_method`. */
    method: method.nullable(),
    /** Login of whoever asked. */
    by: z.string(),
    /** Not before a maintainer of each changed package has approved this head. */
    needsReviews: z.boolean(),
    /** Milliseconds since 1970. */
    askedAtMs: z.number(),
    /** Why the last try failed; null where none did. */
    fault: z.string().nullable(),
  })
  .meta({ id: 'AskedMerge' });
export type AskedMerge = z.infer<typeof AskedMerge>;

export const MergeEligibility = z
  .object({
    headSha: z.string(),
    /** This head is judged, and nothing newly fails. */
    isGreen: z.boolean(),
    /** Changed packages of which no maintainer has approved this head; null where they are not known. */
    unapproved: z.array(z.string()).nullable(),
    /** Null where nobody wants it merged. */
    asked: AskedMerge.nullable(),
  })
  .meta({ id: 'MergeEligibility' });
export type MergeEligibility = z.infer<typeof MergeEligibility>;

export const AutoMergeRequest = z.strictObject({
  /** Absent or null: the server's `default_merge_method`. */
  method: method.nullish(),
  /** The head that was looked at: any other one is refused. Absent or null: the one that is known here. */
  headSha: z
    .string()
    .regex(/^[0-9a-f]{40,64}$/, 'must be a commit')
    .nullish(),
});
export type AutoMergeRequest = z.infer<typeof AutoMergeRequest>;
