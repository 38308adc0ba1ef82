// Having failures of a change tried again: what is asked for, and what comes of it.
import type { ChangeListing, StoredChange } from '../database/database.ts';

/** `attrs`: these alone; at least one. */
export type RebuildWanted = { readonly failed: true } | { readonly attrs: readonly string[] };

export type RebuildAnswer =
  /** `cleared`: failures that are tried again; 0 where nothing of it fails. */
  | { readonly kind: 'done'; readonly cleared: number; readonly changes: readonly ChangeListing[] }
  /** What fails of it is known when it is judged. */
  | { readonly kind: 'not-judged' }
  /** No job of it has attributes of these names. */
  | { readonly kind: 'unknown'; readonly attrs: readonly string[] };

/** Idempotent until they are tried. @throws DatabaseError */
export type RebuildChange = (change: StoredChange, wanted: RebuildWanted) => Promise<RebuildAnswer>;
