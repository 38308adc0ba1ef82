// The frame of what is done with a cache: its time, its signal, what is thrown on the way, and credentials that are refused.
import { StoreQueryError } from '@eka-ci/nix/store-queries';
import { StartError } from '@eka-ci/process';
import { CacheError, type PushFault, type PushOutcome } from './cache.ts';
import { faultOf, passing, refused } from './push-fault.ts';

export interface PushFrame {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The credentials are refused. */
  readonly forget: () => void;
}

interface Ending extends Omit<PushFrame, 'signal'> {
  readonly late: AbortSignal;
}

/** @throws what is neither a fault of a cache nor of what is needed to ask it */
export const settleFault = (error: unknown, { late, forget, timeoutMs }: Ending): PushFault => {
  if (late.aborted) return passing(`it was not done within ${timeoutMs / 1000} s`);
  if (error instanceof StartError) return refused('unsupported', error.message);
  if (error instanceof StoreQueryError) return passing(error.message);
  const fault = faultOf(error);
  if (fault.kind === 'refused' && fault.code === 'unauthorized') forget();
  return fault;
};

/** @throws the signal's reason when that aborts, whatever `work` does then; else what is no fault of a cache */
export const settlePush = async (
  work: (signal: AbortSignal) => Promise<PushOutcome>,
  { timeoutMs, signal, forget }: PushFrame,
): Promise<PushOutcome> => {
  signal.throwIfAborted();
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const outcome = await work(AbortSignal.any([signal, late]));
    signal.throwIfAborted();
    if (outcome.kind !== 'pushed') throw new CacheError(outcome);
    return outcome;
  } catch (error) {
    signal.throwIfAborted();
    return settleFault(error, { late, forget, timeoutMs });
  }
};
