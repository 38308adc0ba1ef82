// What is known of a review at one moment, folded from its events; the live view draws it.
import type { ReviewEvent } from '@eka-ci/protocol/review';

export interface RunningBuild {
  readonly name: string;
  readonly startedAt: number;
  readonly phase: string | null;
}

export interface EvaluationState {
  readonly job: string;
  readonly side: 'base' | 'judged';
  readonly evaluated: number;
  readonly failed: number;
  readonly known: number;
  readonly done: boolean;
}

export interface ReviewState {
  readonly checkedOut: Extract<ReviewEvent, { type: 'checked-out' }> | null;
  /** By `job side`. */
  readonly evaluations: ReadonlyMap<string, EvaluationState>;
  readonly running: ReadonlyMap<string, RunningBuild>;
  /** When each that is running was started, by name. */
  readonly checks: ReadonlyMap<string, number>;
  readonly finished: number;
  readonly failed: number;
  readonly total: number;
}

export const initialState: ReviewState = {
  checkedOut: null,
  evaluations: new Map(),
  running: new Map(),
  checks: new Map(),
  finished: 0,
  failed: 0,
  total: 0,
};

const without = <K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
};

/** The state after `event`, which came at `nowMs`. */
export const nextReviewState = (state: ReviewState, event: ReviewEvent, nowMs: number): ReviewState => {
  switch (event.type) {
    case 'checked-out':
      return { ...state, checkedOut: event };
    case 'evaluating':
      return { ...state, evaluations: new Map(state.evaluations).set(`${event.job} ${event.side}`, event) };
    case 'planned':
      return state;
    case 'building':
      return { ...state, total: state.total + event.toBuild };
    case 'build-started': {
      const build = { name: event.name, startedAt: nowMs, phase: null };
      return { ...state, running: new Map(state.running).set(event.drvPath, build) };
    }
    case 'build-phase': {
      const build = state.running.get(event.drvPath);
      if (build === undefined) return state;
      return {
        ...state,
        running: new Map(state.running).set(event.drvPath, { ...build, phase: event.phase }),
      };
    }
    case 'build-finished':
      return {
        ...state,
        running: without(state.running, event.drvPath),
        finished: event.finished,
        total: event.total,
        failed: state.failed + (event.outcome === 'succeeded' ? 0 : 1),
      };
    case 'check-started':
      return { ...state, checks: new Map(state.checks).set(event.check, nowMs) };
    case 'check-finished':
      return { ...state, checks: without(state.checks, event.check) };
    case 'check-queued':
    case 'check-output':
    case 'notice':
      return state;
  }
};
