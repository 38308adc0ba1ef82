// Long work that can be laid down between any two of its steps: whoever does it says when, for there is no clock here.

export type Steps<Result> = Generator<void, Result, void>;

/** All of it in one piece. @throws what its steps throw */
export const takeAll = <Result>(steps: Steps<Result>): Result => {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
};
