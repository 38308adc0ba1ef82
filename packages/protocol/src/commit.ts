// What was found out about a commit: the summary of the change whose head it is, and its parts.
import { z } from 'zod';
import { PackageChange, RebuildImpact } from './change-summary.ts';

/** A full object name of git; no abbreviation. */
const Sha = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'is not 40 or 64 lower-case hex digits');

export const CommitParams = z.object({ sha: Sha });

export const CommitQuery = z.strictObject({
  /** Only a judgement against this base; the newest one where absent. */
  base_sha: Sha.optional(),
  /** Only this job. */
  job: z.string().min(1).max(500).optional(),
});

const commits = { headSha: z.string(), baseSha: z.string().nullable() };

export const CommitPackageChanges = z
  .object({
    ...commits,
    jobs: z.array(z.object({ job: z.string(), packageChanges: z.array(PackageChange) })),
  })
  .meta({ id: 'CommitPackageChanges' });

export const CommitRebuildImpact = z
  .object({
    ...commits,
    /** Null for a job that was not judged. */
    jobs: z.array(z.object({ job: z.string(), rebuildImpact: RebuildImpact.nullable() })),
  })
  .meta({ id: 'CommitRebuildImpact' });
