// What a forge is to show of a change at each step of its way, as gates. Pure: the row and the summary in, gates out.
import { toCode, toCodeBlock } from '@eka-ci/core/change-summary/escape';
import { type CheckOutcome, conclusionOfCheck } from '@eka-ci/core/check-outcome';
import type { Conclusion } from '@eka-ci/core/verdict';
import type { ChangeListing } from '../../database/database.ts';
import type { Gate, GateAction, GateAnnotation, GateConclusion, GateState } from '../../forge/gate.ts';
import { annotationsAt, positionOfFault, type ReportedPosition } from './annotations.ts';

/** As much of a change's row as gates need. */
export type ReportedChange = Pick<ChangeListing, 'id' | 'head' | 'baseBranch'> & {
  /** Of the repository: what joins another branch says so in the names of its gates. */
  readonly defaultBranch: string;
  /** The page that tells everything; null where there is none. */
  readonly detailsUrl: string | null;
  /** The page of a check's run. @default that of the change */
  readonly checkUrlOf?: (id: string) => string;
};

/** A check of the change. Everything but `outcome` comes from outside and may hold any text. */
export interface ReportedCheck {
  readonly name: string;
  readonly id: string | null;
  readonly outcome: CheckOutcome;
  readonly reason: string | null;
  readonly durationMs: number | null;
  readonly outputTail: readonly string[];
}

/** As much of the change summary as gates need. */
export interface ReportedSummary {
  readonly conclusion: Conclusion;
  readonly headline: string;
  readonly jobs: readonly {
    readonly job: string;
    readonly conclusion: Conclusion;
    readonly headline: string;
    readonly notJudged: string | null;
    /** What it evaluates. */
    readonly file?: string | undefined;
    /** Where its evaluation failed as a whole. */
    readonly position?: ReportedPosition | undefined;
    readonly outcomes: readonly ReportedOutcome[];
  }[];
  readonly checks: readonly ReportedCheck[];
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
  /** What Nix says of the evaluation; null where that went well. */
  readonly evaluation?: { readonly message: string } | null | undefined;
  /** Where it is in the code. */
  readonly position?: ReportedPosition | undefined;
}

