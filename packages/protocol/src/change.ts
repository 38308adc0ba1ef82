// Changes: the heads of branches and pull requests that were or are being judged.
import { z } from 'zod';
import { ChangeSummary } from './change-summary.ts';
import { nextCursor, PageQuery } from './page.ts';

/** awaiting-approval: nothing of it is evaluated or built until somebody lets it go, for it comes from outside. */
export const ChangeState = z.enum([
  'awaiting-approval',
  'queued',
  'judging',
  'judged',
  'failed',
  'superseded',
  'closed',
]);
export const ChangeKind = z.enum(['branch', 'baseline', 'submitted', 'offered', 'group']);

const change = z.object({
  id: z.string(),
  /**
   * branch: one that wants to join its base. baseline: a base branch against where it was. submitted: asked for by
   * hand. offered: what a hosted forge has to be joined into a branch, a pull request. group: an entry of a merge queue,
   * against the commit that it stands on.
   */
  kind: ChangeKind,
  repository: z.string(),
  /** From 1 in each repository; 0 of a baseline and of a group; the forge's own of an offered one. */
  number: z.int().nonnegative(),
  /**
   * Of a submitted one the head's revision, as it was asked for; of an offered one `pull/` and its number; of a group its
   * own in the forge's repository.
   */
  branch: z.string(),
  /** What an offered one or a group is to be joined into; null for others. */
  baseBranch: z.string().nullable(),
  title: z.string(),
  state: ChangeState,
  /** Null where it is judged against nothing. */
  baseSha: z.string().nullable(),
  headSha: z.string(),
  /** Null where there is none: the merge conflicts, or it was not tried yet. */
  judgedTree: z.string().nullable(),
  /** Null while it is being judged. */
  conclusion: z.string().nullable(),
  /** Why it could not be judged; null unless it failed, or is tried again. */
  fault: z.string().nullable(),
  /** Milliseconds since 1970: it failed by a fault that may pass, and is not tried again before. */
  retryAtMs: z.number().nullable(),
  /** Somebody let it go, from wherever it comes and however much it takes. */
  approved: z.boolean(),
  /** Milliseconds since 1970. */
  createdAtMs: z.number(),
  /** Milliseconds since 1970: when the state last changed. */
  updatedAtMs: z.number(),
});

export const Change = change.meta({ id: 'Change' });
export type Change = z.infer<typeof Change>;

export const ChangesQuery = PageQuery.extend({
  /** The configured name; all repositories where absent. */
  repository: z.string().min(1).max(500).optional(),
  /** All but `superseded` where absent. */
  state: ChangeState.optional(),
  /** Where absent, `branch` and `offered`. */
  kind: ChangeKind.optional(),
});

export const ChangePage = z.object({ changes: z.array(Change), nextCursor }).meta({ id: 'ChangePage' });
export type ChangePage = z.infer<typeof ChangePage>;

export const JudgementStage = z.enum(['waiting', 'checking-out', 'evaluating', 'building']);
export type JudgementStage = z.infer<typeof JudgementStage>;

const count = z.int().nonnegative();

/** How far a judgement is. */
export const ChangeProgress = z.object({
  stage: JudgementStage,
  /** Builds that have ended; `total` are wanted so far. */
  finished: count,
  total: count,
  /** Of those that have ended, the ones that did not succeed. */
  failed: count,
  /** What the builds wanted so far are expected to take from now on; null: nobody knows. */
  etaSeconds: z.number().nonnegative().nullable(),
});
export type ChangeProgress = z.infer<typeof ChangeProgress>;

export const ActiveChangesQuery = PageQuery.omit({ cursor: true });

export const ActiveChanges = z
  .object({
    /** How many wait and are judged; more than a thousand are told as a thousand. */
    counts: z.object({ queued: count, judging: count }),
    /** Those that are judged, then those that wait; the newest first of each. */
    changes: z.array(change.extend({ progress: ChangeProgress })),
  })
  .meta({ id: 'ActiveChanges' });
export type ActiveChanges = z.infer<typeof ActiveChanges>;

export const ChangeParams = z.object({
  forge: z.string().min(1).max(100),
  owner: z.string().min(1).max(300),
  repo: z.string().min(1).max(300),
  number: z.coerce.number().int().positive(),
});

/** What is done is done to the newest head. */
export const ChangeActionQuery = z.strictObject({
  /** Refused where it is not the newest any more: who looked at one head means no other. */
  head: z
    .string()
    .regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/)
    .optional(),
});

export const ChangeDetail = change
  .extend({
    /** Null while there is none. */
    summary: ChangeSummary.nullable(),
  })
  .meta({ id: 'ChangeDetail' });
export type ChangeDetail = z.infer<typeof ChangeDetail>;
