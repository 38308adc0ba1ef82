// Removes what is older than it is kept: at the start and then every hour, one sweep at a time. What one part of a
// sweep cannot do is told and tried again by the next; no part keeps the others from their work.
import type { Database } from '../../database/database.ts';
import { removeAbandonedFolders } from '../../lib/work-folder.ts';
import { outputRootsName } from '../builds/output-roots.ts';
import { rootsName } from '../kept-jobsets.ts';
import { mirrorName } from '../repository-mirror.ts';
import { type FoundFolder, findFolders, removeFolders } from './old-folders.ts';
import { chooseOldLogs, findLogs, type LogTree, removeLogs } from './old-logs.ts';
import { isClockAhead, type SweepMemory, sweepTime } from './retention-clock.ts';

const dayMs = 24 * 60 * 60_000;
const hourMs = 60 * 60_000;

/** Longer than any forge repeats a delivery: a repeat of one that is forgotten would count as new. */
const deliveryMaxAgeMs = 30 * dayMs;
/** Of changes that were superseded or closed, and of what forges show of changes; as long as logs are kept by default. */
const changeMaxAgeMs = 90 * dayMs;
/** A hook runs once for each build: longer than a build counts for it (longestAgoMs in hooks/builds-of-jobs.ts). */
const hookRunMaxAgeMs = 90 * dayMs;
/** Of what was learnt of a package: one that nobody built since is gone, or was renamed. */
const packageMaxAgeMs = 365 * dayMs;
/** Of the mirror of a repository that is not configured: it may be only that somebody is editing the configuration. */
const mirrorMaxAgeMs = 7 * dayMs;

/**
 * Of tokens that have expired, so that their owners see for a while what became of them; and of what was revoked, which
 * a clock that is set back makes count again.
 */
const expiredMaxAgeMs = 30 * dayMs;

/** What git writes in a bare mirror whenever it is fetched into. */
const mirrorMarks = ['FETCH_HEAD', 'packed-refs', 'refs', 'objects'];

export type RetentionPart = 'logs' | 'roots' | 'outputs' | 'mirrors' | 'work' | 'rows' | 'memory';

/** Since the server started. */
export interface RetentionTotals {
  logs: number;
  logBytes: number;
  /** Folders of roots: of jobsets, of outputs. */
  roots: number;
  outputRoots: number;
  mirrors: number;
  workFolders: number;
  changes: number;
  jobsets: number;
  deliveries: number;
  sweeps: number;
  faults: number;
}

export type RetentionEvent =
  | { readonly kind: 'swept'; readonly removed: Readonly<RetentionTotals> }
  | { readonly kind: 'fault'; readonly part: RetentionPart; readonly error: unknown }
  /** The machine's clock is far ahead of what is known: a day's worth goes with each sweep until it is caught up. */
  | { readonly kind: 'clock-ahead'; readonly wallMs: number; readonly sweepMs: number };

export interface RetentionDeps {
  readonly database: Pick<
    Database,
    | 'changes'
    | 'jobsets'
    | 'deliveries'
    | 'gates'
    | 'packages'
    | 'users'
    | 'merges'
    | 'maintainers'
    | 'approvals'
    | 'hookRuns'
    | 'checkRuns'
    | 'pushes'
  >;
  /** Absolute. */
  readonly folders: {
    readonly logs: string;
    readonly roots: string;
    readonly outputRoots: string;
    readonly mirrors: string;
    /** Where work folders are made. */
    readonly temporary: string;
    /** Where checks have theirs. */
    readonly checks: string;
  };
  readonly logMaxAgeMs: number;
  readonly rootMaxAgeMs: number;
  /** Logs that are written now, as attempts name them. */
  readonly liveLogs: () => ReadonlySet<string>;
  /** Whether the running judgement needs that folder of a jobset's roots. */
  readonly isRootInUse: (name: string) => boolean;
  /** Ids of those that are configured. */
  readonly caches: readonly string[];
  /** Of the repositories that are configured. */
  readonly repositories: { readonly names: ReadonlySet<string>; readonly mirrors: ReadonlySet<string> };
  readonly memory: SweepMemory;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Milliseconds, by a clock that nobody sets. @default performance.now */
  readonly monotonic?: () => number;
  readonly onEvent: (event: RetentionEvent) => void;
  /** @default an hour, give or take a tenth */
  readonly intervalMs?: number;
}

export interface Retention {
  totals(): Readonly<RetentionTotals>;
  /** Resolves when the sweep that is under way, or else a new one, has ended. Never rejects. */
  sweep(): Promise<void>;
  /** Resolves when nothing is swept any more. Idempotent. */
  stop(): Promise<void>;
}

