// Runs a command that nobody trusts on a copy of a tree, confined and bounded.
import type { StorePath } from '@eka-ci/core/ids';

export interface SandboxLimits {
  /** Wall clock, from the moment the command starts. */
  readonly timeoutMs: number;
  /** Of all its processes together. */
  readonly maxMemoryMib: number;
  /** Processor time of all its processes together, in whole seconds. */
  readonly maxCpuSeconds: number;
  readonly maxProcesses: number;
  readonly maxOutputMib: number;
}

export interface SandboxedRun {
  /** A checkout. It is copied, symbolic links as they are, and never changed. */
  readonly tree: string;
  /** A program, looked up in `env.PATH`, and its arguments. It starts in the copy of the tree. */
  readonly command: readonly string[];
  /** Its whole environment, but for `HOME` and `TMPDIR`, which are the sandbox's own. */
  readonly env: Readonly<Record<string, string>>;
  /** The machine's own network then: its loopback, and abstract sockets of its programs, are part of that. */
  readonly allowNetwork: boolean;
  /**
   * What it sees of the Nix store, read-only, and nothing else of it: complete with all that these refer to, and with what
   * the system's own programs need. Kept from garbage collection by the caller; refused where one of them is not there.
   */
  readonly storePaths: readonly StorePath[];
  readonly limits: SandboxLimits;
  /** What it prints, standard error among it, in the order of writing. Any bytes, cut anywhere. */
  readonly onOutput: (chunk: Uint8Array) => void;
}

/**
 * What was ended by us, at a bound or by the caller's signal. `timed-out` stands for processor time as well, and
 * `disk-limit` for what it wrote into its tree, or for a disk that ran low, whoever filled it.
 */
export type SandboxEnding =
  | 'timed-out'
  | 'output-limit'
  | 'out-of-memory'
  | 'disk-limit'
  | 'process-limit'
  | 'cancelled';

export type SandboxResult =
  | { readonly kind: 'ended'; readonly status: number; readonly durationMs: number }
  /** Ended by a signal, or with the status that a shell gives for one (128 and the signal's number). */
  | { readonly kind: 'signalled'; readonly signal: string; readonly durationMs: number }
  /** Output until then was given. */
  | { readonly kind: SandboxEnding; readonly durationMs: number }
  /** The sandbox cannot be had, or not this way: nothing was run. Or it broke meanwhile. The text says what to do. */
  | { readonly kind: 'refused'; readonly why: string };

export type SandboxCheck =
  /** Each a line for the log: what holds a command back on this machine. */
  | { readonly kind: 'works'; readonly bounds: readonly string[] }
  | { readonly kind: 'refused'; readonly why: string };

export interface Sandbox {
  /**
   * Runs one command. It never rejects, and never runs anything unconfined: what stands in the way is a result. When it
   * resolves, no process of the command is left and its copy of the tree is gone.
   */
  run(asked: SandboxedRun, signal: AbortSignal): Promise<SandboxResult>;
  /**
   * Runs `true` in the sandbox. For the log at start and for `--check-config`.
   * @param storePaths what the system's own programs need
   */
  check(storePaths: readonly StorePath[], signal?: AbortSignal): Promise<SandboxCheck>;
}
