// What a cache of a trusted configuration is to a test, and what is needed to set one up.
import type { World } from './ekaci.ts';
import type { MadeSecrets } from './trusted-secrets.ts';

/** What a cache holds: file to its bytes; as Nix lays them out. */
export type Held = ReadonlyMap<string, Buffer>;

export interface PlacedCache {
  readonly id: string;
  readonly type: 'nix-copy' | 'cachix' | 'attic';
  readonly destination: string;
  /** As ekaci.toml has it. */
  readonly credentials: string;
  /** Of what it holds; null: nothing signs it. */
  readonly signedBy: string | null;
  /** Null: it is asked in another way. */
  readonly held: (() => Promise<Held>) | null;
}

export type Ending = () => Promise<unknown>;

export interface Building {
  readonly world: World;
  readonly folder: string;
  readonly secrets: MadeSecrets;
  /** What is to be ended, the last first. */
  readonly endings: Ending[];
}
