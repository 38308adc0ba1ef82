// The intake of one hosted forge: what it told and what it shows → the changes here, each effect once.
import { randomUUID } from 'node:crypto';
import type { BackOff } from '@eka-ci/core/back-off';
import type { AppliedUpdate, BranchUpdate, Database, Delivery } from '../../database/database.ts';
import type { BaselineRule } from '../../forge/forge.ts';
import { type HostedForge, type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { Taken } from '../intake.ts';
import { compareListing, type SeenUpdate } from './compare-listing.ts';
import { type HostedPayload, type Sight, sightKey, writePayload } from './hosted-delivery.ts';
import type { HostedIntakeEvent, ProcessedOutcome } from './hosted-event.ts';
import { mayPass, restAfter } from './hosted-fault.ts';
import { createHostedStatuses, type HostedStatuses } from './hosted-statuses.ts';
import { describeWork, type Ended, type HostedWork, lookWork, workOf } from './hosted-work.ts';
import { createLanes, type LaneEnd, type Lanes, type LaneWork, type Later } from './lanes.ts';
import { lookAt, nameOfSight, readKnown } from './look.ts';
import { openHere, sightOf } from './open-here.ts';
import { createSweeps, type Sweeps } from './sweeps.ts';

/** Of one repository. */
export interface HostedTaken extends Taken {
  /** Under which its changes are kept: `github.com/owner/repo`. */
  readonly repository: string;
}

export interface ForgeIntakeDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes' | 'deliveries'>;
  /** Which branches are kept as baselines beside the default branch; the first that matches counts. */
  readonly baselines: readonly BaselineRule[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly later: Later;
  readonly random: () => number;
  readonly sweepEveryMs: number;
  /** Told when changes wait to be judged, or need not be judged any more. Must not throw. */
  readonly onTaken: (taken: HostedTaken) => void;
  /** Must not throw. */
  readonly onEvent: (event: HostedIntakeEvent) => void;
}

/** Who asked for something. */
interface Asked {
  /** The kind of event. */
  readonly event: string;
  readonly receivedAtMs: number;
}

export interface ForgeIntake {
  /** Of a stored delivery. What is at work already is passed over. */
  take(delivery: Delivery, payload: HostedPayload): void;
  isTaken(key: string): boolean;
  start(): void;
  counts(): { readonly deliveries: number; readonly works: number; readonly isSweeping: boolean };
  readonly statuses: Pick<HostedStatuses, 'all' | 'warnings'>;
  stop(): Promise<void>;
}

const backOff: BackOff = { firstMs: 5000, longestMs: 10 * 60_000 };
/** Each holds a request to the forge. */
const lanesAtOnce = 8;
const leastBetweenSweepsMs = 5000;
/** In one transaction, after which others may use the database. */
const updatesAtOnce = 500;

function* chunksOf<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

type Work = LaneWork<HostedWork, Asked>;

class HostedForgeIntake implements ForgeIntake {
  readonly #deps: ForgeIntakeDeps;
  readonly #lanes: Lanes<HostedWork, Asked>;
  readonly #sweeps: Sweeps;
  readonly statuses: HostedStatuses;
  readonly #ending = new AbortController();

  constructor(deps: ForgeIntakeDeps) {
    this.#deps = deps;
    this.statuses = createHostedStatuses(deps.forge);
    const { later, random } = deps;
    this.#lanes = createLanes({
      carryOut: (work) => this.#carryOut(work),
      later,
      random,
      backOff,
      lanesAtOnce,
    });
    this.#sweeps = createSweeps({
      sweep: (lookedAt) => this.#sweep(lookedAt),
      onFault: (error, about) => {
        this.statuses.sweepFailed(error);
        this.#tell({ kind: 'sweep-failed', host: deps.forge.host, error, ...about });
      },
      restAfter: (error) => restAfter(error, deps.clock()),
      later,
      random,
      backOff,
      everyMs: deps.sweepEveryMs,
      leastMs: leastBetweenSweepsMs,
    });
  }

  take({ key, receivedAtMs }: Delivery, payload: HostedPayload): void {
    this.#lanes.add(workOf(payload), [key, { event: payload.kind, receivedAtMs }]);
  }

  isTaken(key: string): boolean {
    return this.#lanes.isAsked(key);
  }

  start(): void {
    this.#sweeps.start();
  }

  counts() {
    const lanes = this.#lanes;
    return { deliveries: lanes.asked(), works: lanes.waiting(), isSweeping: this.#sweeps.isSweeping() };
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('the server ends'));
    await Promise.all([this.#sweeps.stop(), this.#lanes.stop()]);
  }

  #tell(event: HostedIntakeEvent): void {
    this.#deps.onEvent(event);
  }

  async #carryOut(work: Work): Promise<LaneEnd> {
    try {
      const outcome = await this.#do(work);
      this.#note(work.work, null);
      this.#tellProcessed(work, outcome);
      return { kind: 'done' };
    } catch (error) {
      return this.#ending.signal.aborted ? { kind: 'again', restMs: 0 } : this.#fail(work, error);
    }
  }

  /** Of whatever could not be done. Done all the same where no other try would help. */
  async #fail(work: Work, error: unknown): Promise<LaneEnd> {
    const { forge, clock } = this.#deps;
    const what = describeWork(work.work);
    this.#note(work.work, error);
    if (mayPass(error)) {
      this.#tell({ kind: 'passing-fault', host: forge.host, what, error });
      return { kind: 'again', restMs: restAfter(error, clock()) };
    }
    this.#tell({ kind: 'given-up', host: forge.host, what, error, deliveries: work.asked.size });
    try {
      await this.#finish(work);
    } catch (fault) {
      this.#tell({ kind: 'database-fault', error: fault });
      return { kind: 'again', restMs: 0 };
    }
    this.#tellProcessed(work, 'given-up');
    return { kind: 'done' };
  }

  #note(work: HostedWork, error: unknown): void {
    if (work.kind === 'look') this.statuses.asked(work.sight.repository, error);
  }

  #tellProcessed({ asked }: Work, outcome: ProcessedOutcome): void {
    const { forge, clock } = this.#deps;
    for (const [key, { event, receivedAtMs }] of asked) {
      const tookMs = Math.max(0, clock() - receivedAtMs);
      this.#tell({ kind: 'processed', host: forge.host, event, outcome, tookMs, key });
    }
  }

  async #finish({ asked }: Work): Promise<void> {
    const { database, clock } = this.#deps;
    for (const keys of chunksOf([...asked.keys()], updatesAtOnce)) {
      await database.deliveries.finish(keys, clock());
    }
  }

  async #do(work: Work): Promise<ProcessedOutcome> {
    switch (work.work.kind) {
      case 'look':
        return this.#look(work, work.work.sight);
      case 'end':
        await this.#end(work.work.ended);
        await this.#finish(work);
        // Another app may serve the same, and what was added comes with what was removed.
        this.#sweeps.request();
        return 'applied';
      case 'sweep':
        this.#sweeps.request();
        await this.#finish(work);
        return 'applied';
      case 'renamed':
        await this.#finish(work);
        this.#tell({ ...work.work, host: this.#deps.forge.host });
        return 'noted';
      case 'again': {
        const isQueued = await this.#judgeAgain(work.work);
        await this.#finish(work);
        return isQueued ? 'applied' : 'unchanged';
      }
      case 'nothing':
        await this.#finish(work);
        return 'not-acted-on';
    }
  }

  /** Twice is as once: what is queued or being judged stays so. @returns whether anything is judged again */
  async #judgeAgain(asked: Extract<HostedWork, { kind: 'again' }>): Promise<boolean> {
    const { forge, database, clock } = this.#deps;
    const repository = hostedName(forge.host, asked.repository);
    const states = ['judged', 'failed'] as const;
    const { changes } = await database.changes.list({ repository, kinds: ['offered'], states, limit: 1000 });
    const wanted = changes.filter(
      ({ id, head }) => head === asked.headSha && (asked.changeId === null || asked.changeId === id),
    );
    for (const { id } of wanted) {
      const which = { drvs: [], failuresOf: id, askedOf: id, atMs: clock() };
      const cleared = await database.changes.clearFailures(which);
      const queued = cleared.changes.filter(({ state }) => state === 'queued');
      if (queued.length > 0) this.#deps.onTaken({ repository, queued, ended: [] });
    }
    return wanted.length > 0;
  }

  async #look(work: Work, sight: Sight): Promise<ProcessedOutcome> {
    const update = await lookAt(this.#deps, sight, this.#ending.signal);
    this.#sweeps.lookedAt(nameOfSight(sight));
    if (update === null) {
      await this.#finish(work);
      return 'not-acted-on';
    }
    return (await this.#apply(work, { update, sight })) ? 'applied' : 'unchanged';
  }

  /** @returns whether anything came of it */
  async #apply(work: Work, seen: SeenUpdate): Promise<boolean> {
    const { database, clock } = this.#deps;
    const [deliveryKey] = work.asked.keys();
    if (work.asked.size === 1 && deliveryKey !== undefined) {
      const applied = await database.changes.apply([{ deliveryKey, update: seen.update }], clock());
      return this.#tellTaken([seen.update], applied);
    }
    // Under none of their keys: one of a delivery that is done by now would have no effect, for all of them. Where the
    // end is not reached they ask again, and find nothing new.
    const isChanged = await this.#applySeen([seen]);
    await this.#finish(work);
    return isChanged;
  }

  /** What nobody told gets rows of its own. @returns whether anything came of it */
  async #applySeen(seen: readonly SeenUpdate[]): Promise<boolean> {
    const { forge, database, clock } = this.#deps;
    let isChanged = false;
    for (const some of chunksOf(seen, updatesAtOnce)) {
      const rows = some.map(({ update, sight }) => ({
        key: sightKey(forge.host, randomUUID()),
        update,
        sight,
      }));
      await database.deliveries.receive(
        rows.map(({ key, sight }) => ({ key, payload: writePayload(sight), receivedAtMs: clock() })),
      );
      const updates = rows.map(({ key, update }) => ({ deliveryKey: key, update }));
      const applied = await database.changes.apply(updates, clock());
      isChanged =
        this.#tellTaken(
          some.map(({ update }) => update),
          applied,
        ) || isChanged;
    }
    return isChanged;
  }

  /** All of one repository. */
  #tellTaken(updates: readonly BranchUpdate[], applied: readonly AppliedUpdate[]): boolean {
    const queued = applied.flatMap((one) => (one.queued === null ? [] : [one.queued]));
    const ended = applied.flatMap((one) => one.ended);
    const repository = updates[0]?.repository;
    if (repository === undefined || queued.length + ended.length === 0) return false;
    this.#deps.onTaken({ repository, queued, ended });
    return true;
  }

  /** Nobody is asked: there is nobody left who would answer. */
  async #end(ended: Ended): Promise<void> {
    const account = ended.kind === 'account' ? `${ended.account.toLowerCase()}/` : null;
    const names = new Set(ended.kind === 'repositories' ? ended.names : []);
    const isOver = (name: string): boolean =>
      account === null ? names.has(name) : name.toLowerCase().startsWith(account);
    const byName = new Map<string, SeenUpdate[]>();
    for (const kind of ['offered', 'baseline'] as const) {
      for (const [name, change] of await openHere(this.#deps, kind)) {
        if (!isOver(name)) continue;
        const { repository, number, branch } = change;
        const sight = await sightOf(this.#deps, name, change);
        const update: BranchUpdate =
          kind === 'offered'
            ? { kind: 'offer-closed', repository, number }
            : { kind: 'base-gone', repository, branch };
        const seen = byName.get(name) ?? [];
        seen.push({ update, sight });
        byName.set(name, seen);
      }
    }
    for (const seen of byName.values()) await this.#applySeen(seen);
  }

  async #sweep(lookedAt: ReadonlySet<string>): Promise<void> {
    const { forge, clock } = this.#deps;
    const { signal } = this.#ending;
    const startedAtMs = clock();
    const listed = new Set<string>();
    let differences = 0;
    for await (const listing of forge.listings(signal)) {
      signal.throwIfAborted();
      const { name } = listing.repository;
      this.statuses.listed(listing.repository, clock());
      listed.add(name);
      // In the repository's turn: nothing else of it changes meanwhile.
      differences += (await this.#lanes.next(name, () => this.#takeListing(listing, lookedAt))) ?? 0;
    }
    differences += await this.#lookAtUnlisted(listed, lookedAt);
    this.statuses.swept(listed);
    const tookMs = clock() - startedAtMs;
    this.#tell({ kind: 'swept', host: forge.host, repositories: listed.size, differences, tookMs });
  }

  async #takeListing(listing: HostedListing, lookedAt: ReadonlySet<string>): Promise<number> {
    const { forge, database } = this.#deps;
    const repository = hostedName(forge.host, listing.repository.name);
    const known = {
      offered: await readKnown(database, { repository, kind: 'offered', closedToo: false }),
      baselines: await readKnown(database, { repository, kind: 'baseline', closedToo: true }),
    };
    const { updates, missing } = compareListing(this.#deps, { listing, known }, lookedAt);
    await this.#applySeen(updates);
    for (const sight of missing) this.#lanes.add(lookWork(sight));
    return updates.length + missing.length;
  }

  /** A repository that is not listed any more: deleted, renamed, or out of our reach. */
  async #lookAtUnlisted(listed: ReadonlySet<string>, lookedAt: ReadonlySet<string>): Promise<number> {
    let found = 0;
    for (const kind of ['offered', 'baseline'] as const) {
      for (const [name, change] of await openHere(this.#deps, kind)) {
        if (listed.has(name)) continue;
        const sight = await sightOf(this.#deps, name, change);
        if (lookedAt.has(nameOfSight(sight))) continue;
        this.#lanes.add(lookWork(sight));
        found += 1;
      }
    }
    return found;
  }
}

export const createForgeIntake = (deps: ForgeIntakeDeps): ForgeIntake => new HostedForgeIntake(deps);
