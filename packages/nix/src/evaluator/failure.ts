// From Nix's error to a failure a person can act on: its kind, its message, and where in the repository it happened.
import type { EvaluationFailure, EvaluationFailureKind, SourcePosition } from '@eka-ci/core/evaluation';
import type { NixError, NixPlace } from './nix-log.ts';

/** Longer messages are cut: they go into database rows and pages. */
const maxMessageLength = 8192;

/**
 * Absolute directories that hold the tree for Nix: its place, and the store path a flake is copied to. Paths below
 * them are made relative again.
 */
export type SourceRoots = readonly string[];

// The order decides: the first that fits. Texts as printed by 2.8, 2.26 and 2.34.
const kinds: readonly (readonly [EvaluationFailureKind, RegExp])[] = [
  ['abort', /^evaluation aborted with the following error message/],
  ['infinite-recursion', /^infinite recursion encountered/],
  ['stack-overflow', /^stack overflow/],
  ['assertion', /^assertion .*failed/s],
  [
    'syntax',
    /^syntax error|^undefined variable|^path has a trailing slash|^invalid (?:integer|float)|already defined at/,
  ],
  ['missing-attribute', /^attribute .* (?:missing|in selection path .* not found)/s],
  ['import-from-derivation', /allow-import-from-derivation/],
  [
    'network',
    /unable to download|[Cc]ould ?n[o']t resolve|[Tt]emporary failure in name resolution|Network is unreachable|unlocked|without a hash|[Ff]ailed to fetch|program 'git' failed|hg failed with exit code|Cannot find Git revision|resolving Git reference|lock file|not locked|cannot find flake/,
  ],
  ['out-of-memory', /out of memory|Cannot allocate memory|bad_alloc/],
  [
    'type',
    /^value is .* while|^expected .* but (?:found|got)|^cannot (?:coerce|add|compare|convert|decode)|without required argument|unexpected argument|not a function|^cannot evaluate a function|^attempt to call/s,
  ],
];

export const classifyMessage = (message: string): EvaluationFailureKind =>
  kinds.find(([, pattern]) => pattern.test(message))?.[0] ?? 'other';

/** Without ANSI sequences and other control characters; lines and tabs stay. */
export const stripControls = (text: string): string =>
  text.replace(
    /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[\u0000-\u0008\u000b-\u001f\u007f]/g,
    '',
  );

/** `file` below the tree, or null when it lies elsewhere. */
export const relativeToTree = (file: string, roots: SourceRoots): string | null => {
  const root = roots.find((directory) => file.startsWith(`${directory}/`));
  return root === undefined ? null : file.slice(root.length + 1);
};

/** The first of the places that lies in the tree. */
export const positionIn = (places: readonly NixPlace[], roots: SourceRoots): SourcePosition | null => {
  for (const { file, line, column } of places) {
    const relative = relativeToTree(file, roots);
    if (relative !== null) return { file: relative, line, column };
  }
  return null;
};

const withoutRoots = (text: string, roots: SourceRoots): string =>
  roots.reduce((shown, root) => shown.replaceAll(`${root}/`, '').replaceAll(root, '.'), text);

const cutMessage = (text: string): string =>
  text.length <= maxMessageLength ? text : `${text.slice(0, maxMessageLength)} […]`;

/** Newer Nix says what differs instead of which assertion failed; that is in what it was doing then. */
const failedAssertion = ({ context }: NixError): string | undefined =>
  /^while evaluating the condition of the (?<what>assertion .*)$/s.exec(stripControls(context[0] ?? ''))
    ?.groups?.['what'];

/** What our own expression throws, in the words of `nix-build -A`. */
const ownThrow = /^attribute '.*' in selection path '.*' not found$/s;

/** @param thrown true when `tryEval` had caught it: then it is a throw, whatever its text looks like */
const kindOf = (error: NixError, message: string, thrown: boolean): EvaluationFailureKind => {
  if (failedAssertion(error) !== undefined) return 'assertion';
  const kind = classifyMessage(message);
  if (thrown) return kind === 'assertion' || ownThrow.test(message) ? kind : 'throw';
  const called = stripControls(error.context[0] ?? '') === "while calling the 'throw' builtin";
  return called ? 'throw' : kind;
};

/**
 * Nix says how to switch it on, which nobody can who asks for an evaluation, and which would not help a build. A summary
 * shows the beginning alone.
 */
const explainFeature = (message: string): string =>
  message.replace(
    /^(experimental Nix feature 'ca-derivations' is disabled);[^\n]*/,
    '__contentAddressed is not supported: derivations that are addressed by their content are not evaluated ($1)',
  );

/** The mode is ours: nobody who reads this has switched it on. */
const explainRestriction = (message: string): string =>
  message.replace(
    /^(access to .* is forbidden) in restricted mode$/s,
    '$1: evaluation sees the repository, what it fetches and what it puts into the store itself, and nothing else',
  );

/** @param thrown see `kindOf` */
export const describeNixError = (error: NixError, roots: SourceRoots, thrown = false): EvaluationFailure => {
  const own = withoutRoots(stripControls(error.message), roots).trim();
  const assertion = failedAssertion(error);
  const message =
    assertion === undefined ? explainRestriction(explainFeature(own)) : `${assertion} failed: ${own}`;
  return {
    kind: kindOf(error, own, thrown),
    message: cutMessage(message === '' ? 'Nix gave no message' : message),
    position: positionIn(error.places, roots),
  };
};

/** Says what to do about a fetch that nothing locked. */
export const explainNetwork = (failure: EvaluationFailure, allowNetwork: boolean): EvaluationFailure =>
  failure.kind !== 'network' || allowNetwork
    ? failure
    : {
        ...failure,
        message:
          `${failure.message} (evaluation has no network: what it fetches must be locked by hash, ` +
          'or the repository be listed in evaluation.allow_network)',
      };

const placePattern = /^\s*(?:… )?at (?<file>.+?):(?<line>\d+)(?::(?<column>\d+))?:?$/;

const placesIn = (lines: readonly string[]): NixPlace[] =>
  lines.flatMap((line) => {
    const found = placePattern.exec(line)?.groups;
    if (found?.['file'] === undefined) return [];
    return [{ file: found['file'], line: Number(found['line']), column: Number(found['column'] ?? 1) }];
  });

/**
 * An error as Nix prints it for people. Until 2.1x the error comes first and its trace follows; newer ones print the
 * trace first, outermost call first, and the error last: so its line is the last that says `error:`.
 */
export const parsePrintedError = (printed: string): NixError => {
  const lines = stripControls(printed).split('\n');
  const start = lines.findLastIndex((line) => /^\s*error: ?\S/.test(line));
  if (start === -1) return { message: stripControls(printed).trim(), places: placesIn(lines), context: [] };
  const rest = lines.slice(start);
  const end = rest.findIndex((line, index) => index > 0 && (placePattern.test(line) || /^\s*…/.test(line)));
  const message = (end === -1 ? rest : rest.slice(0, end)).map((line) => line.trim()).join('\n');
  return {
    message: message.replace(/^error: ?/, '').trim(),
    places: [...placesIn(rest), ...placesIn(lines.slice(0, start)).toReversed()],
    context: [],
  };
};
