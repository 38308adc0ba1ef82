// A change that takes more builds than one may start by itself: nothing of it is built until somebody says so.
import { formatCount, formatNumberOf } from './change-summary/headline.ts';

export interface WideChange {
  /** Derivations left to build over all jobs: neither valid nor to be fetched. */
  readonly builds: number;
  /** How many a change may start by itself. */
  readonly limit: number;
}

/** Null where it may be built. @param limit null: however many */
export const findWide = (builds: number, limit: number | null): WideChange | null =>
  limit !== null && builds > limit ? { builds, limit } : null;

/** One sentence; our own words and numbers. */
export const describeWide = ({ builds, limit }: WideChange): string =>
  `it takes ${formatNumberOf(builds, 'build')}, where a change may start ${formatCount(limit)} by itself`;
