// One demand while it is open: what of it is not settled, and what its owner is told.
import type { NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import type { BuildDemand } from './scheduler.ts';

type Outcomes = ReadonlyMap<DrvPath, BuildOutcome>;

export class OpenDemand {
  readonly asked: BuildDemand;
  readonly finished: Promise<Outcomes>;
  /** Of its own graph: what is still to be built. */
  wanted: ReadonlySet<NodeId>;
  /** Its own nodes that are not settled, in the scheduler's graph. */
  left = new Set<NodeId>();
  /** Its turn came: what it wants is among what is wanted, or it is not to be carried out. */
  isAdmitted = false;
  /** Why it fails once its own builds have ended. */
  fault: { readonly error: unknown } | null = null;
  readonly #outcomes = new Map<DrvPath, BuildOutcome>();
  readonly #resolve: (outcomes: Outcomes) => void;
  readonly #reject: (error: unknown) => void;
  #isOver = false;
  /** Told when its listener throws, in place of the builder that spoke. */
  readonly #onFault: (error: unknown) => void;

  constructor(asked: BuildDemand, onFault: (error: unknown) => void) {
    const { promise, resolve, reject } = Promise.withResolvers<Outcomes>();
    this.asked = asked;
    this.wanted = asked.wanted;
    this.finished = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onFault = onFault;
    // Whoever asked may look at it later.
    promise.catch(() => {});
  }

  /** Nothing is left to wait for. */
  get isDone(): boolean {
    return this.isAdmitted && this.left.size === 0;
  }

  tell(event: BuildEvent): void {
    if (this.#isOver || this.fault !== null) return;
    if ('outcome' in event) this.#outcomes.set(event.outcome.drv, event.outcome);
    try {
      this.asked.onEvent(event);
    } catch (error) {
      this.#onFault(error);
    }
  }

  end(): void {
    this.#isOver = true;
    if (this.fault === null) this.#resolve(this.#outcomes);
    else this.#reject(this.fault.error);
  }

  fail(error: unknown): void {
    this.#isOver = true;
    this.#reject(error);
  }
}
