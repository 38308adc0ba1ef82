// Finds processes by a variable of their environment: what a child started, also where it left the child's group and
// session. What clears its environment is not found so (proc(5): the environment is as it was when its program began).
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessMark {
  readonly name: string;
  /** Of this value, or of any that begins with it. */
  readonly value: string;
  /** @default exactly the value */
  readonly match?: 'exact' | 'prefix';
}

const readOr = (path: string): Promise<string | null> => readFile(path, 'latin1').catch(() => null);

/** One that has ended and was not reaped has nothing to be ended: its environment reads as empty. */
const isMarked = async (pid: number, { name, value, match = 'exact' }: ProcessMark): Promise<boolean> => {
  const environment = await readOr(`/proc/${pid}/environ`);
  if (environment === null) return false;
  const start = `${name}=${value}`;
  return environment
    .split('\0')
    .some((variable) => (match === 'exact' ? variable === start : variable.startsWith(start)));
};

/** Of those that this user may look at; without ourselves. Empty where the system has no /proc. */
export const findMarked = async (mark: ProcessMark): Promise<readonly number[]> => {
  const names = await readdir('/proc').catch(() => []);
  const found: number[] = [];
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
    if (await isMarked(pid, mark)) found.push(pid);
  }
  return found;
};

/** @returns how many were sent it */
export const signalMarked = async (mark: ProcessMark, signal: NodeJS.Signals): Promise<number> => {
  let sent = 0;
  for (const pid of await findMarked(mark)) {
    try {
      process.kill(pid, signal);
      sent += 1;
    } catch {
      // ESRCH: it has gone meanwhile. EPERM: it has become another user's.
    }
  }
  return sent;
};

const mostRounds = 100;

/**
 * Kills them until none is left: one that forks while it is looked for is found in the next round.
 * @returns how many signals that took; what is another user's, or forks faster than it is looked for, stays
 */
export const killMarked = async (mark: ProcessMark): Promise<number> => {
  let killed = 0;
  for (let round = 0; round < mostRounds; round++) {
    const sent = await signalMarked(mark, 'SIGKILL');
    if (sent === 0) return killed;
    killed += sent;
    await sleep(Math.min(50, 5 * (round + 1)));
  }
  return killed;
};
