// Node ids by priority, the highest first; of equal ones the first that came.
import type { NodeId } from '../drv-node.ts';

interface Entry {
  readonly id: NodeId;
  readonly priority: number;
  readonly arrival: number;
}

const comesBefore = (a: Entry, b: Entry): boolean =>
  a.priority > b.priority || (a.priority === b.priority && a.arrival < b.arrival);

/** A binary heap. It does not look for what is in it already: a node that is pushed twice comes out twice. */
export class NodeHeap {
  readonly #entries: Entry[] = [];
  #arrivals = 0;

  push(id: NodeId, priority: number): void {
    const entries = this.#entries;
    const entry: Entry = { id, priority, arrival: this.#arrivals++ };
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = entries[above];
      if (parent === undefined || !comesBefore(entry, parent)) break;
      entries[at] = parent;
      at = above;
    }
    entries[at] = entry;
  }

  /** Undefined where it is empty. */
  peek(): NodeId | undefined {
    return this.#entries[0]?.id;
  }

  pop(): NodeId | undefined {
    const entries = this.#entries;
    const [top] = entries;
    const last = entries.pop();
    if (top === undefined || last === undefined) return undefined;
    if (entries.length > 0) this.#sink(last);
    return top.id;
  }

  #sink(entry: Entry): void {
    const entries = this.#entries;
    let at = 0;
    for (;;) {
      const [left, right] = [entries[2 * at + 1], entries[2 * at + 2]];
      const goesRight = left !== undefined && right !== undefined && comesBefore(right, left);
      const child = goesRight ? right : left;
      if (child === undefined || !comesBefore(child, entry)) break;
      entries[at] = child;
      at = 2 * at + (goesRight ? 2 : 1);
    }
    entries[at] = entry;
  }
}
