// Port: whoever can build one derivation. Chosen by the scheduler; knows nothing of changes, graphs or records.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';

export interface BuildRequest {
  readonly drvPath: DrvPath;
  /** Names of the outputs that must be valid afterwards; all of them where it is empty. */
  readonly outputs: readonly string[];
  /** A build that prints nothing for this long is ended: `timeout`. Counted in whole seconds, rounded up. */
  readonly silenceTimeoutMs: number;
  /** A build that takes longer than this is ended: `max-duration`. Counted in whole seconds, rounded up. */
  readonly maxDurationMs: number;
  /** A build that prints more than this is ended: `log-limit`. */
  readonly maxLogBytes: number;
}

/** Told what happens while it happens. Must not throw, and must not keep the caller waiting. */
export interface BuildObserver {
  /** The builder program of this derivation runs now; never called where that had not to be built. */
  started?(): void;
  /** One line without its line feed. It may hold anything: control characters, terminal sequences, megabytes. */
  log(line: Uint8Array | string): void;
  /** What a builder calls the step it begins, in its own words. */
  phase(name: string): void;
  /** Where it gives a promise, who reads what a build says waits for that before reading on. It never rejects. */
  pressure?(): Promise<void> | null;
}

export interface Builder {
  /** For people and metrics; unique among the builders of a server. */
  readonly name: string;
  /** Nix systems it builds for, `builtin` included where it has Nix's own builders. */
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /**
   * Makes the outputs valid, by whatever is least: they are there, they can be fetched, or they are built. Its inputs
   * should be valid; one that is not is made so, and its failure is then `failed` with another `failedDrv`.
   * Several calls may run at once. Every outcome that is about the build is a result; it rejects for nothing but bugs.
   * When `signal` aborts, the builder program and all it started are ended before the promise resolves, with
   * `interrupted(cancelled)` unless the build was done by then.
   */
  build(request: BuildRequest, observer: BuildObserver, signal: AbortSignal): Promise<BuildResult>;
}

/** What a derivation asks of a builder. */
export interface BuildNeeds {
  readonly system: string;
  readonly requiredFeatures: readonly string[];
}

type Offer = Pick<Builder, 'name' | 'systems' | 'features'>;

/** What `builder` lacks for a derivation, as words for people, or null where it can build it. */
export const whatIsMissing = (builder: Offer, needs: BuildNeeds): string | null => {
  if (!builder.systems.includes(needs.system)) {
    return `no builder for the system ${needs.system} (${builder.name} has ${builder.systems.join(', ')})`;
  }
  const missing = needs.requiredFeatures.filter((feature) => !builder.features.includes(feature));
  if (missing.length === 0) return null;
  const named = `${missing.length === 1 ? 'feature' : 'features'} ${missing.join(', ')}`;
  return `no builder with the ${named} (${builder.name} has ${builder.features.join(', ') || 'none'})`;
};

export const canBuild = (builder: Offer, needs: BuildNeeds): boolean =>
  whatIsMissing(builder, needs) === null;
