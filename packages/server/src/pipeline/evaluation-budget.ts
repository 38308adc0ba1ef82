// What evaluations say is kept until their change is judged, and several changes are judged at once: all of them together
// have a part of the memory that the process may have. Whoever evaluates has the most that it could say put aside before
// it begins. So nobody who holds some ever waits for more, and no change fails because of what others say.
import { getHeapStatistics } from 'node:v8';
import type { Side } from './evaluate-sides.ts';
import type { EvaluationNeed } from './evaluation-line.ts';
import { type CountedRoom, createEvaluationRoom, type EvaluationRoom } from './evaluation-room.ts';

export type RoomsOfSides = Readonly<Record<Side, EvaluationRoom>>;

/** Of one judgement. */
export interface ChangeRoom {
  /** To be had with its turn: the most that both sides may say. What this judgement held before is given back by that. */
  need(onWait: (reason: string) => void): EvaluationNeed;
  /** For both sides: each has its own, so that neither can fail the other. To be asked for while it evaluates. */
  rooms(): RoomsOfSides;
  /** It has evaluated: what it did not take is given back. Idempotent. */
  settle(): void;
  /** What it holds is given back. Idempotent. */
  release(): void;
}

export interface EvaluationBudget {
  /** Holds nothing yet. To be released, however the judgement ends. */
  open(): ChangeRoom;
  /** Bytes: what is held, what is put aside for whoever evaluates among it, and what may be at most. */
  counts(): { readonly held: number; readonly most: number };
}

/**
 * Of the memory for objects that last. The other half is for what grows beside it: the queue of builds (2.9 kB each,
 * 200,000 of them are a seventh of the 4 GiB that Node takes by itself), the plans' sets, summaries, and what the
 * collector needs to move about in.
 */
const part = 1 / 2;
/**
 * For each side that evaluates. Of the 4 GiB of a large machine that is some 585 MiB: a real set of 100,000 attributes takes
 * 110 to 145 MB, and a job may have it for four systems.
 */
const partOfSide = 0.3;

/** V8 counts three areas of 64 MiB for young objects in (Node 24, unless it is told otherwise). */
const youngBytes = 192 * 1024 * 1024;

const lastingBytes = (): number => {
  const limit = getHeapStatistics().heap_size_limit;
  return Math.max(limit - youngBytes, limit / 2);
};

const mibOf = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);

class Budget implements EvaluationBudget {
  readonly #most: number;
  readonly #watchers = new Set<() => void>();
  /** Those who hold some, in bytes. */
  readonly #held = new Map<ChangeRoom, number>();

  constructor(bytes: number) {
    this.#most = bytes;
  }

  counts() {
    return { held: this.#sum(), most: this.#most };
  }

  open(): ChangeRoom {
    const side = this.#most * partOfSide;
    const allowed = {
      bytes: side,
      because:
        '15 % of the memory that the server may have: a larger --max-old-space-size of its Node gives it more',
    };
    const emptyRooms = (): Record<Side, CountedRoom> => ({
      base: createEvaluationRoom(allowed),
      judged: createEvaluationRoom(allowed),
    });
    let rooms = emptyRooms();
    const room: ChangeRoom = {
      need: (onWait) => {
        room.release();
        return {
          take: () => {
            const why = this.#whyNot(2 * side);
            if (why !== null) return why;
            rooms = emptyRooms();
            this.#hold(room, 2 * side);
            return null;
          },
          watch: (onChange) => this.#watch(onChange),
          onWait,
        };
      },
      rooms: () => rooms,
      settle: () => {
        if (this.#held.has(room)) this.#hold(room, rooms.base.taken() + rooms.judged.taken());
      },
      release: () => this.#hold(room, 0),
    };
    return room;
  }

  #watch(onChange: () => void): () => void {
    // Its own for each who watches, though they may all be told by one function.
    const watcher = (): void => onChange();
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #sum(): number {
    let sum = 0;
    for (const bytes of this.#held.values()) sum += bytes;
    return sum;
  }

  #whyNot(bytes: number): string | null {
    const held = this.#sum();
    if (held + bytes <= this.#most) return null;
    const others = this.#held.size === 1 ? 'another change' : `${this.#held.size} other changes`;
    return (
      `what ${others} said of their packages is kept until they are judged, ${mibOf(held)} of ${mibOf(this.#most)} MiB, ` +
      `and this one may need ${mibOf(bytes)} MiB; it goes on when one of them is judged. A larger --max-old-space-size ` +
      "of the server's Node (NODE_OPTIONS) lets more be judged at once"
    );
  }

  #hold(room: ChangeRoom, bytes: number): void {
    const before = this.#held.get(room) ?? 0;
    if (bytes === 0) this.#held.delete(room);
    else this.#held.set(room, bytes);
    if (bytes < before) for (const onChange of [...this.#watchers]) onChange();
  }
}

/** Of all changes of the process. @param bytes for tests */
export const createEvaluationBudget = (bytes = lastingBytes() * part): EvaluationBudget => new Budget(bytes);
