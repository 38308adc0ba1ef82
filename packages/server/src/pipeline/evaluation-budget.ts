// What evaluations say is kept until their change is judged, and several changes are judged at once: all of them together
// have a part of the memory that the process may have. Whoever evaluates has what it is expected to say put aside before it
// begins. One that says more takes more while there is some, and is evaluated again with the most put aside where there is
// none: so nobody who holds some ever waits for more, and no change fails because of what others say.
import { getHeapStatistics } from 'node:v8';
import type { Side } from './evaluate-sides.ts';
import type { EvaluationNeed } from './evaluation-line.ts';
import {
  type CountedRoom,
  CrowdedError,
  createEvaluationRoom,
  type EvaluationRoom,
} from './evaluation-room.ts';

export type RoomsOfSides = Readonly<Record<Side, EvaluationRoom>>;

/** Of one judgement. */
export interface ChangeRoom {
  /**
   * To be had with its turn: what both sides are expected to say, the most that they may say where that was too little
   * before. What this judgement held before is given back by that.
   */
  need(onWait: (reason: string) => void): EvaluationNeed;
  /**
   * For both sides: each has its own, so that neither can fail the other. To be asked for while it evaluates. Taking throws
   * CrowdedError where more is said than was expected and others hold the rest; not with the most put aside.
   */
  rooms(): RoomsOfSides;
  /**
   * It has evaluated: what it did not take is given back. Idempotent.
   * @param whole the side that has said all that it has to say, and whose size the next changes of the repository may be
   *   expected to have: the base, or a tree that will be one; null: none has
   */
  settle(whole: Side | null): void;
  /** What it holds is given back. Idempotent. */
  release(): void;
}

export interface EvaluationBudget {
  /**
   * Holds nothing yet. To be released, however the judgement ends.
   * @param repository what its bases said is expected of them again; null: nobody knows
   */
  open(repository: string | null): ChangeRoom;
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

/** Of the budget, put aside for a change of which nobody knows more: sets of ten thousand attributes are within it. */
const unknownPart = 1 / 32;
/** By so much a change and its base may be more than the base was the last time. */
const margin = 1.25;

/** Of what was known of a repository, where a tree that becomes a base of it says less. */
const kept = 0.75;

const mibOf = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);

/** Counts what happens: who came before whom. */
type Moment = number;

interface Lacking {
  readonly bytes: number;
  /** When it began to wait. */
  readonly since: Moment;
}

interface Held {
  readonly bytes: number;
  /** When it was first given some; when it began to wait for it, where that was its turn. */
  readonly since: Moment;
  /** Those whose turn it was before, and who lacked theirs then. */
  readonly ahead: readonly EvaluationNeed[];
}

interface Asked extends Pick<EvaluationNeed, 'onWait'> {
  readonly bytes: () => number;
  /** It has them. */
  readonly begin: (held: Held) => void;
}

class Budget implements EvaluationBudget {
  readonly #most: number;
  readonly #watchers = new Set<() => void>();
  readonly #held = new Map<ChangeRoom, Held>();
  readonly #lacking = new Map<EvaluationNeed, Lacking>();
  /** What a base of a repository said, in bytes. */
  readonly #known = new Map<string, number>();
  #now: Moment = 0;

  constructor(bytes: number) {
    this.#most = bytes;
  }

