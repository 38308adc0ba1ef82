// Has failures of a judged change tried again: by its summary, which says what failed.
import type { DrvPath } from '@eka-ci/core/ids';
import type { JobDrv } from '@eka-ci/protocol/job';
import type { Database, StoredChange } from '../database/database.ts';
import type { RebuildAnswer, RebuildWanted } from '../pipeline/rebuild-answer.ts';
import { isFailedRow } from './summary/job-drvs.ts';
import type { DrvFilter } from './summary/summary-question.ts';
import type { SummaryReader } from './summary/summary-reader.ts';

export interface RebuildDeps {
  readonly summaries: SummaryReader;
  readonly changes: Pick<Database['changes'], 'clearFailures'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const rowsAtOnce = 500;

type JobRow = Pick<JobDrv, 'drvPath' | 'attr' | 'aliases' | 'state'>;

/** Null where the summary has no such job, or there is none. */
const findRows = async (
  summaries: SummaryReader,
  change: StoredChange,
  { index, filter }: { readonly index: number; readonly filter: DrvFilter },
): Promise<JobRow[] | null> => {
  const rows: JobRow[] = [];
  for (let start = 0; ; start += rowsAtOnce) {
    const answer = await summaries.ask(change, { kind: 'drvs', index, filter, start, limit: rowsAtOnce });
    if (answer.kind !== 'drvs') return null;
    rows.push(...answer.rows);
    if (start + rowsAtOnce >= answer.total) return rows;
  }
};

/** Positions of the jobs that were judged. */
export const jobsOf = async (summaries: SummaryReader, change: StoredChange): Promise<number[]> => {
  const answer = await summaries.ask(change, { kind: 'jobs' });
  return answer.kind === 'jobs' ? answer.jobs.map((_, index) => index) : [];
};

/** Paths of a summary are those of evaluated derivations: whoever wrote it had them parsed. */
const drvsOf = (rows: readonly JobRow[]): DrvPath[] =>
  rows.flatMap(({ drvPath }) => (drvPath === null ? [] : [drvPath as DrvPath]));

const missingOf = (attrs: readonly string[], rows: readonly JobRow[]): string[] => {
  const known = new Set(rows.flatMap(({ attr, aliases }) => [attr, ...aliases]));
  return attrs.filter((attr) => !known.has(attr));
};

/** @param job its position; null: all jobs of the change. @throws DatabaseError, SummaryThreadError */
export const rebuildJudged = async (
  { summaries, changes, clock }: RebuildDeps,
  change: StoredChange,
  { wanted, job }: { readonly wanted: RebuildWanted; readonly job: number | null },
): Promise<RebuildAnswer> => {
  if (change.summaryJson === null) return { kind: 'not-judged' };
  const attrs = 'attrs' in wanted ? wanted.attrs : null;
  const filter: DrvFilter = attrs === null ? { failed: true } : { attrs };
  const rows: JobRow[] = [];
  const jobs = job === null ? await jobsOf(summaries, change) : [job];
  for (const index of jobs) rows.push(...((await findRows(summaries, change, { index, filter })) ?? []));
  const missing = missingOf(attrs ?? [], rows);
  if (missing.length > 0) return { kind: 'unknown', attrs: missing };
  const failed = rows.filter(isFailedRow);
  // Where another change has built it since, nothing is left to clear, and still it is to be judged again.
  const askedOf = failed.length > 0 ? { askedOf: change.id } : {};
  const done = await changes.clearFailures({ drvs: drvsOf(failed), ...askedOf, atMs: clock() });
  return { kind: 'done', cleared: done.cleared, changes: done.changes };
};
