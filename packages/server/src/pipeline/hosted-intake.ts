// Stage: what hosted forges tell and show → changes. What was acknowledged is a row until it is done, and each forge is
// asked how things are now: the order of what it told, and what of it was lost, do not matter.
import type { Database, Delivery } from '../database/database.ts';
import { type Later, later as realLater } from '../lib/later.ts';
import { createForgeIntake, type ForgeIntake, type ForgeIntakeDeps } from './hosted/forge-intake.ts';
import {
  type HostedPayload,
  isHosted,
  isOfHost,
  readPayload,
  whatItHides,
} from './hosted/hosted-delivery.ts';
import type { HostedIntakeEvent } from './hosted/hosted-event.ts';
import type { HostedRepositoryStatus } from './hosted/hosted-statuses.ts';

export type { HostedTaken } from './hosted/hosted-taken.ts';

export interface HostedIntakeDeps
  extends Pick<
    ForgeIntakeDeps,
    | 'database'
    | 'baselines'
    | 'clock'
    | 'act'
    | 'approval'
    | 'groupApproval'
    | 'visibility'
    | 'onRightsChanged'
    | 'onTaken'
    | 'onEvent'
  > {
  readonly forges: readonly ForgeIntakeDeps['forge'][];
  /** @default setTimeout */
  readonly later?: Later;
  /** At least 0 and less than 1. @default Math.random */
  readonly random?: () => number;
  /** @default 10 minutes */
  readonly sweepEveryMs?: number;
  /** Deliveries that are kept in mind; what is more waits in the database alone. @default 20000 */
  readonly mostInMind?: number;
}

export interface HostedIntakeCounts {
  /** Deliveries that are in mind and not done. */
  readonly deliveries: number;
  /** What is not done yet, whoever asked for it. */
  readonly works: number;
  readonly sweeps: number;
  /** True: there are more, in the database alone. */
  readonly isBehind: boolean;
}

export interface HostedIntake {
  /**
   * Hears of what was acknowledged and is not done what has to be known before anything is shown, however much waits.
   * Before start(). @throws DatabaseError
   */
  hear(): Promise<void>;
  /** False: somebody may be shown what a forge has told to be private. */
  hasHeard(): boolean;
  /** Takes up what was acknowledged and not done, and begins to ask the forges for everything. @throws DatabaseError */
  start(): Promise<void>;
  /** Of a stored delivery that is not done. Before start() it is only heard of. */
  take(delivery: Delivery): void;
  /** Somebody let a change go: what waits for that too is looked at again. What that misses, a sweep finds. */
  approved(): void;
  /** What is served, as it was seen; by forge. Names private repositories too. */
  repositories(): readonly HostedRepositoryStatus[];
  /** `owner/repo` as it is called now, of a name in any case that it has or had; null where nobody has. */
  nameNow(host: string, repository: string): string | null;
  /** A sentence for each forge that cannot be asked at all, and for what of one is not served. */
  warnings(): readonly string[];
  counts(): HostedIntakeCounts;
  /** Begins nothing more; resolves when nothing runs. What is not done is taken up by the next start. Idempotent. */
  stop(): Promise<void>;
}

const sweepEveryMs = 10 * 60_000;
const mostInMind = 20_000;
const pageSize = 500;
/** Of what is only looked through. */
const heardPageSize = 5000;
const readAgainMs = 5000;

type HopelessRow = Extract<HostedIntakeEvent, { kind: 'not-served' | 'unreadable' }>;

class StoredHostedIntake implements HostedIntake {
  readonly #database: Pick<Database, 'deliveries'>;
  readonly #clock: () => number;
  readonly #later: Later;
  readonly #tell: (event: HostedIntakeEvent) => void;
  readonly #mostInMind: number;
  readonly #forges = new Map<string, ForgeIntake>();
  #phase: 'new' | 'started' | 'stopped' = 'new';
  #isBehind = false;
  #hasHeard = false;
  #reading: Promise<void> | null = null;
  #endPause: (() => void) | null = null;

