// Why `nix-store --realise` failed, from its exit status and its structured log; from its English only where
// neither says it: a local store tells the class by the status, a daemon's client ends with 1 for every failure.
import type { FailureCause } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { NixMessage } from './internal-json.ts';

/** All that is known of one ended process that was asked for one derivation with `--max-jobs 1`, without `-k`. */
export interface RealiseEnd {
  readonly requested: DrvPath;
  /** Null where a signal ended the process. */
  readonly code: number | null;
  /**
   * The build that was under way when the count of failed ones first rose, else the one that was started last: with one
   * build at a time that is the one that failed. Null where none was started.
   */
  readonly failedBuild: DrvPath | null;
  /** Errors and warnings, in order. */
  readonly messages: readonly NixMessage[];
  /** Last lines of the failed builder's output, for fetchers only: whether it was the network shows nowhere else. */
  readonly fetcherOutput: readonly string[];
}

export type RealiseFailure =
  | {
      readonly kind: 'failed';
      readonly cause: FailureCause;
      readonly failedDrv: DrvPath;
      readonly message: string;
    }
  /** One of the two times ran out; 2.34 does not say which. */
  | {
      readonly kind: 'timed-out';
      readonly ofSilence: boolean;
      readonly failedDrv: DrvPath;
      readonly message: string;
    }
  | { readonly kind: 'log-limit'; readonly failedDrv: DrvPath; readonly message: string }
  | { readonly kind: 'unsatisfiable'; readonly failedDrv: DrvPath; readonly message: string };

type Meaning = FailureCause | 'timed-out' | 'log-limit' | 'unsatisfiable' | 'dependency';

/** Tried in this order on each line. Words of 2.8 and 2.26 first, then those of 2.33 and 2.34. */
const wordings: readonly (readonly [RegExp, Meaning])[] = [
  [/^note: build failure may have been caused by lack of free disk space/i, 'disk-full'],
  [
    /^(?:writing to file|write of \d+ bytes|creating directory .*|setting up .*): No space left on device/,
    'disk-full',
  ],
  [/: No space left on device$/, 'disk-full'],
  [/(?:disk I\/O error|database or disk is full)/, 'disk-full'],
  [/^\d+ dependenc(?:y|ies) of derivation '.*' failed to build/, 'dependency'],
  [/^(?:Reason: \d+ dependenc(?:y|ies) failed|Build failed due to failed dependency)/, 'dependency'],
  [/^builder for '.*' failed due to signal 9\b/, 'out-of-memory'],
  [/^Reason: builder failed due to signal 9\b/, 'out-of-memory'],
  [/^builder for '.*' failed (?:with exit code|due to signal) /, 'builder-exit'],
  [/^Reason: builder failed (?:with exit code|due to signal) /, 'builder-exit'],
  [/failed to produce output path/, 'missing-output'],
  [/^hash mismatch in fixed-output derivation /, 'hash-mismatch'],
  [/may not be deterministic/, 'not-deterministic'],
  [/(?:^|: |file |^building derivation '.*' )timed out after \d+ seconds/, 'timed-out'],
  [/killed after writing more than \d+ bytes of log output/, 'log-limit'],
  [/^a '.*' with features \{.*\} is required to build /, 'unsatisfiable'],
  [
    /^Reason: (?:missing system features|required system or feature not available|platform mismatch)/,
    'unsatisfiable',
  ],
  [/^cannot build missing derivation /, 'invalid-derivation'],
  [/^(?:error parsing derivation|expected string|derivation .* is not valid)/, 'invalid-derivation'],
  // Somebody ended it who is not us.
  [/^interrupted by the user/, 'process-death'],
  [/^unable to download /, 'network'],
  [/^(?:cannot connect to|unexpected end-of-file|cannot open connection to)/, 'lost-builder'],
];

