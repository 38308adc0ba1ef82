// Faults of a connection that a server which comes back mends by itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from '../client/client-error.ts';

const passingCodes: readonly string[] = [
  'SERVER_NOT_RUNNING',
  'SERVER_UNREACHABLE',
  'SERVER_TOO_SLOW',
  'ANSWER_CUT_SHORT',
  'LIVE_CONNECTION_LOST',
];
/** What a server says that starts, ends, or has too much to do. */
const passingRefusals = /^(?:SERVER_NOT_READY|LIVE_CONNECTIONS_EXCEEDED|RATE_LIMITED): /;

export const isPassing = (error: unknown): boolean => {
  if (!(error instanceof ClientError)) return false;
  return error.code === 'SERVER_REFUSED'
    ? passingRefusals.test(error.message)
    : passingCodes.includes(error.code);
};

const firstWaitMs = 200;
const longestWaitMs = 5000;

/**
 * Waits longer each time: a server that starts is not to be kept from it. Ends with the signal.
 * @param failures in a row, from 1
 */
export const backOff = async (failures: number, signal?: AbortSignal): Promise<void> => {
  const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures - 1, 10));
  try {
    await sleep(waitMs, undefined, { ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
};
