// Which attributes a worker gets next. Guided self-scheduling: large batches first, since every process reads the
// job's root again; small ones last, so that all workers end together.
import type { WorkItem } from './expression.ts';

/** Bounds what is lost and repeated when a process dies, and the length of its expression. */
const maxBatch = 1000;

/** A process should work for at least this many times as long as it takes to start. */
const workPerStart = 2;

export interface WorkQueue {
  readonly size: number;
  /** To the back, in this order. */
  append(items: readonly WorkItem[]): void;
  /** To the front, in this order. */
  putBack(items: readonly WorkItem[]): void;
  /** The next batch; empty when there is nothing. An item that must be alone is the only one. */
  take(): WorkItem[];
  /** Tells what a process took: until its first attribute was settled, and for each of the others. */
  learn(cost: { readonly startMs: number; readonly itemMs: number }): void;
}

export const createWorkQueue = (workers: number): WorkQueue => {
  let front: WorkItem[] = [];
  let items: WorkItem[] = [];
  let next = 0;
  let worthStarting = 1;

  const size = (): number => front.length + items.length - next;
  const pull = (): WorkItem | undefined => {
    const item = front.shift();
    if (item !== undefined) return item;
    if (next >= items.length) return undefined;
    next += 1;
    return items[next - 1];
  };
  const peek = (): WorkItem | undefined => front[0] ?? items[next];

  const batchSize = (): number => {
    // What is left is not worth two starts.
    if (size() <= worthStarting) return Math.min(maxBatch, size());
    const fair = Math.ceil(size() / workers);
    const guided = Math.ceil(size() / (2 * workers));
    return Math.min(maxBatch, fair, Math.max(guided, worthStarting));
  };

  return {
    get size() {
      return size();
    },
    append: (more) => {
      items = next > 0 ? [...items.slice(next), ...more] : [...items, ...more];
      next = 0;
    },
    putBack: (more) => {
      front = [...more, ...front];
    },
    take: () => {
      const wanted = batchSize();
      const batch: WorkItem[] = [];
      for (let item = peek(); item !== undefined && batch.length < wanted; item = peek()) {
        if (item.alone && batch.length > 0) break;
        batch.push(item);
        pull();
        if (item.alone) break;
      }
      return batch;
    },
    learn: ({ startMs, itemMs }) => {
      worthStarting = Math.max(1, Math.ceil((workPerStart * startMs) / Math.max(itemMs, 0.01)));
    },
  };
};
