// One sentence that answers "should I merge this?", for a job and for a whole change: our words and numbers only.
import { type CheckOutcome, conclusionOfCheck } from '../check-outcome.ts';
import type { Conclusion, Verdict, VerdictKind } from '../verdict.ts';

/** Worst first. A failure is known even while other jobs go on. */
const byWorth: readonly Conclusion[] = [
  'failure',
  'pending',
  'action-required',
  'timed-out',
  'cancelled',
  'neutral',
  'success',
];

/** @param conclusions none: `success`, as nothing was asked */
export const worstOf = (conclusions: readonly Conclusion[]): Conclusion =>
  byWorth.find((conclusion) => conclusions.includes(conclusion)) ?? 'success';

export const formatCount = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1 package`, `2 packages`. */
export const formatNumberOf = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;

type Counts = Readonly<Record<VerdictKind, number>>;

const joinWords = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`;

const listBreakage = (counts: Counts): string => {
  const failing = counts['newly-failing'];
  const unevaluable = counts['newly-unevaluable'];
  const parts: string[] = [];
  if (failing > 0)
    parts.push(`${formatNumberOf(failing, 'package')} newly ${failing === 1 ? 'fails' : 'fail'} to build`);
  if (unevaluable > 0) {
    const verb = unevaluable === 1 ? 'does' : 'do';
    parts.push(`${formatNumberOf(unevaluable, 'attribute')} ${verb} not evaluate any more`);
  }
  return joinWords(parts);
};

const builtCount = (counts: Counts): number =>
  counts['newly-succeeding'] + counts['still-succeeding'] + counts.flaky;

const listRemarks = (counts: Counts): string => {
  const remarks: string[] = [];
  if (counts['still-failing'] > 0) remarks.push(`${formatCount(counts['still-failing'])} failed before too`);
  if (counts['still-unevaluable'] > 0) {
    remarks.push(`${formatCount(counts['still-unevaluable'])} did not evaluate before either`);
  }
  if (counts.flaky > 0) remarks.push(`${formatCount(counts.flaky)} flaky`);
  return remarks.length === 0 ? '' : ` (${remarks.join(', ')})`;
};

const describeSuccess = (counts: Counts): string => {
  const built = builtCount(counts);
  if (built === 0) {
    const remarks = listRemarks(counts);
    if (remarks === '') return 'Nothing to build, nothing breaks.';
    const isIdle = counts['still-failing'] === 0;
    return `${isIdle ? 'Nothing to rebuild, nothing newly fails' : 'Nothing newly fails'}${remarks}.`;
  }
  return `Nothing newly fails: ${formatNumberOf(built, 'package')} built${listRemarks(counts)}.`;
};

const describePending = (counts: Counts): string => {
  const open = counts['in-progress'];
  const unsure = counts['failing-base-unknown'];
  const parts: string[] = [];
  if (open > 0) parts.push(`${formatNumberOf(open, 'package')} still to be built`);
  if (unsure > 0) parts.push(`${formatNumberOf(unsure, 'failure')} still to be compared with the base`);
  const breakage = listBreakage(counts);
  return `${joinWords(parts)}; ${breakage === '' ? 'nothing newly fails so far' : `so far ${breakage}`}.`;
};

/** For one job, without saying what to do about it. */
export const describeJob = (verdict: Verdict): string => {
  const { counts, conclusion } = verdict;
  switch (conclusion) {
    case 'pending':
      return describePending(counts);
    case 'failure': {
      const breakage = listBreakage(counts);
      if (breakage !== '') return `${breakage}.`;
      return `${formatNumberOf(counts['still-unevaluable'], 'attribute')} cannot be evaluated, and this job allows none.`;
    }
    case 'action-required':
      return `${formatNumberOf(counts['not-built'], 'package')} not built before the change is approved.`;
    case 'timed-out':
      return `${formatNumberOf(counts['timed-out'], 'package')} timed out; nothing else newly fails.`;
    case 'cancelled':
      return `${formatNumberOf(counts.cancelled, 'package')} cancelled before the end; nothing newly fails so far.`;
    case 'neutral':
      return `${formatNumberOf(counts['not-built'], 'package')} could not be judged; nothing newly fails among the rest.`;
    case 'success':
      return describeSuccess(counts);
  }
};

const answers: Readonly<Record<Conclusion, string>> = {
  success: 'Safe to merge.',
  failure: 'Do not merge.',
  pending: 'Wait.',
  'action-required': 'Waits for approval.',
  'timed-out': 'No verdict: builds timed out.',
  cancelled: 'No verdict: cancelled.',
  neutral: 'No objection, but not everything was judged.',
};

/** Nothing of those that are as good as the change itself, but that all passed. */
const describeChecks = (conclusion: Conclusion, checks: readonly CheckOutcome[]): string => {
  if (checks.length === 0) return '';
  const worse = checks.filter((outcome) => outcome !== 'passed');
  if (worse.length > 0) {
    const failing = worse.filter((outcome) => conclusionOfCheck(outcome) === 'failure').length;
    if (failing > 0) return ` ${formatNumberOf(failing, 'check')} did not pass.`;
    return ` ${formatNumberOf(worse.length, 'check')} could not be finished.`;
  }
  return conclusion === 'success' ? ` ${formatNumberOf(checks.length, 'check')} passed.` : '';
};

/** For the whole change: the answer, then the worst job's sentence, then the checks'. */
export const describeChange = (
  conclusion: Conclusion,
  jobs: readonly { readonly conclusion: Conclusion; readonly headline: string }[],
  checks: readonly { readonly outcome: CheckOutcome }[] = [],
): string => {
  const checked = describeChecks(
    conclusion,
    checks.map(({ outcome }) => outcome),
  );
  if (jobs.length === 0) {
    return checks.length === 0
      ? 'There is no job to judge this change by.'
      : `${answers[conclusion]}${checked}`;
  }
  const worst = jobs.filter((job) => job.conclusion === conclusion);
  const others = jobs.length - 1;
  const scope =
    others === 0
      ? ''
      : conclusion === 'success'
        ? ` The same holds for ${formatNumberOf(others, 'other job')}.`
        : ` ${formatCount(worst.length)} of ${formatCount(jobs.length)} jobs ${worst.length === 1 ? 'is' : 'are'} in this state.`;
  // Where the checks alone are to blame, the jobs are told by the worst of them.
  if (worst.length === 0) return `${answers[conclusion]}${checked}`;
  return `${answers[conclusion]} ${worst[0]?.headline ?? ''}${scope}${checked}`;
};
