// What the watching screen knows and what is chosen on it, and which rows that makes. What changes it is in next-state.ts.
import type { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import type { Builders } from '@eka-ci/protocol/builder';
import type { ActiveChanges } from '@eka-ci/protocol/change';
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { ServerStatus } from '@eka-ci/protocol/operations';
import type { Key } from './keys.ts';

export const panes = ['builders', 'running', 'queue', 'changes', 'failures'] as const;
export type PaneName = (typeof panes)[number];

/** What a server answered when it was asked last. */
export interface ServerFacts {
  readonly active: ActiveBuilds['builds'];
  readonly queue: Pick<BuildQueue, 'total' | 'builds'>;
  readonly builders: Builders['builders'];
  readonly open: ActiveChanges;
  readonly status: Pick<ServerStatus, 'draining' | 'ready' | 'warnings'>;
}

export interface Failure {
  readonly drvPath: string;
  readonly name: string;
  readonly attempt: number;
  /** `failed`, `interrupted`, `unsatisfiable`. */
  readonly state: string;
  readonly cause: string | null;
  readonly message: string | null;
  /** By the clock of whoever watches. */
  readonly seenAtMs: number;
}

export type Connection =
  /** Both are kept with the moment since which it is so. */
  | { readonly kind: 'connecting' | 'live'; readonly sinceMs: number }
  | { readonly kind: 'lost'; readonly sinceMs: number };

/** A log that is read on the screen. */
export interface ShownLog {
  readonly drvPath: string;
  readonly name: string;
  /** The newest, of a log of any length. */
  readonly lines: readonly string[];
  /** Lines that were left out before them. */
  readonly leftOut: number;
  /** How many lines its end is below the last one shown: 0 follows the end. */
  readonly above: number;
  readonly note: string | null;
}

export type Overlay =
  | { readonly kind: 'help' }
  | { readonly kind: 'detail'; readonly pane: PaneName; readonly key: string }
  | { readonly kind: 'log'; readonly log: ShownLog };

export interface WatchState {
  readonly address: string;
  readonly nowMs: number;
  readonly columns: number;
  readonly rows: number;
  readonly connection: Connection;
  /** Null: nothing was answered so far. */
  readonly facts: ServerFacts | null;
  readonly factsAtMs: number;
  /** False: the server did not answer when it was asked last. */
  readonly answers: boolean;
  /** Newest first. */
  readonly failures: readonly Failure[];
  /** Events that were left out, the last of them then: failures may be among them. Null: none lately. */
  readonly leftOut: { readonly events: number; readonly atMs: number } | null;
  readonly focus: PaneName;
  /** The key of the chosen row of each pane; the first row where there is none. */
  readonly chosen: Readonly<Partial<Record<PaneName, string>>>;
  readonly overlay: Overlay | null;
}

export type WatchEvent =
  | { readonly type: 'answered'; readonly facts: ServerFacts; readonly nowMs: number }
  | { readonly type: 'unanswered' | 'subscribed' | 'lost' | 'passed'; readonly nowMs: number }
  | { readonly type: 'live'; readonly event: LiveEvent; readonly nowMs: number }
  | { readonly type: 'resized'; readonly columns: number; readonly rows: number }
  | { readonly type: 'key'; readonly key: Key }
  /** `leftOut`: lines before these that came too fast to be shown. */
  | {
      readonly type: 'log';
      readonly drvPath: string;
      readonly lines: readonly string[];
      readonly leftOut: number;
    }
  | { readonly type: 'log-note'; readonly drvPath: string; readonly note: string };

export const failuresKeptMs = 15 * 60_000;
export const logLinesKept = 5000;

export const initialWatchState = (
  address: string,
  { columns, rows, nowMs }: { readonly columns: number; readonly rows: number; readonly nowMs: number },
): WatchState => ({
  address,
  nowMs,
  columns,
  rows,
  connection: { kind: 'connecting', sinceMs: nowMs },
  facts: null,
  factsAtMs: nowMs,
  answers: true,
  failures: [],
  leftOut: null,
  focus: 'running',
  chosen: {},
  overlay: null,
});

/** The keys of a pane's rows, in their order. */
export const rowKeys = ({ facts, failures }: WatchState, pane: PaneName): readonly string[] => {
  switch (pane) {
    case 'builders':
      return facts?.builders.map(({ name }) => name) ?? [];
    case 'running':
      return facts?.active.map(({ drvPath }) => drvPath) ?? [];
    case 'queue':
      return facts?.queue.builds.map(({ drvPath }) => drvPath) ?? [];
    case 'changes':
      return facts?.open.changes.map(({ id }) => id) ?? [];
    case 'failures':
      return failures.map(({ drvPath }) => drvPath);
  }
};

/** 0 where the chosen row is gone, or none was chosen. */
export const chosenIndex = (state: WatchState, pane: PaneName): number => {
  const key = state.chosen[pane];
  return key === undefined ? 0 : Math.max(0, rowKeys(state, pane).indexOf(key));
};
