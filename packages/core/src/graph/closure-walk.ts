// Goes down from some derivations through what a table has of them, and gathers what it lacks.
import type { NodeId } from '../drv-node.ts';
import type { DrvPath } from '../ids.ts';
import { NodeSet } from '../node-set.ts';
import type { DrvNodeTable } from './drv-node-table.ts';

/** A complete node may need one that is not: so nothing is taken for whole that was not walked through. */
export class ClosureWalk {
  readonly #table: DrvNodeTable;
  readonly #reached: NodeSet;
  readonly #lacking = new Set<DrvPath>();
  /** Placeholders among what is lacking. */
  readonly #named: NodeSet;
  #count = 0;

  constructor(table: DrvNodeTable) {
    this.#table = table;
    this.#reached = new NodeSet(table.bound);
    this.#named = new NodeSet(table.bound);
  }

  /** Complete nodes that were met: the whole closure once nothing is lacking. */
  get reached(): NodeSet {
    return this.#reached;
  }

  /** How many those are. */
  get count(): number {
    return this.#count;
  }

  /** O(what is met for the first time, and its edges). */
  meet(path: DrvPath): void {
    const id = this.#table.find(path);
    if (id === undefined) this.#lacking.add(path);
    else this.#goDown(id);
  }

  /** What was met and is not there. Each is given once: whoever takes it adds it to the table and meets it again. */
  takeLacking(): DrvPath[] {
    const lacking = [...this.#lacking].filter((path) => {
      const id = this.#table.find(path);
      return id === undefined || !this.#table.isComplete(id);
    });
    this.#lacking.clear();
    return lacking;
  }

  #goDown(from: NodeId): void {
    const { start, cells } = this.#table.inputLinks;
    const open = [from];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (this.#reached.has(id)) continue;
      if (this.#table.isComplete(id)) {
        this.#reached.add(id);
        this.#count++;
        const head = start[id] ?? 0;
        const end = head + (cells[head] ?? 0);
        for (let at = head + 1; at <= end; at++) {
          const input = cells[at] ?? 0;
          if (!this.#reached.has(input)) open.push(input);
        }
      } else if (!this.#named.has(id)) {
        this.#named.add(id);
        this.#lacking.add(this.#table.pathOf(id));
      }
    }
  }
}
