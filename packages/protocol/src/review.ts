// What a judgement does, step by step: progress for those who watch. What it came to is asked for.
import { z } from 'zod';
import { CheckOutcome } from './check.ts';

const side = z.enum(['base', 'judged']);
const outcome = z.enum(['succeeded', 'failed', 'dependency-failed', 'interrupted', 'unsatisfiable']);

const commit = z.object({ revision: z.string(), sha: z.string(), subject: z.string() });

export const ReviewEvent = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('checked-out'),
    /** Null: it is judged against nothing. */
    base: commit.nullable(),
    head: commit,
    judgedTree: z.string(),
    /** True where the judged tree is the merge of the head into the base. */
    merged: z.boolean(),
    nixVersion: z.string(),
    evaluator: z.string(),
  }),
  z.object({
    type: z.literal('evaluating'),
    job: z.string(),
    side,
    evaluated: z.int(),
    failed: z.int(),
    /** Attributes found so far; grows while sets are opened. */
    known: z.int(),
    done: z.boolean(),
  }),
  z.object({
    type: z.literal('planned'),
    job: z.string(),
    added: z.int(),
    removed: z.int(),
    changed: z.int(),
    unchanged: z.int(),
    /** Derivations of the job's packages that are not what the base has. */
    rebuilds: z.int(),
  }),
  z.object({
    type: z.literal('building'),
    /** For whom: the judged tree, or the base, to know whether a failure is new. */
    side,
    /** Derivations that must be built, dependencies included, and those that can be fetched. */
    toBuild: z.int(),
    toSubstitute: z.int(),
  }),
  z.object({
    type: z.literal('build-started'),
    drvPath: z.string(),
    name: z.string(),
    attempt: z.int(),
    /** As that of `build-finished`. */
    etaS: z.number().nonnegative().optional(),
  }),
  z.object({ type: z.literal('build-phase'), drvPath: z.string(), phase: z.string() }),
  z.object({
    type: z.literal('build-finished'),
    drvPath: z.string(),
    name: z.string(),
    outcome,
    message: z.string().nullable(),
    durationMs: z.number(),
    /** Builds that have ended and builds wanted so far. */
    finished: z.int(),
    total: z.int(),
    /** Seconds that those wanted so far are expected to take from now on; absent where that is not known. */
    etaS: z.number().nonnegative().optional(),
  }),
  z.object({ type: z.literal('check-queued'), check: z.string() }),
  z.object({
    type: z.literal('check-started'),
    check: z.string(),
    /** As of `/v1/checks/{id}`. */
    id: z.string(),
  }),
  z.object({
    type: z.literal('check-output'),
    check: z.string(),
    id: z.string(),
    /** Of the first of these lines, counted from 1 in its log. Where a check is loud, lines before it were left out. */
    line: z.int().positive(),
    lines: z.array(z.string()),
  }),
  z.object({
    type: z.literal('check-finished'),
    check: z.string(),
    id: z.string().nullable(),
    outcome: CheckOutcome,
    reason: z.string().nullable(),
    durationMs: z.number().nullable(),
    /** The last lines that it printed. */
    outputTail: z.array(z.string()),
    /** True: the same was run before, and this is what came of it. */
    kept: z.boolean(),
  }),
  z.object({ type: z.literal('notice'), level: z.enum(['info', 'warning']), message: z.string() }),
]);
export type ReviewEvent = z.infer<typeof ReviewEvent>;

/** What a sender may give: the same data, none of it need be mutable. */
export type Sent<T> = T extends object ? { readonly [Key in keyof T]: Sent<T[Key]> } : T;
