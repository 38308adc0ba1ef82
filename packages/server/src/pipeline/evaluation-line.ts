// One evaluation at a time: each already uses every worker it may, and two of the same base would do the work twice.
import { type BuildClass, buildClasses } from '@eka-ci/core/build-order';

/** What an evaluation needs beside its turn. While it is not to be had others have theirs. */
export interface EvaluationNeed {
  /**
   * Takes it, or says for people, without a full stop, why it is not to be had now. Must not throw.
   * @param ahead of those whose turn it was before, and who lack theirs
   */
  take(ahead: readonly EvaluationNeed[]): string | null;
  /** Called whenever it may be to be had, until the function that is given back is called. */
  watch(onChange: () => void): () => void;
  /** Told why, once, when its turn comes and it is not to be had. Must not throw. */
  onWait(reason: string): void;
}

export interface EvaluationPlace {
  readonly class: BuildClass;
  /** Milliseconds since 1970. */
  readonly arrivedAtMs: number;
  /** Taken when `work` begins, or shortly before an abort keeps it from that: the caller gives it back. @default nothing */
  readonly needs?: EvaluationNeed;
}

export interface EvaluationLine {
  /**
   * Runs `work` when its turn comes: by class, then by age. What runs is never ended for another.
   * @throws what `work` throws; the signal's reason where it aborts before its turn
   */
  run<Result>(place: EvaluationPlace, work: () => Promise<Result>, signal: AbortSignal): Promise<Result>;
}

interface Waiting {
  readonly rank: number;
  readonly arrivedAtMs: number;
  readonly needs: EvaluationNeed | undefined;
  isTold: boolean;
  readonly start: () => void;
}

const inOrder = (a: Waiting, b: Waiting): number => a.rank - b.rank || a.arrivedAtMs - b.arrivedAtMs;

/** The first that has what it needs, and those before it with what they lack. */
const choose = (waiting: Iterable<Waiting>) => {
  const lacking: (readonly [Waiting, why: string])[] = [];
  const ahead: EvaluationNeed[] = [];
  for (const one of [...waiting].toSorted(inOrder)) {
    const { needs } = one;
    const why = needs?.take(ahead) ?? null;
    if (why === null) return { first: one, lacking };
    lacking.push([one, why]);
    if (needs !== undefined) ahead.push(needs);
  }
  return { first: null, lacking };
};

class Line implements EvaluationLine {
  readonly #waiting = new Set<Waiting>();
  #isBusy = false;

  async run<Result>(
    place: EvaluationPlace,
    work: () => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result> {
    signal.throwIfAborted();
    await this.#turnOf(place, signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#isBusy = false;
      this.#next();
    }
  }

  #turnOf({ class: buildClass, arrivedAtMs, needs }: EvaluationPlace, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', onAbort);
        unwatch?.();
      };
      const onAbort = (): void => {
        if (!this.#waiting.delete(one)) return;
        leave();
        reject(signal.reason as Error);
      };
      const start = (): void => {
        leave();
        resolve();
      };
      const rank = buildClasses.indexOf(buildClass);
      const one: Waiting = { rank, arrivedAtMs, needs, isTold: false, start };
      signal.addEventListener('abort', onAbort);
      const unwatch = needs?.watch(() => this.#next());
      this.#waiting.add(one);
      this.#next();
    });
  }

  #next(): void {
    if (this.#isBusy) return;
    const { first, lacking } = choose(this.#waiting);
    if (first !== null) {
      this.#waiting.delete(first);
      this.#isBusy = true;
      first.start();
    }
    // Last: whoever is told may do whatever they like.
    for (const [one, why] of lacking) {
      if (!one.isTold) one.needs?.onWait(why);
      one.isTold = true;
    }
  }
}

export const createEvaluationLine = (): EvaluationLine => new Line();
