// Which faults of a judgement may pass by themselves, or by an operator's hand, and when it is tried again.
import { errorCodeOf } from '../lib/error-code.ts';
import { isForgeFault, restAfter } from './hosted/hosted-fault.ts';

/**
 * Codes, and why another try can end better. What is not here is final: what the change itself says (a conflict, a
 * configuration that does not parse), what no waiting changes (a URL that is none; a derivation
 * that is lost although everything was evaluated anew), and bugs.
 */
const passing: ReadonlyMap<string, string> = new Map([
  ['GIT_FETCH_FAILED', 'the network or the remote is down'],
  ['GIT_TIMEOUT', 'the remote or the disk is slow'],
  ['GIT_AUTHENTICATION_FAILED', 'hosts refuse while they are overloaded, and tokens are renewed'],
  ['GIT_LOCKED', 'another git is at work there'],
  ['GIT_DISK_FULL', 'somebody makes room'],
  ['GIT_READ_ONLY', 'the disk is mounted again'],
  ['GIT_PERMISSION_DENIED', 'somebody gives the right'],
  ['GIT_NOT_A_REPOSITORY', 'it is moved, or its disk is not mounted yet'],
  ['GIT_OBJECT_MISSING', 'a local repository is repacked while it is read'],
  ['FORGE_BASE_MISSING', 'the base branch is pushed again'],
  ['GIT_NOT_INSTALLED', 'git is being replaced, or no process could be started'],
  ['GIT_FAILED', 'whatever it was, git did not say that it is for ever'],
  ['PROCESS_NOT_STARTED', 'the machine is out of processes or memory'],
  ['NIX_STORE_QUERY_FAILED', 'the store or its daemon is restarted'],
  ['NIX_ROOTS_NOT_KEPT', 'the store or its daemon is restarted'],
  ['DRV_FILE_UNREADABLE', 'the store is on a disk that fails'],
  ['BUILD_STATE_STALE', 'somebody else was faster, and is done by then'],
  ['ENOSPC', 'somebody makes room'],
  ['EDQUOT', 'somebody makes room'],
  ['EROFS', 'the disk is mounted again'],
  ['EIO', 'the disk is mounted again'],
  ['EAGAIN', 'the machine is out of processes or memory'],
  ['ENOMEM', 'the machine is out of processes or memory'],
  ['EMFILE', 'too many files are open now'],
  ['ENFILE', 'too many files are open now'],
]);

/** Codes of faults that are worth another try. */
export const passingCodes: readonly string[] = [...passing.keys()];

const firstWaitMs = 30_000;
const longestWaitMs = 15 * 60_000;
/** Tries in a row, the first included: an hour and a bit. */
const mostTries = 9;

const waitAfter = (faults: number): number => Math.min(longestWaitMs, firstWaitMs * 2 ** faults);

/**
 * How long to wait before a judgement is tried again: doubled each time, up to a bound.
 * @param code the fault's
 * @param faults how many such faults it had in a row before this one
 * @returns null where it is not tried again
 */
export const retryWaitMs = (code: string, faults: number): number | null => {
  if (!passing.has(code) || faults >= mostTries - 1) return null;
  return waitAfter(faults);
};

/**
 * As above, of whatever was thrown. A hosted forge says of its faults itself whether they may pass: it is waited for as
 * long as it is away, for nobody would ask again for a change that it told once.
 */
export const retryWaitOf = (error: unknown, faults: number, nowMs: number): number | null => {
  if (!isForgeFault(error)) return retryWaitMs(errorCodeOf(error), faults);
  return error.mayPass ? Math.max(waitAfter(faults), restAfter(error, nowMs)) : null;
};
