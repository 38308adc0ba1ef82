// Who was started by whom, as /proc says it.
import { readdirSync, readFileSync } from 'node:fs';

const startedBy = (pid: number, task: string): number[] => {
  try {
    const text = readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1');
    return (text.match(/\d+/g) ?? []).map(Number);
  } catch {
    return []; // It has gone, or is none of our business.
  }
};

/** In the order of the tree. A process that appears while this is read may be missing; none where there is no /proc. */
export const childrenOf = (pid: number): number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) => startedBy(pid, task));
  } catch {
    return [];
  }
};

/** At most `most`, for a fork bomb is no reason to hang. */
export const processesBelow = (root: number, most: number): number[] => {
  const found: number[] = [];
  const next = childrenOf(root);
  for (let pid = next.pop(); pid !== undefined && found.length < most; pid = next.pop()) {
    found.push(pid);
    next.push(...childrenOf(pid));
  }
  return found;
};
