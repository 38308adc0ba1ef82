// A gate in GitHub's words: the bodies that make a check run be what it is to be. Pure.
// https://docs.github.com/en/rest/checks/runs
import type { Gate, GateAction, GateAnnotation, GateConclusion } from '../gate.ts';
import { cutMarkdown } from './cut-markdown.ts';
import { GithubError } from './github-error.ts';

/** GitHub's bound is 65,535 characters; counted in bytes of UTF-8 it holds however it counts. */
const mostSummaryBytes = 65_535;
const mostMessageBytes = 60_000;
const mostNameCharacters = 200;
const mostTitleCharacters = 250;
export const annotationsPerRequest = 50;
/** What is more than this is in the summary. */
const mostAnnotations = 200;
const mostActions = 3;

const shorten = (text: string, most: number): string => {
  const characters = [...text.slice(0, most * 2 + 2).toWellFormed()];
  return characters.length <= most ? characters.join('') : `${characters.slice(0, most - 1).join('')}…`;
};

/** The name on GitHub: what it is found by. */
export const checkRunName = ({ name }: Pick<Gate, 'name'>): string => shorten(name, mostNameCharacters);

const conclusionWords: Readonly<Record<GateConclusion, string>> = {
  success: 'success',
  failure: 'failure',
  neutral: 'neutral',
  cancelled: 'cancelled',
  skipped: 'skipped',
  'timed-out': 'timed_out',
  'action-required': 'action_required',
};

const moment = (key: string, atMs: number | null): Record<string, string> =>
  atMs === null ? {} : { [key]: new Date(atMs).toISOString() };

const stateFields = ({ state }: Gate): Record<string, string> => {
  switch (state.kind) {
    case 'queued':
      return { status: 'queued' };
    case 'in-progress':
      return { status: 'in_progress', ...moment('started_at', state.startedAtMs) };
    case 'concluded':
      return {
        status: 'completed',
        conclusion: conclusionWords[state.conclusion],
        ...moment('started_at', state.startedAtMs),
        ...moment('completed_at', state.endedAtMs),
      };
  }
};

/** An annotation as it is sent, and as it is told apart from others. */
export interface CheckAnnotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly annotation_level: string;
  readonly message: string;
  readonly title?: string;
}

const toAnnotation = (from: GateAnnotation): CheckAnnotation => ({
  path: from.path,
  start_line: from.startLine,
  end_line: Math.max(from.startLine, from.endLine),
  annotation_level: from.level,
  message: cutMarkdown(from.message, mostMessageBytes, '…'),
  ...(from.title !== undefined && { title: shorten(from.title, mostTitleCharacters) }),
});

export const annotationsOf = ({ annotations = [] }: Gate): CheckAnnotation[] =>
  annotations.slice(0, mostAnnotations).map(toAnnotation);

const actionInvalid = (what: string): GithubError =>
  new GithubError('GITHUB_NAME_INVALID', `a gate cannot have ${what}: give it fewer or shorter ones`);

const toAction = ({ identifier, label, description }: GateAction): GateAction => {
  // A shorter identifier would be another button's.
  if (identifier.length > 20)
    throw actionInvalid(`an action ${JSON.stringify(identifier)} of more than 20 characters`);
  return { identifier, label: shorten(label, 20), description: shorten(description, 40) };
};

const actionFields = ({ actions = [] }: Gate): { readonly actions?: readonly GateAction[] } => {
  if (actions.length > mostActions)
    throw actionInvalid(`${actions.length} actions, where GitHub takes three`);
  return { actions: actions.map(toAction) };
};

const isWebAddress = (url: string): boolean => /^https?:\/\//.test(url) && URL.canParse(url);

const outputOf = (gate: Gate, annotations: readonly CheckAnnotation[]) => {
  const more =
    gate.detailsUrl !== null && isWebAddress(gate.detailsUrl)
      ? ': the rest is behind “View more details”'
      : '';
  return {
    title: shorten(gate.title, mostTitleCharacters),
    summary: cutMarkdown(gate.summary, mostSummaryBytes, `_Cut here, for size${more}._`),
    ...(annotations.length > 0 && { annotations }),
  };
};

/** What an update sets; GitHub adds the annotations to those that are there. */
export const checkRunUpdate = (gate: Gate, annotations: readonly CheckAnnotation[]) => ({
  name: checkRunName(gate),
  external_id: gate.externalId,
  ...(gate.detailsUrl !== null && isWebAddress(gate.detailsUrl) && { details_url: gate.detailsUrl }),
  ...stateFields(gate),
  output: outputOf(gate, annotations),
  ...actionFields(gate),
});

export const checkRunCreation = (gate: Gate, annotations: readonly CheckAnnotation[]) => ({
  ...checkRunUpdate(gate, annotations),
  head_sha: gate.headSha,
});
