// The trees of one judgement: what each locks is fetched once, whatever of it is evaluated.
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import type { EvaluationRequest } from '@eka-ci/nix/evaluator/evaluator';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { baseTreeOf, type CheckedOut } from '../checkout.ts';
import type { Prefetch } from './prefetch.ts';
import type { InputReader } from './private-inputs.ts';

export interface PrefetchSidesDeps {
  /** Without it nothing is fetched. */
  readonly prefetch?: Prefetch;
  readonly onEvent: (event: ReviewEvent) => void;
}

export interface SidesToPrefetch {
  readonly checkout: Pick<CheckedOut, 'mirror' | 'base' | 'judgedTree'>;
  readonly sandbox: EvaluationRequest['sandbox'];
  /** Of its evaluation. */
  readonly hasNetwork: boolean;
  /** @default nobody: nothing is fetched with credentials */
  readonly inputReader?: InputReader;
  /** The forge says that the head is on a branch: nobody else's word is needed for what it locks. */
  readonly isOnBranch: boolean;
  /** Of the judgement: what is fetched is kept as long as it is there. */
  readonly folder: string;
}

/** @returns what `Prefetch.prefetch` returns, and throws what that throws */
export const prefetchSides = (
  { prefetch, onEvent }: PrefetchSidesDeps,
  { checkout, sandbox, hasNetwork, folder, inputReader: reader, isOnBranch }: SidesToPrefetch,
): ((side: 'base' | 'judged', signal: AbortSignal) => Promise<readonly string[]>) => {
  const vouchedBy = isOnBranch ? checkout.judgedTree : baseTreeOf(checkout);
  const reading = reader === undefined ? {} : { reading: { reader, vouchedBy } };
  // Only what has ended: who waited for another would end with its signal.
  const ended = new Map<TreeSha, readonly string[]>();
  return async (side, signal) => {
    const tree = side === 'base' ? baseTreeOf(checkout) : checkout.judgedTree;
    const known = ended.get(tree);
    if (known !== undefined || prefetch === undefined) return known ?? [];
    const onBegin = (count: number): void => {
      const inputs = count === 1 ? 'input' : 'inputs';
      const message = `fetching what is locked before the evaluation: ${count} ${inputs}`;
      onEvent({ type: 'notice', level: 'info', message });
    };
    const { mirror } = checkout;
    const rootsDir = join(folder, 'locked-roots');
    const request = { mirror, tree, rootsDir, sandbox, hasNetwork, ...reading, onBegin };
    const told = await prefetch.prefetch(request, signal);
    ended.set(tree, told);
    return told;
  };
};
