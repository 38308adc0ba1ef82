// What was asked of the fake, and all that was wrong with it, or with what the fake itself said.
import type { Json } from '../state/json.ts';

export interface RequestRecord {
  readonly atMs: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** `app 7`, `installation 8`, `user alice`, `nobody`. */
  principal: string;
  body: Json;
  /** Null while it is not answered: it hangs, or its answer was cut. */
  status: number | null;
}

export interface Violation {
  readonly atMs: number;
  /** `unknown`: a path that the fake does not have, or a member that GitHub would ignore. */
  readonly kind: 'answer' | 'delivery' | 'request' | 'unknown';
  readonly what: string;
  readonly problems: readonly string[];
}

export interface Journal {
  readonly requests: RequestRecord[];
  readonly violations: Violation[];
  record(violation: Omit<Violation, 'atMs'>): void;
}

export const createJournal = (now: () => number): Journal => {
  const violations: Violation[] = [];
  return { requests: [], violations, record: (violation) => violations.push({ atMs: now(), ...violation }) };
};
