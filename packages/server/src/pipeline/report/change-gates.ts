// What a forge is to show of a change at each step of its way, as gates. Pure: the row and the summary in, gates out.
import { toCode, toCodeBlock } from '@eka-ci/core/change-summary/escape';
import type { Conclusion } from '@eka-ci/core/verdict';
import type { ChangeListing } from '../../database/database.ts';
import type { Gate, GateConclusion, GateState } from '../../forge/gate.ts';

/** As much of a change's row as gates need. */
export type ReportedChange = Pick<ChangeListing, 'id' | 'head' | 'baseBranch'> & {
  /** Of the repository: what joins another branch says so in the names of its gates. */
  readonly defaultBranch: string;
  /** The page that tells everything; null where there is none. */
  readonly detailsUrl: string | null;
};

/** As much of the change summary as gates need. */
export interface ReportedSummary {
  readonly conclusion: Conclusion;
  readonly headline: string;
  readonly jobs: readonly {
    readonly job: string;
    readonly conclusion: Conclusion;
    readonly headline: string;
    readonly notJudged: string | null;
    readonly outcomes: readonly ReportedOutcome[];
  }[];
}

/** One package of a job. Everything but `kind` comes from outside and may hold any text. */
export interface ReportedOutcome {
  readonly kind: string;
  readonly attr: string;
  readonly reason: string | null;
  /** What failed in its place; null where it is itself. */
  readonly culprit: { readonly name: string } | null;
  readonly logTail: readonly string[];
  readonly reproduce: string | null;
}

export interface JobProgress {
  readonly job: string;
  /** One sentence; null where nothing is known yet. */
  readonly title: string | null;
}

/** One commit may be judged against several bases: of one name a commit has one gate. */
const nameOf = ({ baseBranch, defaultBranch }: ReportedChange, text: string): string =>
  baseBranch === null || baseBranch === defaultBranch ? text : `${text} (→ ${baseBranch})`;

const separator = '/';

/** The change that a gate is of, from what it is found by; null for none of ours. */
export const changeIdOfGate = (externalId: string): string | null => {
  const at = externalId.indexOf(separator);
  return at < 0 ? null : externalId.slice(0, at);
};

export const isSummaryGate = (externalId: string): boolean => externalId.endsWith(`${separator}summary`);

interface Shown {
  readonly state: GateState;
  readonly title: string;
  readonly summary: string;
}

const kinds = { job: 'job:', failure: 'failure:' } as const;

const textOf = (of: string): string => {
  if (of === '') return 'EkaCI';
  if (of === 'summary') return 'EkaCI change summary';
  return `EkaCI: ${of.slice(of.indexOf(':') + 1)}`;
};

const gateOf = (change: ReportedChange, of: string, { state, title, summary }: Shown): Gate => ({
  name: nameOf(change, textOf(of)),
  headSha: change.head,
  externalId: `${change.id}${separator}${of}`,
  state,
  title,
  summary,
  detailsUrl: change.detailsUrl,
});

/** What is still pending at the end of a judgement will not become anything else by itself. */
const concluded = (conclusion: GateConclusion | 'pending'): GateState => ({
  kind: 'concluded',
  conclusion: conclusion === 'pending' ? 'neutral' : conclusion,
  startedAtMs: null,
  endedAtMs: null,
});

const inProgress: GateState = { kind: 'in-progress', startedAtMs: null };

/** It waits for its turn. */
export const queuedGates = (change: ReportedChange): Gate[] => [
  gateOf(change, '', {
    state: { kind: 'queued' },
    title: 'Waiting to be judged',
    summary: 'It is judged when its turn comes.',
  }),
];

/** @param title one sentence on how far it is */
export const runningGates = (change: ReportedChange, title: string, jobs: readonly JobProgress[]): Gate[] => [
  gateOf(change, '', { state: inProgress, title, summary: 'It is being judged.' }),
  ...jobs.map(({ job, title: jobTitle }) =>
    gateOf(change, `${kinds.job}${job}`, {
      state: inProgress,
      title: jobTitle ?? 'Being evaluated',
      summary: 'It is being judged.',
    }),
  ),
];

/** @param markdown the change summary as forges show it */
export const judgedGates = (
  change: ReportedChange,
  { conclusion, headline, jobs }: ReportedSummary,
  markdown: string,
): Gate[] => [
  ...jobs.map(({ job, conclusion: jobConclusion, headline: jobHeadline, notJudged }) =>
    gateOf(change, `${kinds.job}${job}`, {
      state: concluded(jobConclusion),
      title: jobHeadline,
      summary: notJudged === null ? 'The change summary tells the rest.' : quote(notJudged),
    }),
  ),
  gateOf(change, 'summary', { state: concluded('neutral'), title: headline, summary: markdown }),
  gateOf(change, '', {
    state: concluded(conclusion),
    title: headline,
    summary: 'The change summary tells the rest.',
  }),
];

/** Text from outside, which must not be read as anything else. */
const quote = (text: string): string => toCodeBlock(text.split('\n').slice(0, 100), '', 500);

/** `fault`: `CODE: what to do`. */
export const failedGates = (change: ReportedChange, fault: string): Gate[] => {
  const [code = fault] = fault.split(':', 1);
  const shown = {
    state: concluded('failure'),
    title: `It could not be judged: ${code}`,
    summary: quote(fault),
  };
  return [gateOf(change, '', shown)];
};

/** A fault that may pass: it is tried again by itself. */
export const waitingGates = (change: ReportedChange, fault: string): Gate[] => {
  const [code = fault] = fault.split(':', 1);
  return [
    gateOf(change, '', { state: inProgress, title: `Tried again soon: ${code}`, summary: quote(fault) }),
  ];
};

/** Nobody wants it judged any more: it was closed, or has a newer head. */
export const endedGates = (change: ReportedChange): Gate[] => [
  gateOf(change, '', {
    state: concluded('cancelled'),
    title: 'Not judged to its end',
    summary: 'It was closed, or something newer took its place.',
  }),
];

const failing: readonly string[] = ['newly-failing', 'newly-unevaluable'];

const failureText = ({ reason, culprit, logTail, reproduce }: ReportedOutcome): string =>
  [
    culprit === null ? '' : `Because of ${toCode(culprit.name)}.`,
    reason === null ? '' : quote(reason),
    logTail.length === 0 ? '' : toCodeBlock(logTail),
    reproduce === null ? '' : `Try it:\n${toCodeBlock([reproduce], '', 1000)}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');

/** One for each package that newly fails, named by its job and attribute. */
export const failureGates = (change: ReportedChange, { jobs }: ReportedSummary): Gate[] =>
  jobs.flatMap(({ job, outcomes }) =>
    outcomes
      .filter(({ kind }) => failing.includes(kind))
      .map((outcome) =>
        gateOf(change, `${kinds.failure}${job}: ${outcome.attr}`, {
          state: concluded('failure'),
          title: outcome.kind === 'newly-failing' ? 'It newly fails to build' : 'It newly fails to evaluate',
          summary: failureText(outcome),
        }),
      ),
  );

export const isFailureGate = (externalId: string): boolean =>
  externalId.includes(`${separator}${kinds.failure}`);

/** What was shown before of the change and is not among what it came to: a job that is gone, a package that is well. */
export const settledGate = (gate: Gate): Gate => ({
  ...gate,
  ...(isFailureGate(gate.externalId)
    ? { state: concluded('success'), title: 'It does not fail any more', summary: 'It failed before.' }
    : {
        state: concluded('cancelled'),
        title: 'Not judged to its end',
        summary: `The gate ${toCode(textOf(''))} tells why.`,
      }),
});
