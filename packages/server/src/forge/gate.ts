// What we say of a commit on a forge: a gate with its state, in our words. Drivers show as much of it as theirs can.
import type { CommitSha } from '@eka-ci/core/ids';

export type GateConclusion =
  | 'success'
  | 'failure'
  | 'neutral'
  | 'cancelled'
  | 'skipped'
  | 'timed-out'
  /** Somebody has to press a button. */
  | 'action-required';

/** Times are milliseconds since 1970; null where nobody knows. */
export type GateState =
  | { readonly kind: 'queued' }
  | { readonly kind: 'in-progress'; readonly startedAtMs: number | null }
  | {
      readonly kind: 'concluded';
      readonly conclusion: GateConclusion;
      readonly startedAtMs: number | null;
      readonly endedAtMs: number | null;
    };

/** A remark at lines of a file, as the diff of the change shows it. */
export interface GateAnnotation {
  /** Relative to the root of the repository. */
  readonly path: string;
  /** From 1. */
  readonly startLine: number;
  readonly endLine: number;
  readonly level: 'notice' | 'warning' | 'failure';
  readonly message: string;
  readonly title?: string;
}

/** A button. Whoever presses it sends `identifier` back; their right is checked then. */
export interface GateAction {
  /** At most 20 characters, as the identifier. */
  readonly identifier: string;
  readonly label: string;
  /** At most 40 characters. */
  readonly description: string;
}

export interface Gate {
  /** Unique on a commit: of one name there is one gate. */
  readonly name: string;
  readonly headSha: CommitSha;
  /** What we find it by, and what a pressed button brings back. */
  readonly externalId: string;
  readonly state: GateState;
  readonly title: string;
  /** Markdown, of any length. */
  readonly summary: string;
  /** The page that tells everything; null where there is none. */
  readonly detailsUrl: string | null;
  readonly annotations?: readonly GateAnnotation[];
  /** At most three. */
  readonly actions?: readonly GateAction[];
}

/** So many failed packages of one change get gates of their own. */
const mostFailureGates = 47;

export interface FailureGateRoom {
  /** Names of those that have a gate: it stays, and what it says is kept up to date. */
  readonly shownBefore: ReadonlySet<string>;
  /** How many more may be made now, by the forge's limits. */
  readonly mayCreate: number;
}

/**
 * Which failed packages get a gate of their own: the same however often it is asked, and never one less than before.
 * @returns `left`: those of which the summary alone tells, by name as the others
 */
export const chooseFailureGates = <Failed extends { readonly name: string }>(
  failed: readonly Failed[],
  { shownBefore, mayCreate }: FailureGateRoom,
): { readonly shown: readonly Failed[]; readonly left: readonly Failed[] } => {
  const sorted = failed.toSorted((one, other) =>
    one.name < other.name ? -1 : one.name > other.name ? 1 : 0,
  );
  const known = sorted.filter(({ name }) => shownBefore.has(name));
  const others = sorted.filter(({ name }) => !shownBefore.has(name));
  // Those that are well again keep theirs, and count.
  const room = Math.max(0, Math.min(mayCreate, mostFailureGates - shownBefore.size));
  return { shown: [...known, ...others.slice(0, room)], left: others.slice(room) };
};
