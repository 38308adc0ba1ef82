// What is counted of each builder of a pool.
import type { BuilderPool, BuilderSlots } from './builder-pool.ts';

export interface BuilderCounts {
  readonly name: string;
  readonly slots: BuilderSlots;
  /** It may be used now. */
  readonly isUp: boolean;
  /** Since the server was started, or its line changed; so are the bytes. */
  readonly outages: number;
  /** That are open now; 0 for the local one, to which nothing is counted. */
  readonly connections: number;
  /** Bytes of archives that went to it, and came from it. */
  readonly copied: { readonly to: number; readonly from: number };
}

export interface CountedBuilderPool extends BuilderPool {
  /** Of each of `builders()`, in their order. Cheap: it reads memory. */
  counts(): readonly BuilderCounts[];
}