const noTotals = (): RetentionTotals => ({
  logs: 0,
  logBytes: 0,
  roots: 0,
  outputRoots: 0,
  mirrors: 0,
  workFolders: 0,
  changes: 0,
  jobsets: 0,
  deliveries: 0,
  sweeps: 0,
  faults: 0,
});

interface Found {
  readonly logs: LogTree;
  readonly roots: readonly FoundFolder[];
  readonly outputRoots: readonly FoundFolder[];
  readonly mirrors: readonly FoundFolder[];
}

const newestOf = ({ logs, roots, outputRoots, mirrors }: Found): number | null => {
  const all = [...logs.logs, ...roots, ...outputRoots, ...mirrors];
  return all.reduce<number | null>((newest, one) => Math.max(newest ?? 0, one.modifiedMs), null);
};

/** One sweep: what is known when it starts. */
interface Sweep {
  readonly nowMs: number;
  readonly found: Found;
  readonly removed: RetentionTotals;
  readonly signal: AbortSignal;
}

const sweepLogs = async (deps: RetentionDeps, { nowMs, found, removed, signal }: Sweep): Promise<void> => {
  const age = { nowMs, maxAgeMs: deps.logMaxAgeMs, live: deps.liveLogs() };
  await removeLogs(found.logs.folder, chooseOldLogs(found.logs, age), (sizeBytes) => {
    removed.logs += 1;
    removed.logBytes += sizeBytes;
    signal.throwIfAborted();
  });
};

const sweepRoots = async (deps: RetentionDeps, { nowMs, found, removed, signal }: Sweep): Promise<void> => {
  const mayGo = ({ name, modifiedMs }: FoundFolder): boolean =>
    !signal.aborted && nowMs - modifiedMs > deps.rootMaxAgeMs && !deps.isRootInUse(name);
  removed.roots += await removeFolders(deps.folders.roots, found.roots, mayGo);
};

const sweepOutputs = async (deps: RetentionDeps, { nowMs, found, removed, signal }: Sweep): Promise<void> => {
  const mayGo = ({ modifiedMs }: FoundFolder): boolean =>
    !signal.aborted && nowMs - modifiedMs > deps.rootMaxAgeMs;
  removed.outputRoots += await removeFolders(deps.folders.outputRoots, found.outputRoots, mayGo);
};

/** True where somebody waits for a repository whose mirror may be any of those that are not configured. */
const areOthersWanted = async ({ database, repositories }: RetentionDeps): Promise<boolean> => {
  const { changes, nextCursor } = await database.changes.list({
    kinds: ['branch', 'offered', 'group', 'baseline', 'submitted'],
    states: ['queued', 'judging'],
    limit: 1000,
  });
  return nextCursor !== null || changes.some(({ repository }) => !repositories.names.has(repository));
};

const sweepMirrors = async (deps: RetentionDeps, { nowMs, found, removed, signal }: Sweep): Promise<void> => {
  const others = found.mirrors.filter(
    ({ name, modifiedMs }) => !deps.repositories.mirrors.has(name) && nowMs - modifiedMs > mirrorMaxAgeMs,
  );
  if (others.length === 0 || (await areOthersWanted(deps))) return;
  removed.mirrors += await removeFolders(deps.folders.mirrors, others, () => !signal.aborted);
};

const sweepRows = async ({ database, rootMaxAgeMs, caches }: RetentionDeps, sweep: Sweep): Promise<void> => {
  const { nowMs, removed } = sweep;
  // A jobset whose roots are gone is of no use: nobody may rely on its derivations.
  removed.jobsets += await database.jobsets.forget(nowMs - rootMaxAgeMs);
  removed.deliveries += await database.deliveries.forget(nowMs - deliveryMaxAgeMs);
  removed.changes += await database.changes.forget(nowMs - changeMaxAgeMs);
  await database.gates.forget(nowMs - changeMaxAgeMs);
  await database.approvals.forgetRuns(nowMs - changeMaxAgeMs);
  await database.merges.forget(nowMs - changeMaxAgeMs);
  // What was pushed is looked for in its cache again after as long as outputs are kept here: where that lost it, they may go again.
  await database.pushes.forget(nowMs - rootMaxAgeMs, caches);
  await database.hookRuns.forget(nowMs - hookRunMaxAgeMs);
  await database.checkRuns.forget(nowMs - changeMaxAgeMs);
  await database.maintainers.forgetPackages();
  await database.packages.forget(nowMs - packageMaxAgeMs);
  await database.users.forget(nowMs - expiredMaxAgeMs);
};

