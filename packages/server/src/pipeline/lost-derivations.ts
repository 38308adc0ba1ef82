// A derivation that is garbage-collected between its evaluation and its build: everything is evaluated anew, once.
import { access } from 'node:fs/promises';
import type { OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { errorCodeOf } from '../lib/error-code.ts';
import { DerivationLostError } from './builds/build.ts';
import type { KeptJobsets } from './kept-jobsets.ts';

const isGone = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    (error: unknown) => errorCodeOf(error) === 'ENOENT',
  );

/**
 * A builder that cannot read a derivation says so as of one that is broken: where its file is gone, nothing was said of
 * the package. @throws DerivationLostError
 */
export const refuseLost = async (
  plans: readonly RebuildPlan[],
  { judged }: Pick<OutcomeLookup, 'judged'>,
): Promise<void> => {
  const unread = new Set<string>();
  for (const root of plans.flatMap(({ rootsToBuild }) => rootsToBuild)) {
    const { cause, culprit } = judged(root);
    if (cause === 'invalid-derivation') unread.add(culprit?.drvPath ?? root);
  }
  for (const path of unread) if (await isGone(path)) throw new DerivationLostError(path);
};

/** Nothing that was kept is used, nor will it be by others: it leads to derivations that are not there. */
const forgetting = (kept: KeptJobsets): KeptJobsets => ({
  async find(question) {
    await kept.forget(question);
    return null;
  },
  prepareRoots: (question) => kept.prepareRoots(question),
  keep: (question, jobset) => kept.keep(question, jobset),
  forget: (question) => kept.forget(question),
});

interface EvaluatingDeps {
  readonly kept: KeptJobsets | null;
  /** Told why it is done once more, in words for people. */
  readonly onLost: (message: string) => void;
  readonly signal: AbortSignal;
}

const lostCodes: readonly string[] = ['DRV_LOST', 'DRV_FILE_MISSING'];

/**
 * Does `work`; where it loses a derivation, once more with nothing that was kept.
 * @throws what the last of the two throws
 */
export const onceMoreIfLost = async <Result>(
  { kept, onLost, signal }: EvaluatingDeps,
  work: (kept: KeptJobsets | null) => Promise<Result>,
): Promise<Result> => {
  try {
    return await work(kept);
  } catch (error) {
    if (signal.aborted || !lostCodes.includes(errorCodeOf(error))) throw error;
    const said = error instanceof Error ? error.message : String(error);
    onLost(`everything is evaluated anew, once, for a derivation was lost: ${said}`);
    return work(kept === null ? null : forgetting(kept));
  }
};
