// A budget of evaluations that writes down which sides told their size.
import type { Side } from '../evaluate-sides.ts';
import { createEvaluationBudget, type EvaluationBudget } from '../evaluation-budget.ts';

export interface SpiedBudget extends EvaluationBudget {
  /** Of each evaluation that came to an end: the side whose size is known by it, or null. */
  readonly settled: readonly (Side | null)[];
}

export const createSpiedBudget = (bytes?: number): SpiedBudget => {
  const budget = createEvaluationBudget(bytes);
  const settled: (Side | null)[] = [];
  return {
    settled,
    counts: () => budget.counts(),
    open(repository) {
      const room = budget.open(repository);
      return {
        ...room,
        settle(whole) {
          settled.push(whole);
          room.settle(whole);
        },
      };
    },
  };
};
