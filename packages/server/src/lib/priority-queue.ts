// What comes first is taken first: a binary heap. Equal ones come out in the order they went in.

interface Entry<Item> {
  readonly item: Item;
  readonly arrival: number;
}

export class PriorityQueue<Item> {
  readonly #comesBefore: (a: Item, b: Item) => number;
  readonly #heap: Entry<Item>[] = [];
  #arrivals = 0;

  /** @param compare negative where `a` is taken before `b`, as for Array.sort */
  constructor(compare: (a: Item, b: Item) => number) {
    this.#comesBefore = compare;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(item: Item): void {
    const heap = this.#heap;
    const entry = { item, arrival: this.#arrivals++ };
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || this.#order(parent, entry) <= 0) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  /** What would be taken next; undefined when it is empty. */
  peek(): Item | undefined {
    return this.#heap[0]?.item;
  }

  /** Undefined when it is empty. */
  take(): Item | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (this.#heap.length > 0) this.#sink(last);
    return first.item;
  }

  #order(a: Entry<Item>, b: Entry<Item>): number {
    return this.#comesBefore(a.item, b.item) || a.arrival - b.arrival;
  }

  #sink(entry: Entry<Item>): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      const goesRight = left !== undefined && right !== undefined && this.#order(right, left) < 0;
      const child = goesRight ? right : left;
      if (child === undefined || this.#order(entry, child) <= 0) break;
      heap[at] = child;
      at = 2 * at + (goesRight ? 2 : 1);
    }
    heap[at] = entry;
  }
}