const sweepWork = async ({ folders }: RetentionDeps, { nowMs, removed }: Sweep): Promise<void> => {
  removed.workFolders += await removeAbandonedFolders(folders.temporary, 'ekaci-', nowMs);
  removed.workFolders += await removeAbandonedFolders(folders.checks, 'check-', nowMs);
};

const parts = {
  logs: sweepLogs,
  roots: sweepRoots,
  outputs: sweepOutputs,
  mirrors: sweepMirrors,
  work: sweepWork,
  rows: sweepRows,
} as const;

class Sweeper implements Retention {
  readonly #deps: RetentionDeps;
  readonly #totals = noTotals();
  readonly #ending = new AbortController();
  /** Of this process. */
  #last: { readonly sweepMs: number; readonly at: number } | null = null;
  #sweeping: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  totals(): Readonly<RetentionTotals> {
    return this.#totals;
  }

  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce().finally(() => {
      this.#sweeping = null;
    });
    return this.#sweeping;
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /** Sweeps now, and again for ever. */
  start(): void {
    const again = (): void => {
      if (this.#ending.signal.aborted) return;
      // Several servers of one machine should not all sweep in the same second.
      const wait = this.#deps.intervalMs ?? hourMs * (0.9 + Math.random() / 5);
      this.#timer = setTimeout(() => this.start(), wait);
    };
    this.sweep().then(again, again);
  }

  async #sweepOnce(): Promise<void> {
    const removed = noTotals();
    const found = await this.#find();
    const sweep: Sweep = {
      nowMs: await this.#timeOfSweep(found),
      found,
      removed,
      signal: this.#ending.signal,
    };
    for (const part of ['logs', 'roots', 'outputs', 'mirrors', 'work', 'rows'] as const) {
      if (!this.#ending.signal.aborted) await this.#try(part, () => parts[part](this.#deps, sweep));
    }
    this.#totals.sweeps += 1;
    for (const key of ['logs', 'logBytes', 'roots', 'outputRoots', 'mirrors', 'workFolders'] as const) {
      this.#totals[key] += removed[key];
    }
    for (const key of ['changes', 'jobsets', 'deliveries'] as const) this.#totals[key] += removed[key];
    this.#deps.onEvent({ kind: 'swept', removed });
  }

  async #find(): Promise<Found> {
    const { folders } = this.#deps;
    const noLogs: LogTree = { folder: folders.logs, logs: [], emptyFolders: [] };
    return {
      logs: (await this.#try('logs', () => findLogs(folders.logs))) ?? noLogs,
      roots: (await this.#try('roots', () => findFolders(folders.roots, rootsName))) ?? [],
      outputRoots:
        (await this.#try('outputs', () => findFolders(folders.outputRoots, outputRootsName))) ?? [],
      mirrors:
        (await this.#try('mirrors', () => findFolders(folders.mirrors, mirrorName, mirrorMarks))) ?? [],
    };
  }

  /** Null where it could not be done, which is told. */
  async #try<Value>(part: RetentionPart, work: () => Promise<Value>): Promise<Value | null> {
    try {
      return await work();
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#fault(part, error);
      return null;
    }
  }

  #fault(part: RetentionPart, error: unknown): void {
    this.#totals.faults += 1;
    this.#deps.onEvent({ kind: 'fault', part, error });
  }

  async #timeOfSweep(found: Found): Promise<number> {
    const { memory, clock, monotonic = () => performance.now(), onEvent } = this.#deps;
    const at = monotonic();
    const wallMs = clock();
    const elapsedMs = this.#last === null ? 0 : at - this.#last.at;
    const lastMs = this.#last?.sweepMs ?? (await memory.read());
    const sweepMs = sweepTime(lastMs, newestOf(found), { wallMs, elapsedMs });
    this.#last = { sweepMs, at };
    // Before anything is removed: a server that dies over it must not gain another day each time it starts. A disk that is
    // full keeps it from being remembered, and must not keep it from being emptied.
    await this.#try('memory', () => memory.write(sweepMs));
    if (isClockAhead(sweepMs, wallMs)) onEvent({ kind: 'clock-ahead', wallMs, sweepMs });
    return sweepMs;
  }
}

/** Sweeps at once, in the background. */
export const startRetention = (deps: RetentionDeps): Retention => {
  const sweeper = new Sweeper(deps);
  sweeper.start();
  return sweeper;
};
