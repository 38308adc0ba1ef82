// Whether what one judgement found can be changed by what another one found: by the attributes that both differ in.
import type { ChangeSummary, JobSummary } from './document.ts';

type Outcome = Pick<JobSummary['outcomes'][number], 'kind' | 'base' | 'attr' | 'aliases'>;

/** What is read of a job's summary. */
interface ComparedJob extends Pick<JobSummary, 'job' | 'conclusion' | 'notJudged' | 'attributes'> {
  readonly packageChanges: readonly Pick<JobSummary['packageChanges'][number], 'attr' | 'aliases'>[];
  readonly outcomes: readonly Outcome[];
}

export interface ComparedSummary extends Pick<ChangeSummary, 'schemaVersion'> {
  readonly jobs: readonly ComparedJob[];
}

/** Attributes in which a job differs from its base; `unknown`: any of them may. */
type Touched = 'unknown' | ReadonlySet<string>;

/** Shown, and the same on both sides: no difference. */
const isAsBefore = ({ kind, base }: Outcome): boolean =>
  (kind === 'still-unevaluable' && base === 'unevaluable') ||
  (kind === 'unavailable' && base === 'unavailable');

const touchedBy = (job: ComparedJob): Touched => {
  // Without a plan: proven to be untouched, taken out of the configuration (another base changes nothing of that), or
  // an evaluation that failed, which the other side may have mended or caused.
  if (job.notJudged !== null) return job.conclusion === 'failure' ? 'unknown' : new Set();
  const differing = [...job.packageChanges, ...job.outcomes.filter((outcome) => !isAsBefore(outcome))];
  // Removed attributes are named by package changes alone, and a repository may ask for none of those.
  if (job.attributes.removed > 0 && job.packageChanges.length === 0) return 'unknown';
  return new Set(differing.flatMap(({ attr, aliases }) => [attr, ...aliases]));
};

const canMeet = (one: Touched, other: Touched): boolean => {
  if (one === 'unknown') return other === 'unknown' || other.size > 0;
  if (other === 'unknown') return one.size > 0;
  const [few, many] = one.size < other.size ? [one, other] : [other, one];
  for (const attr of few) if (many.has(attr)) return true;
  return false;
};

/**
 * True where both differ from their bases in an attribute of the same job, or where that cannot be told. False: each
 * builds what it would build without the other.
 */
export const summariesOverlap = (one: ComparedSummary, other: ComparedSummary): boolean => {
  const jobs = new Map(other.jobs.map((job) => [job.job, job]));
  return one.jobs.some((job) => {
    const same = jobs.get(job.job);
    return same !== undefined && canMeet(touchedBy(job), touchedBy(same));
  });
};
