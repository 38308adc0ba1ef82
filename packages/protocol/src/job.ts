// The jobs of a judged change: how each ended, and what it says of every derivation.
import { z } from 'zod';
import { AttributeCounts, Conclusion, Notice, PackageChange, VerdictKind } from './change-summary.ts';
import { BuildState } from './derivation.ts';
import { nextCursor, PageQuery } from './page.ts';

const count = z.int().nonnegative();
const nullableText = z.string().nullable();

const job = z.object({
  /** `<id of the change>.<position of the job in it>`. */
  id: z.string(),
  changeId: z.string(),
  job: z.string(),
  conclusion: Conclusion,
  headline: z.string(),
  /** Why there is nothing more of it; null where it was judged. */
  notJudged: nullableText,
  attributes: AttributeCounts,
  /** Rows of the verdict by kind, those that are only counted included. */
  outcomeCounts: z.record(VerdictKind, count),
  systems: z.array(z.object({ system: z.string(), conclusion: Conclusion })),
  /** Derivations that must be built; null where nobody asked for the impact. */
  totalRebuilds: count.nullable(),
});

export const CommitJobs = z
  .object({ changeId: z.string(), headSha: z.string(), baseSha: nullableText, jobs: z.array(job) })
  .meta({ id: 'CommitJobs' });

export const JobParams = z.object({
  id: z.string().regex(/^[\w-]{1,200}\.(?:0|[1-9][0-9]{0,3})$/, 'is not <id of a change>.<number of a job>'),
});

export const Job = job
  .extend({
    repository: z.string(),
    headSha: z.string(),
    baseSha: nullableText,
    notices: z.array(Notice),
    /** How many rows `/v1/jobs/{id}/drvs` has. */
    drvs: count,
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof Job>;

/** What the judged tree has at an attribute, beside what the base has. */
const Difference = z.enum(['added', 'removed', 'changed', 'unchanged', 'unavailable', 'unevaluable']);
export type Difference = z.infer<typeof Difference>;

export const JobDrvsQuery = PageQuery.extend({
  /** Only rows of this kind of the verdict. */
  state: VerdictKind.optional(),
  difference: Difference.optional(),
  /** Only rows with this text in an attribute or in the derivation's name; capital letters do not matter. */
  q: z.string().min(1).max(200).optional(),
});

const jobDrv = z.object({
  /** The first of its attributes in code-unit order; the others are `aliases`. */
  attr: z.string(),
  aliases: z.array(z.string()),
  system: nullableText,
  drvPath: nullableText,
  difference: Difference,
  /** Null where nothing was to be judged, as for what was removed. */
  state: VerdictKind.nullable(),
  /** What the change does to the package; null where nothing of it changed. */
  change: PackageChange.shape.primary,
});
export type JobDrv = z.infer<typeof jobDrv>;

export const JobDrvPage = z
  .object({
    total: count,
    /** Worst first, then by attribute. `build` is how its newest build stands now; null without one. */
    drvs: z.array(jobDrv.extend({ build: BuildState.nullable() })),
    nextCursor,
  })
  .meta({ id: 'JobDrvPage' });

const checkRun = z.object({
  name: z.string(),
  /** Null for the change summary as a whole, and for a check. */
  jobId: nullableText,
  status: z.enum(['queued', 'in_progress', 'completed']),
  /** Null until it is completed. */
  conclusion: z
    .enum(['success', 'failure', 'neutral', 'cancelled', 'timed_out', 'action_required'])
    .nullable(),
  title: z.string(),
  /** Path on this server. */
  detailsPath: z.string(),
  /** Milliseconds since 1970; null until it is completed. */
  completedAtMs: z.number().nullable(),
});
export type CheckRun = z.infer<typeof checkRun>;

export const CheckRuns = z
  .object({
    changeId: z.string(),
    headSha: z.string(),
    /** The jobs in their order, then the summary, then the checks by name. */
    checkRuns: z.array(checkRun),
  })
  .meta({ id: 'CheckRuns' });
