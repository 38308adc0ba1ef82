// What one part of `--check-config` found.

export interface ConfigReport {
  /** Whole lines; empty where there is nothing to say. */
  readonly found: string;
  readonly warnings: readonly string[];
  /** What is to be mended. */
  readonly errors: readonly string[];
}