export interface CheckProgress {
  readonly check: string;
  readonly state: 'queued' | 'running';
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

/** What of the change it is of. Names from outside come after the kind, whatever they hold. */
const subjectOf = (externalId: string): string => externalId.slice(externalId.indexOf(separator) + 1);

export const isSummaryGate = (externalId: string): boolean => subjectOf(externalId) === 'summary';

export interface Shown {
  readonly state: GateState;
  readonly title: string;
  readonly summary: string;
  readonly annotations?: readonly GateAnnotation[];
}

export const gateKinds = { job: 'job:', failure: 'failure:', check: 'check:', sizes: 'sizes:' } as const;
const kinds = gateKinds;

const textOf = (of: string): string => {
  if (of === '') return 'EkaCI';
  if (of === 'summary') return 'EkaCI change summary';
  const name = of.slice(of.indexOf(':') + 1);
  if (of.startsWith(kinds.sizes)) return `EkaCI sizes: ${name}`;
  return of.startsWith(kinds.check) ? `EkaCI check: ${name}` : `EkaCI: ${name}`;
};

export const gateOf = (
  change: ReportedChange,
  of: string,
  { state, title, summary, annotations = [] }: Shown,
): Gate => ({
  name: nameOf(change, textOf(of)),
  headSha: change.head,
  externalId: `${change.id}${separator}${of}`,
  state,
  title,
  summary,
  detailsUrl: change.detailsUrl,
  ...(annotations.length > 0 && { annotations }),
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

/** What a pressed button sends back. */
export const approveAction = 'approve';

const approveButton: GateAction = {
  identifier: approveAction,
  label: 'Approve',
  description: 'Evaluate and build this head',
};

const howToApprove =
  'Whoever may write to this repository lets it go: by the button *Approve*, a comment `@eka-ci approve`, or an approving review.';

/** It comes from outside: nothing of it is evaluated before somebody lets it go. */
export const awaitingGates = (change: ReportedChange): Gate[] => [
  {
    ...gateOf(change, '', {
      state: concluded('action-required'),
      title: 'Waiting for approval',
      summary: `It comes from outside, and nothing of it is evaluated or built before it is approved. ${howToApprove} A newer head waits again.`,
    }),
    actions: [approveButton],
  },
];

/**
 * The same of what a merge queue made. Not concluded: a queue drops what a required check concludes of in any other way
 * than well.
 */
export const awaitingGroupGates = (change: ReportedChange): Gate[] => [
  {
    ...gateOf(change, '', {
      state: { kind: 'queued' },
      title: 'Waiting for approval',
      summary:
        'It holds a change by somebody who may not write to this repository, and nobody has approved that. Whoever may write lets it go: by the button *Approve*, or by approving the change.',
    }),
    actions: [approveButton],
  },
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

/** Of the check that a gate is of; null for one of something else. */
export const checkNameOfGate = (externalId: string): string | null => {
  const of = subjectOf(externalId);
  return of.startsWith(kinds.check) ? of.slice(kinds.check.length) : null;
};

const shownOfProgress = {
  queued: {
    state: { kind: 'queued' },
    title: 'Waiting for its turn',
    summary: 'It is run when its turn comes.',
  },
  running: { state: inProgress, title: 'Running', summary: 'It is run in a sandbox.' },
} as const satisfies Record<CheckProgress['state'], Shown>;

export const runningCheckGates = (change: ReportedChange, checks: readonly CheckProgress[]): Gate[] =>
  checks.map(({ check, state }) => gateOf(change, `${kinds.check}${check}`, shownOfProgress[state]));

const titleOfCheck = ({ outcome, durationMs }: ReportedCheck): string => {
  const took = durationMs === null ? '' : ` after ${(durationMs / 1000).toFixed(1)} s`;
  switch (outcome) {
    case 'passed':
      return `Passed${took}`;
    case 'failed':
      return `Failed${took}`;
    case 'timed-out':
      return `Timed out${took}`;
    case 'refused':
      return 'Not run';
    case 'cancelled':
    case 'interrupted':
      return 'Not run to its end';
  }
};

/** A check that took too long fails the change; its own gate says what it was. */
const conclusionOfGate = ({ outcome }: ReportedCheck): GateConclusion | 'pending' =>
  outcome === 'timed-out' ? 'timed-out' : conclusionOfCheck(outcome);

export const checkGate = (change: ReportedChange, check: ReportedCheck): Gate => {
  const { reason, outputTail, id } = check;
  const parts = [
    reason === null ? '' : quote(reason),
    outputTail.length === 0 ? 'It printed nothing.' : `The end of its output:\n${toCodeBlock(outputTail)}`,
  ];
  const gate = gateOf(change, `${kinds.check}${check.name}`, {
    state: concluded(conclusionOfGate(check)),
    title: titleOfCheck(check),
    summary: parts.filter((part) => part !== '').join('\n\n'),
  });
  const detailsUrl = id === null ? null : (change.checkUrlOf?.(id) ?? null);
  return detailsUrl === null ? gate : { ...gate, detailsUrl };
};

/** @param markdown the change summary as forges show it */
export const judgedGates = (
  change: ReportedChange,
  { conclusion, headline, jobs, checks }: ReportedSummary,
  markdown: string,
): Gate[] => [
  ...checks.map((check) => checkGate(change, check)),
  ...jobs.map(({ job, conclusion: jobConclusion, headline: jobHeadline, notJudged, ...of }) => {
    const pointed = { position: of.position ?? null, file: of.file ?? null };
    const isFailed = notJudged !== null && jobConclusion === 'failure';
    return gateOf(change, `${kinds.job}${job}`, {
      state: concluded(jobConclusion),
      title: jobHeadline,
      summary: notJudged === null ? 'The change summary tells the rest.' : quote(notJudged),
      annotations: isFailed
        ? annotationsAt(pointed, { title: `${job} cannot be evaluated`, message: notJudged })
        : [],
    });
  }),
  gateOf(change, 'summary', { state: concluded('neutral'), title: headline, summary: markdown }),
  {
    ...gateOf(change, '', {
      state: concluded(conclusion),
      title: headline,
      summary: `The change summary tells the rest.${conclusion === 'action-required' ? ` ${howToApprove}` : ''}`,
    }),
    ...(conclusion === 'action-required' && { actions: [approveButton] }),
  },
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
    annotations: annotationsAt(
      { position: positionOfFault(fault), file: null },
      { title: 'The configuration cannot be read', message: fault },
    ),
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
    summary: 'It was closed or made a draft, or something newer took its place.',
  }),
];

const failing: readonly string[] = ['newly-failing', 'newly-unevaluable'];

const failureText = ({ evaluation, reason, culprit, logTail, reproduce }: ReportedOutcome): string =>
  [
    evaluation === null || evaluation === undefined ? '' : quote(evaluation.message),
    culprit === null ? '' : `Because of ${toCode(culprit.name)}.`,
    reason === null ? '' : quote(reason),
    logTail.length === 0 ? '' : toCodeBlock(logTail),
    reproduce === null ? '' : `Try it:\n${toCodeBlock([reproduce], '', 1000)}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');

/** Its log is in the gate's own text, where nothing of it is read as anything else. */
const failureMessage = ({ evaluation, reason, culprit, logTail }: ReportedOutcome): string =>
  [
    evaluation?.message ?? '',
    culprit === null ? '' : `Because of ${culprit.name}.`,
    reason ?? '',
    logTail.length === 0 ? '' : 'The end of its log is in the text of the gate.',
  ]
    .filter((part) => part !== '')
    .join('\n');

const failureTitle = ({ kind }: ReportedOutcome): string =>
  kind === 'newly-failing' ? 'It newly fails to build' : 'It newly fails to evaluate';

/** One for each package that newly fails, named by its job and attribute. */
export const failureGates = (change: ReportedChange, { jobs }: ReportedSummary): Gate[] =>
  jobs.flatMap(({ job, file, outcomes }) =>
    outcomes
      .filter(({ kind }) => failing.includes(kind))
      .map((outcome) => {
        const title = failureTitle(outcome);
        const said = { title: `${outcome.attr}: ${title}`, message: failureMessage(outcome) };
        return gateOf(change, `${kinds.failure}${job}: ${outcome.attr}`, {
          state: concluded('failure'),
          title,
          summary: failureText(outcome),
          annotations: annotationsAt({ position: outcome.position ?? null, file: file ?? null }, said),
        });
      }),
  );

export const isFailureGate = (externalId: string): boolean => subjectOf(externalId).startsWith(kinds.failure);

/** Somebody asked for its end. */
export const cancelledGates = (change: ReportedChange): Gate[] => [
  gateOf(change, '', {
    state: concluded('cancelled'),
    title: 'Stopped',
    summary:
      'Somebody asked for its end. A re-run, a comment `@eka-ci rebuild`, or a newer head has it judged.',
  }),
];

const isSizeGate = (externalId: string): boolean => externalId.includes(`${separator}${kinds.sizes}`);

const shownOfSettled = (externalId: string): Shown => {
  if (isFailureGate(externalId)) {
    return { state: concluded('success'), title: 'It does not fail any more', summary: 'It failed before.' };
  }
  if (isSizeGate(externalId)) {
    return {
      state: concluded('success'),
      title: 'Nothing grows too much any more',
      summary: 'Something did before.',
    };
  }
  const summary = `The gate ${toCode(textOf(''))} tells why.`;
  return { state: concluded('cancelled'), title: 'Not judged to its end', summary };
};

/** What was shown before of the change and is not among what it came to: a job that is gone, a package that is well. */
export const settledGate = (gate: Gate): Gate => ({
  ...gate,
  ...shownOfSettled(gate.externalId),
});