const networkTrouble =
  /(?:could not|couldn't|unable to) (?:resolve|connect)|connection (?:timed out|refused|reset)|temporary failure in name resolution|network is unreachable|curl: \((?:5|6|7|18|28|35|52|55|56)\)|the requested URL returned error: 5\d\d/i;

/** Split at line feeds alone: `^` in a multi-line pattern also matches after a carriage return, which a builder may print. */
const meaningsOf = (message: NixMessage): Meaning[] =>
  message.text.split('\n').flatMap((line) => {
    // Quoted output of the builder: never ours to read.
    if (line.startsWith('> ') || line.startsWith('       > ')) return [];
    const text = line.trim().replace(/^error: /, '');
    const found = wordings.find(([pattern]) => pattern.test(text));
    return found === undefined ? [] : [found[1]];
  });

/** The status of a local store: 100 and a bit for each class that occurred. */
const meaningOfStatus = (code: number | null): Meaning | null => {
  if (code === null || code < 101 || code > 107) return null;
  const bits = code - 100;
  if ((bits & 1) !== 0) return 'timed-out';
  return (bits & 2) !== 0 ? 'hash-mismatch' : 'not-deterministic';
};

const decideMeaning = (end: RealiseEnd): Meaning => {
  const genuine = end.messages.filter((message) => message.genuine).flatMap(meaningsOf);
  // A client of a daemon is told of a failed dependency in a message that a builder could have printed as well. All that
  // a builder wins by that is a wrong word for its own failure.
  const passedOn = end.messages
    .filter((message) => !message.genuine && message.level === 0)
    .flatMap(meaningsOf);
  const said = genuine.includes('dependency') ? [...genuine, ...passedOn] : genuine;
  const byStatus = meaningOfStatus(end.code);
  const byWords = said.find((meaning) => meaning !== 'dependency');
  if (said.includes('disk-full')) return 'disk-full';
  if (byStatus !== null) return byStatus;
  if (byWords !== undefined) return byWords;
  if (end.code === 100) return 'builder-exit';
  // Nix looked at what was built and did not take it: a forbidden reference, a bad mode, an invalid name.
  return end.failedBuild !== null && end.code === 1 ? 'output-rejected' : 'process-death';
};

/** Nix's error about the failure itself, not one about what depends on it. */
const errorOf = (end: RealiseEnd): NixMessage | undefined => {
  const errors = end.messages.filter((message) => message.level === 0);
  const isOwn = (message: NixMessage): boolean => !meaningsOf(message).includes('dependency');
  return (
    errors.find((message) => message.genuine && isOwn(message)) ??
    errors.find((message) => !message.genuine && meaningsOf(message).length > 0) ??
    errors.find((message) => message.genuine)
  );
};

const quotedDrv = /'(?<drv>\/[^'\s]+?\.drv)(?:[!^][^']*)?'/;

/** Named by a genuine error, else what was under way. */
const failedDrvOf = (end: RealiseEnd): DrvPath => {
  const error = errorOf(end);
  const trusted = error?.genuine === true && !meaningsOf(error).includes('dependency');
  const named = trusted ? quotedDrv.exec(error.text.split('\n')[0] ?? '')?.groups?.['drv'] : undefined;
  return (named as DrvPath | undefined) ?? end.failedBuild ?? end.requested;
};

const messageOf = (end: RealiseEnd): string => {
  const error = errorOf(end);
  if (error !== undefined) return error.text.replace(/^error: /, '').trim();
  const last = end.messages.at(-1)?.text.trim();
  const status = end.code === null ? 'was ended by a signal' : `ended with status ${end.code}`;
  return `nix-store ${status}${last === undefined ? ' and said nothing' : `: ${last}`}`;
};

/** Classifies a process that did not end with status 0. */
export const classifyFailure = (end: RealiseEnd): RealiseFailure => {
  const meaning = decideMeaning(end);
  const failedDrv = failedDrvOf(end);
  const message = messageOf(end);
  if (meaning === 'timed-out') {
    return { kind: 'timed-out', ofSilence: /seconds of silence/.test(message), failedDrv, message };
  }
  if (meaning === 'log-limit' || meaning === 'unsatisfiable') return { kind: meaning, failedDrv, message };
  const blamesNetwork =
    meaning === 'builder-exit' && end.fetcherOutput.some((line) => networkTrouble.test(line));
  // Of a failed dependency Nix did not say more.
  const cause = blamesNetwork ? 'network' : meaning === 'dependency' ? 'builder-exit' : meaning;
  return { kind: 'failed', cause, failedDrv, message };
};
