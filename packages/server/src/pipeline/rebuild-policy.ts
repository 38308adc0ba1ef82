// How much a change may rebuild by itself, and what rebuilds nothing at all: the operator's word.
import type { ChangeListing } from '../database/database.ts';
import type { BuildLimit } from './pipeline.ts';

export interface RebuildPolicy {
  /** A branch or an offered change that takes more builds waits for approval. */
  readonly maxBuilds: number;
  /** The same of what is submitted; null: however many, for who submitted it may have it built. */
  readonly maxSubmittedBuilds: number | null;
  /** Globs: a diff that touches nothing else is not evaluated. */
  readonly skipPaths: readonly string[];
}

/** Null: however many. */
export const buildLimitOf = (
  { kind, approved, repository, number }: ChangeListing,
  { maxBuilds, maxSubmittedBuilds }: RebuildPolicy,
): BuildLimit | null => {
  if (approved) return null;
  switch (kind) {
    case 'branch':
    case 'offered':
      return {
        builds: maxBuilds,
        howToApprove: `"ekaci approve ${repository} ${number}" builds it as it is now; a newer head waits again`,
      };
    case 'submitted':
      return maxSubmittedBuilds === null
        ? null
        : { builds: maxSubmittedBuilds, howToApprove: 'a larger --max-rebuilds, or none, builds it' };
    case 'baseline':
      // It is in the base already: there is nothing left to decide.
      return null;
    case 'group':
      // Whoever put it into the queue may write to the base, and has decided: nobody would look at it there.
      return null;
  }
};
