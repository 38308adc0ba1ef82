// The port of evaluation: one job at one tree in, a stream of records out. Drivers: `stock/`, `nix-eval-jobs/`.
import type { EvaluationFailure, EvaluationRecord } from '@eka-ci/core/evaluation';

export type EvaluationTarget =
  | {
      readonly kind: 'file';
      /** Relative to the tree; already checked to stay inside it. A directory means its `default.nix`. */
      readonly file: string;
      /** From the file's value to the job's root; a function on the way is called with `{}`. */
      readonly attrPath: readonly string[];
      /** The root is a development shell, and its environment is wanted: as of `shell` of a flake. */
      readonly isShell?: true;
    }
  | {
      readonly kind: 'flake';
      readonly output: 'packages' | 'checks' | 'devShells';
      /**
       * This one of `devShells` alone, of the one system. The job is then a single derivation that builds nothing of it:
       * its output is a text in which the shell's own builder finds the shell's environment.
       */
      readonly shell?: string;
      readonly systems: readonly string[];
      /** What the flake sees as `self.rev`. */
      readonly rev: string | null;
      /** What the flake sees as `self.lastModified`: seconds since 1970. */
      readonly lastModified: number | null;
    };

export interface EvaluationLimits {
  readonly workers: number;
  /** Of one worker, its children included. */
  readonly maxMemoryMib: number;
  /** Of the whole evaluation. */
  readonly timeoutMs: number;
  /** Of one attribute. @default the smaller of `timeoutMs` and ten minutes */
  readonly attributeTimeoutMs?: number;
}

export interface EvaluationRequest {
  /** Absolute directory that holds the exported tree. Its last component is `source`: store names come from it. */
  readonly tree: string;
  readonly target: EvaluationTarget;
  readonly limits: EvaluationLimits;
  readonly allowImportFromDerivation: boolean;
  readonly allowNetwork: boolean;
  /** `preferred`: where no namespaces are to be had, evaluate unconfined with a warning. For trusted authors only. */
  readonly sandbox: 'required' | 'preferred';
  /**
   * Directory (made when missing) for the garbage-collection roots of every `.drv` that a record names. They are
   * links with fresh names; the caller removes them when the jobset is done with.
   */
  readonly rootsDir: string;
}

export type EvaluationEvent =
  | { readonly type: 'record'; readonly record: EvaluationRecord }
  | {
      readonly type: 'progress';
      readonly evaluated: number;
      /** Of `evaluated`: those that failed. */
      readonly failed: number;
      /** Attributes found so far; grows while sets are entered. */
      readonly known: number;
    }
  /** What the evaluated code or Nix said. Written by strangers: data, never markup. */
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'warning'; readonly message: string }
  | {
      readonly type: 'worker-restarted';
      readonly reason: 'failed-attribute' | 'memory' | 'timeout' | 'killed';
      readonly peakMib: number;
    };

export type EvaluationEnd =
  | {
      readonly kind: 'complete';
      readonly records: number;
      /** Nix processes that were started for it. */
      readonly processes: number;
      /** The most that one worker used. */
      readonly peakMib: number;
    }
  /** There is no jobset: what was yielded before is not to be kept. */
  | { readonly kind: 'failed'; readonly failure: EvaluationFailure };

/**
 * Contract, held by `evaluator.contract.ts`:
 * - Every attribute of the job's root that is a derivation, refuses itself, or fails gives exactly one record;
 *   so do those of sets inside with `recurseForDerivations = true`. Other values give none.
 * - `attrPath` begins below the job's root; below `[system]` for a flake. A root that is itself a derivation gives
 *   one record named by the last component of the job's own path, or `default`.
 * - Each record is yielded as soon as it is known, in no particular order.
 * - An evaluator that died, was killed or lied never ends in `complete` with an attribute missing.
 * - `complete` is returned only when every `.drv` of a record is rooted in `rootsDir`.
 * - Evaluated code sees the tree, the store and nothing of the server: no environment, no configuration, and no network
 *   unless the request allows it.
 *   It can read the clock (`builtins.currentTime`): only a flake's pure evaluation hides that.
 * - Ending the generator early, or the signal, ends every process before the generator settles.
 * @throws the signal's reason when it aborts; StartError when Nix cannot be started
 */
export interface Evaluator {
  readonly name: 'stock' | 'nix-eval-jobs';
  evaluate(request: EvaluationRequest, signal: AbortSignal): AsyncGenerator<EvaluationEvent, EvaluationEnd>;
}

/** How long one attribute may take. */
export const attributeTimeoutMs = (limits: EvaluationLimits): number =>
  limits.attributeTimeoutMs ?? Math.min(limits.timeoutMs, 10 * 60_000);
