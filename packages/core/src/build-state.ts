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

/** Why a build failed: the first five are the package's own doing, the rest the surroundings'. */
export type FailureCause =
  | 'builder-exit'
  | 'missing-output'
  | 'hash-mismatch'
  | 'output-rejected'
  | 'not-deterministic'
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
    };
