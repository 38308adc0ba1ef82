// Memory that walks over the graph share, so that one walk costs what it visits and not the size of the graph.
import type { NodeId } from '../drv-node.ts';
import { growUint32 } from './growable.ts';

const LAST_EPOCH = 0xfffffff0;

export class Scratch {
  /** A node is marked in the present walk if its stamp is `epoch` or `epoch + 1`. */
  stamps = new Uint32Array(0);
  /** Nodes in the order met; its contents are rubbish at the start of a walk. */
  queue = new Uint32Array(0);
  epoch = 0;

  /** Forgets all marks. */
  begin(nodeCount: number): void {
    this.stamps = growUint32(this.stamps, nodeCount);
    this.epoch += 2;
    if (this.epoch < LAST_EPOCH) return;
    this.stamps.fill(0);
    this.epoch = 2;
  }

  /** For walks that keep a queue: each node enters it once at most. */
  beginQueue(nodeCount: number): void {
    this.begin(nodeCount);
    if (this.queue.length < nodeCount) this.queue = new Uint32Array(this.stamps.length);
  }

  /** True the first time in a walk. */
  mark(id: NodeId): boolean {
    if (this.stamps[id] === this.epoch) return false;
    this.stamps[id] = this.epoch;
    return true;
  }
}
