// The watching screen after something has happened: pure, so that any order of events can be tried.
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { Key } from './keys.ts';
import {
  chosenIndex,
  type Failure,
  failuresKeptMs,
  logLinesKept,
  type PaneName,
  panes,
  rowKeys,
  type ServerFacts,
  type ShownLog,
  type WatchEvent,
  type WatchState,
} from './watch-state.ts';

const failuresKept = 200;

/** `/nix/store/<hash>-name.drv` as `name`. */
const nameOfDrv = (drvPath: string): string =>
  drvPath
    .replace(/^.*\//, '')
    .replace(/^[0-9a-z]{32}-/, '')
    .replace(/\.drv$/, '');

const failedStates: readonly string[] = ['failed', 'interrupted', 'unsatisfiable'];
/** Nobody has to look after these: somebody wanted it so, or it is taken up again. */
const wantedCauses: readonly (string | null)[] = ['cancelled', 'scheduler-death'];

const withoutOld = (failures: readonly Failure[], nowMs: number): readonly Failure[] => {
  const isOld = ({ seenAtMs }: Failure): boolean => nowMs - seenAtMs > failuresKeptMs;
  const oldest = failures.at(-1);
  return oldest !== undefined && isOld(oldest) ? failures.filter((one) => !isOld(one)) : failures;
};

const takeLive = (state: WatchState, event: LiveEvent, nowMs: number): WatchState => {
  if (event.type === 'skipped') {
    const events = (state.leftOut?.events ?? 0) + event.events;
    return { ...state, leftOut: { events, atMs: nowMs } };
  }
  if (event.type !== 'build_state_change') return state;
  const { drvPath, attempt, to, cause, message } = event;
  const isFailure = failedStates.includes(to) && !wantedCauses.includes(cause);
  // Most are neither, and they may come by the hundred thousand.
  if (!isFailure && to !== 'succeeded') return state;
  const others = state.failures.filter((one) => one.drvPath !== drvPath);
  if (!isFailure) return others.length < state.failures.length ? { ...state, failures: others } : state;
  const name = nameOfDrv(drvPath);
  const failure: Failure = { drvPath, name, attempt, state: to, cause, message, seenAtMs: nowMs };
  return { ...state, nowMs, failures: [failure, ...others].slice(0, failuresKept) };
};

/** The row that was chosen last is gone: the one in its place is chosen now, and no other jumps under the reader. */
const keepPlaces = (before: WatchState, after: WatchState): WatchState => {
  const chosen: Partial<Record<PaneName, string>> = {};
  for (const pane of panes) {
    const key = after.chosen[pane];
    if (key === undefined) continue;
    const keys = rowKeys(after, pane);
    const place = keys.includes(key) ? key : keys[Math.min(chosenIndex(before, pane), keys.length - 1)];
    if (place !== undefined) chosen[pane] = place;
  }
  return { ...after, chosen };
};

/** What head, foot and title leave. */
const pageOf = (rows: number): number => Math.max(1, rows - 4);

const stepOf = (key: Key, rows: number): number | null => {
  const page = pageOf(rows);
  const steps: Partial<Record<Key, number>> = {
    up: -1,
    down: 1,
    'page-up': -page,
    'page-down': page,
    first: Number.NEGATIVE_INFINITY,
    last: Number.POSITIVE_INFINITY,
  };
  return steps[key] ?? null;
};

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value));

const moveChosen = (state: WatchState, step: number): WatchState => {
  const keys = rowKeys(state, state.focus);
  const key = keys[clamp(chosenIndex(state, state.focus) + step, 0, keys.length - 1)];
  return key === undefined ? state : { ...state, chosen: { ...state.chosen, [state.focus]: key } };
};

const moveLog = (state: WatchState, log: ShownLog, step: number): WatchState => {
  // There may be one line less of room than that: the first one is seen all the same.
  const above = clamp(log.above - step, 0, Math.max(0, log.lines.length - pageOf(state.rows) + 1));
  return { ...state, overlay: { kind: 'log', log: { ...log, above } } };
};

const movePane = (state: WatchState, step: number): WatchState => {
  const next = panes[(panes.indexOf(state.focus) + step + panes.length) % panes.length];
  return next === undefined ? state : { ...state, focus: next };
};

/** The drv of a pane's chosen row whose log can be read. */
const loggedDrv = (state: WatchState): { readonly drvPath: string; readonly name: string } | null => {
  const at = chosenIndex(state, state.focus);
  if (state.focus === 'running') return state.facts?.active[at] ?? null;
  const failure = state.focus === 'failures' ? state.failures[at] : undefined;
  // What no builder could build said nothing.
  return failure === undefined || failure.state === 'unsatisfiable' ? null : failure;
};