  counts() {
    return { held: this.#sum(), most: this.#most };
  }

  open(repository: string | null): ChangeRoom {
    const side = this.#most * partOfSide;
    const allowed = {
      bytes: side,
      because:
        '15 % of the memory that the server may have: a larger --max-old-space-size of its Node gives it more',
    };
    const taken = (): number => rooms.base.taken() + rooms.judged.taken();
    let wasCrowded = false;
    const onTake = (bytes: number): void => {
      if (this.#grow(room, taken() + bytes)) return;
      wasCrowded = true;
      throw new CrowdedError();
    };
    const emptyRooms = (): Record<Side, CountedRoom> => ({
      base: createEvaluationRoom(allowed, onTake),
      judged: createEvaluationRoom(allowed, onTake),
    });
    let rooms = emptyRooms();
    const room: ChangeRoom = {
      need: (onWait) => {
        room.release();
        return this.#need({
          onWait,
          // When its turn comes: others of its repository may have told more by then.
          bytes: () => Math.min(2 * side, wasCrowded ? Infinity : this.#expectedOf(repository)),
          begin: (held) => {
            rooms = emptyRooms();
            this.#held.set(room, held);
          },
        });
      },
      rooms: () => rooms,
      settle: (whole) => {
        if (!this.#held.has(room)) return;
        if (repository !== null && whole !== null)
          this.#learn(repository, { whole, bytes: rooms[whole].taken() });
        this.#shrink(room, taken());
      },
      release: () => this.#shrink(room, 0),
    };
    return room;
  }

  #expectedOf(repository: string | null): number {
    const known = repository === null ? undefined : this.#known.get(repository);
    return Math.max((known ?? 0) * 2 * margin, this.#most * unknownPart);
  }

  /**
   * Of a change's base only that there is more: which jobs of it are evaluated is for the change to say. What becomes a base
   * may be a small branch beside large ones: so it is less step by step.
   */
  #learn(repository: string, { whole, bytes }: { readonly whole: Side; readonly bytes: number }): void {
    const before = this.#known.get(repository) ?? 0;
    this.#known.set(repository, Math.max(bytes, whole === 'base' ? before : before * kept));
  }

  #need({ bytes: ask, begin, onWait }: Asked): EvaluationNeed {
    const need: EvaluationNeed = {
      take: (ahead) => {
        const bytes = ask();
        const why = this.#whyNot(bytes, ahead);
        const since = this.#lacking.get(need)?.since ?? ++this.#now;
        if (why !== null) {
          this.#lacking.set(need, { bytes, since });
          return why;
        }
        this.#lacking.delete(need);
        const passed = ahead.filter((one) => this.#lacking.has(one));
        // Whoever goes past somebody came after them, though it may have waited for longer.
        begin({ bytes, since: passed.length === 0 ? since : ++this.#now, ahead: passed });
        return null;
      },
      watch: (onChange) => {
        const unwatch = this.#watch(onChange);
        return () => {
          unwatch();
          // What was kept for it others may have.
          if (this.#lacking.delete(need)) this.#tell();
        };
      },
      onWait,
    };
    return need;
  }

  #watch(onChange: () => void): () => void {
    // Its own for each who watches, though they may all be told by one function.
    const watcher = (): void => onChange();
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #tell(): void {
    for (const onChange of [...this.#watchers]) onChange();
  }

  #sum(since: Moment = 0): number {
    let sum = 0;
    for (const held of this.#held.values()) if (held.since >= since) sum += held.bytes;
    return sum;
  }

  /**
   * Whoever waits has what it waits for as soon as all have ended who came before it and hold some: those behind it in the
   * line, and those that came later, leave it that much, together. So small ones go past a large one, and no stream of
   * them keeps it waiting for ever.
   */
  #leavesRoomFor(ahead: readonly EvaluationNeed[], more: number): boolean {
    return ahead.every((one) => {
      const claim = this.#lacking.get(one);
      return claim === undefined || this.#sum(claim.since) + more + claim.bytes <= this.#most;
    });
  }

  #whyNot(bytes: number, ahead: readonly EvaluationNeed[]): string | null {
    const held = this.#sum();
    const others = this.#held.size === 1 ? 'another change' : `${this.#held.size} other changes`;
    const isFull = held + bytes > this.#most;
    if (!isFull && this.#leavesRoomFor(ahead, bytes)) return null;
    const rest = isFull ? '' : ', the rest is kept for a change whose turn is before';
    return (
      `what ${others} said of their packages is kept until they are judged, ${mibOf(held)} of ${mibOf(this.#most)} MiB${rest}, ` +
      `and this one may need ${mibOf(bytes)} MiB; it goes on when enough of them are judged. A larger --max-old-space-size ` +
      "of the server's Node (NODE_OPTIONS) lets more be judged at once"
    );
  }

  /** @returns false where there is not so much, or it is kept for others */
  #grow(room: ChangeRoom, bytes: number): boolean {
    const held = this.#held.get(room);
    if (held === undefined) return false;
    const more = bytes - held.bytes;
    if (more <= 0) return true;
    if (this.#sum() + more > this.#most || !this.#leavesRoomFor(held.ahead, more)) return false;
    this.#held.set(room, { ...held, bytes });
    return true;
  }

  #shrink(room: ChangeRoom, bytes: number): void {
    const held = this.#held.get(room);
    if (held === undefined || held.bytes === bytes) return;
    if (bytes === 0) this.#held.delete(room);
    else this.#held.set(room, { ...held, bytes });
    this.#tell();
  }
}

/** Of all changes of the process. @param bytes for tests */
export const createEvaluationBudget = (bytes = lastingBytes() * part): EvaluationBudget => new Budget(bytes);
