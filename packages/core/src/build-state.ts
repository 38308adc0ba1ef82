// The states of one derivation's build, why it left them, and the one table of legal transitions.
import type { DrvPath } from './ids.ts';

export type BuildState =
  | 'queued'
  | 'buildable'
  | 'building'
  | 'succeeded'
  | 'failed'
  | 'dependency-failed'
  | 'interrupted'
  | 'unsatisfiable';

/** Why a build failed: the first six are the package's own doing, the rest the surroundings'. */
export type FailureCause =
  | 'builder-exit'
  | 'missing-output'
  | 'hash-mismatch'
  | 'output-rejected'
  | 'not-deterministic'
  /** The `.drv` file is missing, cut short, or of a form that is not supported. */
  | 'invalid-derivation'
  | 'network'
  | 'lost-builder'
  | 'out-of-memory'
  | 'disk-full'
  | 'process-death';

/** Why a build ended without an answer about the package. */
export type InterruptionCause =
  | 'timeout'
  | 'max-duration'
  | 'log-limit'
  | 'cancelled'
  | 'out-of-memory'
  | 'process-death'
  | 'scheduler-death';

/** How a build came into the state it is in; a dependency-failed one has its culprit's cause. */
export type BuildCause = FailureCause | InterruptionCause | 'built' | 'substituted' | 'already-valid';

/** What one attempt to build a derivation came to. */
export type BuildResult =
  | { readonly kind: 'built' | 'substituted' | 'already-valid'; readonly durationMs: number }
  | {
      readonly kind: 'failed';
      readonly cause: FailureCause;
      /** The derivation that failed: a dependency's where the request met an input that was not built. */
      readonly failedDrv: DrvPath;
      readonly message: string;
      readonly durationMs: number;
    }
  | {
      readonly kind: 'interrupted';
      readonly cause: InterruptionCause;
      readonly message: string;
      readonly durationMs: number;
    }
  | {
      /** This builder does not offer the system or a feature; nothing was tried. */
      readonly kind: 'unsatisfiable';
      readonly message: string;
      readonly durationMs: number;
    };

const transient: ReadonlySet<BuildCause> = new Set<BuildCause>([
  'network',
  'lost-builder',
  'out-of-memory',
  'disk-full',
  'process-death',
]);

/** True where the surroundings are to blame, so that trying once more may end differently. */
export const isTransient = (cause: BuildCause): boolean => transient.has(cause);

/** What happens to one derivation's build. */
export type BuildStep =
  /** Somebody wants it: for the first time, or again after it had come to rest. */
  | 'enqueue'
  | 'inputs-ready'
  | 'start'
  | 'succeed'
  | 'fail'
  | 'fail-dependency'
  | 'interrupt'
  /** An interrupted attempt is followed by another one at once. */
  | 'retry'
  /** No builder offers what it, or something it needs, asks for. */
  | 'find-unsatisfiable';

type LegalSteps = Readonly<Partial<Record<BuildStep, BuildState>>>;

/** `new` is a derivation that has no build yet. */
const legalSteps: Readonly<Record<BuildState | 'new', LegalSteps>> = {
  new: { enqueue: 'queued' },
  queued: {
    'inputs-ready': 'buildable',
    succeed: 'succeeded',
    'fail-dependency': 'dependency-failed',
    interrupt: 'interrupted',
    'find-unsatisfiable': 'unsatisfiable',
  },
  buildable: {
    start: 'building',
    succeed: 'succeeded',
    interrupt: 'interrupted',
    'find-unsatisfiable': 'unsatisfiable',
  },
  building: {
    succeed: 'succeeded',
    fail: 'failed',
    // Only where an input that should have been valid was not, and failed to build.
    'fail-dependency': 'dependency-failed',
    interrupt: 'interrupted',
    'find-unsatisfiable': 'unsatisfiable',
  },
  succeeded: { enqueue: 'queued' },
  failed: { enqueue: 'queued' },
  'dependency-failed': { enqueue: 'queued' },
  interrupted: { enqueue: 'queued', retry: 'buildable' },
  unsatisfiable: { enqueue: 'queued', interrupt: 'interrupted' },
};

/** Thrown for a step that the state does not have: a bug of the caller, or two schedulers at one build. */
export class IllegalBuildStepError extends Error {
  readonly code = 'BUILD_STEP_ILLEGAL';
  constructor(state: BuildState | null, step: BuildStep) {
    super(
      `a build that is ${state ?? 'new'} cannot take the step "${step}": this is a bug in EkaCI, or two servers ` +
        'work on one database; stop one of them and report the rest with the log',
    );
    this.name = 'IllegalBuildStepError';
  }
}

/**
 * @param state null for a derivation that has no build yet
 * @throws IllegalBuildStepError
 */
export const nextState = (state: BuildState | null, step: BuildStep): BuildState => {
  const next = legalSteps[state ?? 'new'][step];
  if (next === undefined) throw new IllegalBuildStepError(state, step);
  return next;
};

/** True when nothing more happens to the build by itself. */
export const isSettled = (state: BuildState): boolean => legalSteps[state].enqueue !== undefined;