const open = (state: WatchState): WatchState => {
  const logged = loggedDrv(state);
  if (logged !== null) {
    const { drvPath, name } = logged;
    const log: ShownLog = { drvPath, name, lines: [], leftOut: 0, above: 0, note: null };
    return { ...state, overlay: { kind: 'log', log } };
  }
  const key = rowKeys(state, state.focus)[chosenIndex(state, state.focus)];
  return key === undefined ? state : { ...state, overlay: { kind: 'detail', pane: state.focus, key } };
};

const takeKey = (state: WatchState, key: Key): WatchState => {
  const { overlay } = state;
  const step = stepOf(key, state.rows);
  if (step !== null) {
    if (overlay === null) return moveChosen(state, step);
    return overlay.kind === 'log' ? moveLog(state, overlay.log, step) : state;
  }
  if (key === 'help') return { ...state, overlay: overlay?.kind === 'help' ? null : { kind: 'help' } };
  if (key === 'quit' || key === 'back') return overlay === null ? state : { ...state, overlay: null };
  if (overlay !== null) return state;
  if (key === 'open') return open(state);
  if (key === 'next-pane') return movePane(state, 1);
  return key === 'previous-pane' ? movePane(state, -1) : state;
};

const takeLog = (
  state: WatchState,
  drvPath: string,
  more: { readonly lines?: readonly string[]; readonly leftOut?: number; readonly note?: string },
): WatchState => {
  if (state.overlay?.kind !== 'log' || state.overlay.log.drvPath !== drvPath) return state;
  const { log } = state.overlay;
  const added = more.lines ?? [];
  const all = [...log.lines, ...added];
  const lines = all.slice(-logLinesKept);
  // Who has scrolled up goes on reading where he is.
  const above = log.above === 0 ? 0 : clamp(log.above + added.length, 0, lines.length - 1);
  const leftOut = log.leftOut + (more.leftOut ?? 0) + all.length - lines.length;
  const note = more.note ?? (added.length > 0 ? null : log.note);
  return { ...state, overlay: { kind: 'log', log: { ...log, lines, leftOut, above, note } } };
};

/** Where there is no room for all of them. */
const withOutagesFirst = (facts: ServerFacts): ServerFacts => ({
  ...facts,
  builders: facts.builders.toSorted((a, b) => Number(b.outage !== null) - Number(a.outage !== null)),
});

/** What is old is not shown any more. */
const takeTime = (state: WatchState, nowMs: number): WatchState => {
  const failures = withoutOld(state.failures, nowMs);
  const { leftOut } = state;
  const isOld = leftOut !== null && nowMs - leftOut.atMs > failuresKeptMs;
  const next = { ...state, nowMs, failures, leftOut: isOld ? null : leftOut };
  return failures === state.failures ? next : keepPlaces(state, next);
};

/** The same object where nothing on the screen changes. */
export const nextWatchState = (state: WatchState, event: WatchEvent): WatchState => {
  switch (event.type) {
    case 'answered': {
      const { nowMs } = event;
      const facts = withOutagesFirst(event.facts);
      return keepPlaces(state, { ...state, nowMs, facts, factsAtMs: nowMs, answers: true });
    }
    case 'unanswered':
      return { ...state, nowMs: event.nowMs, answers: false };
    case 'subscribed':
      return { ...state, nowMs: event.nowMs, connection: { kind: 'live', sinceMs: event.nowMs } };
    case 'lost': {
      const sinceMs = state.connection.kind === 'lost' ? state.connection.sinceMs : event.nowMs;
      return { ...state, nowMs: event.nowMs, connection: { kind: 'lost', sinceMs } };
    }
    case 'passed':
      return takeTime(state, event.nowMs);
    case 'live': {
      const next = takeLive(state, event.event, event.nowMs);
      return next === state ? state : keepPlaces(state, next);
    }
    case 'resized': {
      const columns = Math.max(1, event.columns);
      const rows = Math.max(1, event.rows);
      return { ...state, columns, rows };
    }
    case 'key':
      return takeKey(state, event.key);
    case 'log':
      return takeLog(state, event.drvPath, { lines: event.lines, leftOut: event.leftOut });
    case 'log-note':
      return takeLog(state, event.drvPath, { note: event.note });
  }
};
