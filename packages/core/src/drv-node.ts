// One derivation as the graph takes it, and the number it gets there.
import type { DrvPath } from './ids.ts';

/** Dense, counted from 0, stable for the life of a graph. */
export type NodeId = number;

export interface DrvOutput {
  readonly name: string;
  /** '' where it is not known before the build (floating content-addressed). */
  readonly path: string;
}

export interface DrvInput {
  readonly path: DrvPath;
  /** Names of the outputs used. */
  readonly outputs: readonly string[];
}

/** What the graph keeps of one `.drv` file. */
export interface DrvNode {
  readonly path: DrvPath;
  readonly system: string;
  readonly fixedOutput: boolean;
  readonly preferLocalBuild: boolean;
  readonly allowSubstitutes: boolean;
  readonly requiredFeatures: readonly string[];
  readonly outputs: readonly DrvOutput[];
  readonly inputs: readonly DrvInput[];
}