  constructor(deps: HostedIntakeDeps) {
    const { forges, later = realLater, random = Math.random } = deps;
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#later = later;
    this.#mostInMind = deps.mostInMind ?? mostInMind;
    this.#tell = (event) => {
      deps.onEvent(event);
      if (event.kind === 'processed') this.#catchUp();
    };
    for (const forge of forges) {
      const onEvent = this.#tell;
      const every = deps.sweepEveryMs ?? sweepEveryMs;
      const intake = createForgeIntake({ ...deps, forge, later, random, sweepEveryMs: every, onEvent });
      this.#forges.set(forge.host, intake);
    }
  }

  async hear(): Promise<void> {
    const heard = new Set<string>();
    let last: Delivery | undefined;
    do {
      const page = await this.#database.deliveries.unfinished(heardPageSize, last?.key);
      for (const row of page.filter(isHosted)) {
        const hides = whatItHides(row);
        if (hides === null || heard.has(hides)) continue;
        heard.add(hides);
        this.#hearRow(row);
      }
      last = page.at(-1);
    } while (last !== undefined && this.#isNew());
    this.#hasHeard = true;
  }

  hasHeard(): boolean {
    return this.#hasHeard;
  }

  async start(): Promise<void> {
    if (!this.#isNew()) return;
    // What is told meanwhile is a row, and read with the others.
    for (const intake of this.#forges.values()) await intake.load();
    if (!this.#isNew()) return;
    this.#phase = 'started';
    await this.#readRows();
    for (const intake of this.#forges.values()) intake.start();
  }

  take(delivery: Delivery): void {
    if (this.#phase === 'new') this.#hearRow(delivery);
    if (this.#phase !== 'started') return;
    if (this.#hasRoom()) {
      const why = this.#takeRow(delivery);
      if (why !== null) this.#tell(why);
    } else {
      this.#isBehind = true;
      this.#hearRow(delivery);
    }
  }

  approved(): void {
    if (this.#phase !== 'started') return;
    for (const intake of this.#forges.values()) intake.approved();
  }

  repositories(): readonly HostedRepositoryStatus[] {
    return [...this.#forges.values()].flatMap((intake) => intake.statuses.all());
  }

  nameNow(host: string, repository: string): string | null {
    return this.#forges.get(host)?.names.find(repository) ?? null;
  }

  warnings(): readonly string[] {
    return [...this.#forges.values()].flatMap((intake) => intake.warnings());
  }

  counts(): HostedIntakeCounts {
    const counts = [...this.#forges.values()].map((intake) => intake.counts());
    return {
      deliveries: counts.reduce((sum, { deliveries }) => sum + deliveries, 0),
      works: counts.reduce((sum, { works }) => sum + works, 0),
      sweeps: counts.filter(({ isSweeping }) => isSweeping).length,
      isBehind: this.#isBehind,
    };
  }

  async stop(): Promise<void> {
    this.#phase = 'stopped';
    this.#endPause?.();
    await Promise.all([...this.#forges.values()].map((intake) => intake.stop()));
    await this.#reading;
  }

  #isNew(): boolean {
    return this.#phase === 'new';
  }

  #hasRoom(): boolean {
    return this.counts().deliveries < this.#mostInMind;
  }

  /** Half of them are done: there is room for more of what waits. */
  #catchUp(): void {
    const isTime = this.#isBehind && this.counts().deliveries <= this.#mostInMind / 2;
    if (!isTime || this.#reading !== null || this.#endPause !== null || this.#phase !== 'started') return;
    this.#reading = this.#readRows()
      .catch((error: unknown) => {
        this.#isBehind = true;
        this.#tell({ kind: 'database-fault', error });
        this.#endPause = this.#later(readAgainMs, () => {
          this.#endPause = null;
          this.#catchUp();
        });
      })
      .finally(() => {
        this.#reading = null;
        // What was done while it was read has asked in vain.
        this.#catchUp();
      });
  }

  /** Oldest first, as many as there is room for. */
  async #readRows(): Promise<void> {
    // Whoever finds no room from now on comes after what is read, or is found by it.
    this.#isBehind = false;
    let last: Delivery | undefined;
    do {
      const page = await this.#database.deliveries.unfinished(pageSize, last?.key);
      if (this.#phase !== 'started') return;
      if (!(await this.#takePage(page.filter(isHosted)))) return;
      last = page.at(-1);
    } while (last !== undefined);
  }

  /** Those that nobody will ever do are ended, together, and told. @returns false where there was no room for all */
  async #takePage(rows: readonly Delivery[]): Promise<boolean> {
    let hadRoom = true;
    const hopeless: HopelessRow[] = [];
    for (const row of rows) {
      if (!this.#hasRoom()) {
        this.#isBehind = true;
        hadRoom = false;
        break;
      }
      const why = this.#takeRow(row);
      if (why !== null) hopeless.push(why);
    }
    const keys = hopeless.map(({ key }) => key);
    if (keys.length > 0) await this.#database.deliveries.finish(keys, this.#clock());
    for (const why of hopeless) this.#tell(why);
    return hadRoom;
  }

  /** Why nobody will ever do it; null where somebody does. */
  #takeRow(row: Delivery): HopelessRow | null {
    const host = [...this.#forges.keys()].find((one) => isOfHost(row, one));
    const intake = host === undefined ? undefined : this.#forges.get(host);
    if (intake === undefined) return { kind: 'not-served', key: row.key };
    if (intake.isTaken(row.key)) return null;
    let payload: HostedPayload;
    try {
      payload = readPayload(row);
    } catch (error) {
      return { kind: 'unreadable', key: row.key, error };
    }
    intake.take(row, payload);
    return null;
  }

  /** Of one that is read again when there is room: whoever may see less now does so at once. */
  #hearRow(row: Delivery): void {
    const host = [...this.#forges.keys()].find((one) => isOfHost(row, one));
    try {
      if (host !== undefined) this.#forges.get(host)?.hear(readPayload(row));
    } catch {
      // Told when it is read again.
    }
  }
}

export const createHostedIntake = (deps: HostedIntakeDeps): HostedIntake => new StoredHostedIntake(deps);
