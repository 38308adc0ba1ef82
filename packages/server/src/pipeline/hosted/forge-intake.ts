// The intake of one hosted forge: what it told and what it shows → the changes here, each effect once.
import { randomUUID } from 'node:crypto';
import type { BackOff } from '@eka-ci/core/back-off';
import type {
  AppliedUpdate,
  BranchUpdate,
  ChangeListing,
  Database,
  Delivery,
} from '../../database/database.ts';
import type { BaselineRule } from '../../forge/forge.ts';
import { type HostedForge, type HostedListing, hostedName } from '../../forge/hosted-forge.ts';
import type { ApprovalPolicy } from '../approval/approval-policy.ts';
import type { Act, ActEvent } from './act.ts';
import { compareListing, type SeenUpdate } from './compare-listing.ts';
import { type HostedPayload, type Sight, sightKey, writePayload } from './hosted-delivery.ts';
import type { HostedIntakeEvent, ProcessedOutcome } from './hosted-event.ts';
import { mayPass, restAfter } from './hosted-fault.ts';
import { createHostedStatuses, type HostedStatuses } from './hosted-statuses.ts';
import type { HostedTaken } from './hosted-taken.ts';
import { describeWork, type Ended, type HostedWork, lookWork, workOf } from './hosted-work.ts';
import { createLanes, type LaneEnd, type Lanes, type LaneWork, type Later } from './lanes.ts';
import { lookAt, nameOfSight, readKnown } from './look.ts';
import { type HostedKind, hostedKinds, openHere, sightOf } from './open-here.ts';
import { createRepositoryNames, laneOf, type RepositoryNames } from './repository-names.ts';
import { createRetelling, type Retelling } from './retelling.ts';
import { createSweeps, type Sweeps } from './sweeps.ts';
import { findUnlisted } from './unlisted.ts';

export interface ForgeIntakeDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes' | 'deliveries' | 'repositories'>;
  /** Which branches are kept as baselines beside the default branch; the first that matches counts. */
  readonly baselines: readonly BaselineRule[];
  /** Carries out what somebody asks for. @default nothing is */
  readonly act?: Act;
  /** Whether a change must wait until somebody lets it go. @default none must */
  readonly approval?: ApprovalPolicy;
  /** The same of the changes that a merge queue tests. @default none must */
  readonly groupApproval?: ApprovalPolicy;
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
  /** Somebody let a change go: groups that wait, perhaps for that, are looked at again. */
  approved(): void;
  /** What is kept of names. Before anything is taken. @throws DatabaseError */
  load(): Promise<void>;
  start(): void;
  readonly names: Pick<RepositoryNames, 'find'>;
  counts(): { readonly deliveries: number; readonly works: number; readonly isSweeping: boolean };
  readonly statuses: Pick<HostedStatuses, 'all'>;
  /** Sentences for operators. */
  warnings(): readonly string[];
  stop(): Promise<void>;
}

const backOff: BackOff = { firstMs: 5000, longestMs: 10 * 60_000 };
/** Each holds a request to the forge. */
const lanesAtOnce = 8;
const leastBetweenSweepsMs = 5000;
const groupsAgainMs = 15_000;
/** In one transaction, after which others may use the database. */
const updatesAtOnce = 500;

function* chunksOf<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

/** Nobody is left who would judge it. */
const endOf = (kind: HostedKind, { repository, number, branch }: ChangeListing): BranchUpdate => {
  switch (kind) {
    case 'offered':
      return { kind: 'offer-closed', repository, number };
    case 'baseline':
      return { kind: 'base-gone', repository, branch };
    case 'group':
      return { kind: 'group-gone', repository, branch };
  }
};

type Work = LaneWork<HostedWork, Asked>;

class HostedForgeIntake implements ForgeIntake {
  readonly #deps: ForgeIntakeDeps;
  readonly #lanes: Lanes<HostedWork, Asked>;
  readonly #sweeps: Sweeps;
  readonly statuses: HostedStatuses;
  readonly names: RepositoryNames;
  readonly #ending = new AbortController();
  /** Which groups wait: one reading after the other. */
  #looking: Promise<void> = Promise.resolve();
  readonly #soon = new Set<() => void>();
  readonly #retelling: Retelling;

  constructor(deps: ForgeIntakeDeps) {
    this.#deps = deps;
    this.statuses = createHostedStatuses(deps.forge);
    const { later, random } = deps;
    this.names = createRepositoryNames({ ...deps, host: deps.forge.host });
    this.#retelling = createRetelling(deps);
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

  warnings(): readonly string[] {
    return [...this.statuses.warnings(), ...this.#deps.forge.leftOut()];
  }

  load(): Promise<void> {
    return this.names.load();
  }

  start(): void {
    this.#sweeps.start();
  }

  approved(): void {
    if (this.#deps.groupApproval === undefined) return;
    this.#looking = this.#looking
      .then(() => this.#lookAtWaitingGroups())
      .catch((error: unknown) => this.#tell({ kind: 'database-fault', error }));
  }

  async #lookAtWaitingGroups(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    for (const [name, group] of await openHere(this.#deps, 'group')) {
      if (group.state !== 'awaiting-approval') continue;
      this.#lanes.add(lookWork(await this.#sightOf(name, group)));
    }
  }

  async #sightOf(name: string, change: ChangeListing): Promise<Sight> {
    const sight = await sightOf(this.#deps, name, change);
    const { repository } = sight;
    return { ...sight, repository: { ...repository, id: repository.id || this.names.idOf(name) } };
  }

  counts() {
    const lanes = this.#lanes;
    return { deliveries: lanes.asked(), works: lanes.waiting(), isSweeping: this.#sweeps.isSweeping() };
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('the server ends'));
    for (const end of this.#soon) end();
    await Promise.all([this.#sweeps.stop(), this.#lanes.stop()]);
    await this.#looking;
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
      case 'look': {
        const { sight } = work.work;
        return this.#look(work, { ...sight, repository: this.names.now(sight.repository) });
      }
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
        return this.#rename(work, work.work);
      case 'again': {
        const isQueued = await this.#judgeAgain(work.work);
        await this.#finish(work);
        return isQueued ? 'applied' : 'unchanged';
      }
      case 'act': {
        const { event } = work.work;
        const outcome = await this.#act({ ...event, repository: this.names.now(event.repository) });
        await this.#finish(work);
        if (outcome === 'applied') this.approved();
        return outcome;
      }
      case 'nothing':
        await this.#finish(work);
        return 'not-acted-on';
    }
  }

  async #rename(
    work: Work,
    { repository, oldName }: Extract<HostedWork, { kind: 'renamed' }>,
  ): Promise<ProcessedOutcome> {
    const moved = await this.names.told(repository, oldName);
    await this.#finish(work);
    if (moved !== null) this.#tellRenamed(repository.name, moved);
    // It may have another name by now, or one under which it is not served.
    this.#sweeps.request();
    return moved === null ? 'unchanged' : 'applied';
  }

  #tellRenamed(repository: string, oldName: string): void {
    this.#tell({ kind: 'renamed', host: this.#deps.forge.host, repository, oldName });
  }

  async #act(event: ActEvent): Promise<ProcessedOutcome> {
    const { forge, database, act, onTaken } = this.#deps;
    if (act === undefined) return 'not-acted-on';
    return act(event, {
      forge,
      signal: this.#ending.signal,
      taken: onTaken,
      lookAt: async (repository, number) => {
        const sight: Sight = { kind: 'seen-change', repository, number };
        const update = await lookAt(this.#deps, sight, this.#ending.signal);
        if (update !== null) await this.#applySeen([{ update, sight }]);
        return database.changes.findByNumber(hostedName(forge.host, repository.name), number);
      },
    });
  }

  /** Twice is as once: what is queued or being judged stays so. @returns whether anything is judged again */
  async #judgeAgain(asked: Extract<HostedWork, { kind: 'again' }>): Promise<boolean> {
    const { forge, database, clock } = this.#deps;
    const repository = hostedName(forge.host, this.names.now(asked.repository).name);
    const states = ['judged', 'failed'] as const;
    const kinds = ['offered', 'group'] as const;
    const { changes } = await database.changes.list({ repository, kinds, states, limit: 1000 });
    const wanted = changes.filter(
      ({ id, head }) => head === asked.headSha && (asked.changeId === null || asked.changeId === id),
    );
    for (const { id } of wanted) {
      const which = { drvs: [], failuresOf: id, askedOf: id, atMs: clock() };
      const cleared = await database.changes.clearFailures(which);
      const queued = cleared.changes.filter(({ state }) => state === 'queued');
      if (queued.length > 0) this.#deps.onTaken({ repository, queued, awaiting: [], ended: [] });
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
    const isChanged = await this.#apply(work, { update, sight });
    const isNew = sight.kind === 'seen-group' && sight.told !== null && update.kind === 'group-made';
    if (isNew && update.awaitsApproval) this.#lookSoon();
    return isChanged ? 'applied' : 'unchanged';
  }

  /** A queue says that it has made a group before it says of what: nobody is to wait a sweep's time for that. */
  #lookSoon(): void {
    const end = this.#deps.later(groupsAgainMs, () => {
      this.#soon.delete(end);
      this.approved();
    });
    this.#soon.add(end);
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
    const awaiting = applied.flatMap((one) => (one.awaiting === null ? [] : [one.awaiting]));
    const ended = applied.flatMap((one) => one.ended);
    const repository = updates[0]?.repository;
    if (repository === undefined || queued.length + awaiting.length + ended.length === 0) return false;
    this.#deps.onTaken({ repository, queued, awaiting, ended });
    return true;
  }

  /** Nobody is asked: there is nobody left who would answer. */
  async #end(ended: Ended): Promise<void> {
    const account = ended.kind === 'account' ? `${ended.account.toLowerCase()}/` : null;
    const gone = ended.kind === 'repositories' ? ended.repositories : [];
    const names = new Set(gone.map((one) => this.names.now(one).name));
    const isOver = (name: string): boolean =>
      account === null ? names.has(name) : name.toLowerCase().startsWith(account);
    await this.#endAll(isOver);
  }

  async #endAll(isOver: (name: string) => boolean): Promise<void> {
    const byName = new Map<string, SeenUpdate[]>();
    for (const kind of hostedKinds) {
      for (const [name, change] of await openHere(this.#deps, kind)) {
        if (!isOver(name)) continue;
        const sight = await this.#sightOf(name, change);
        const update = endOf(kind, change);
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
      const lane = laneOf(listing.repository);
      differences += (await this.#lanes.next(lane, () => this.#takeListing(listing, lookedAt))) ?? 0;
    }
    differences += await this.#lookAtUnlisted(listed, lookedAt);
    this.statuses.swept(listed);
    const tookMs = clock() - startedAtMs;
    this.#tell({ kind: 'swept', host: forge.host, repositories: listed.size, differences, tookMs });
    await this.#retelling.ask(startedAtMs, signal);
  }

  async #takeListing(listing: HostedListing, lookedAt: ReadonlySet<string>): Promise<number> {
    const { forge, database } = this.#deps;
    const moved = await this.names.seen(listing.repository);
    if (moved !== null) this.#tellRenamed(listing.repository.name, moved);
    const repository = hostedName(forge.host, listing.repository.name);
    const known = {
      offered: await readKnown(database, { repository, kind: 'offered', closedToo: false }),
      baselines: await readKnown(database, { repository, kind: 'baseline', closedToo: true }),
      groups: await readKnown(database, { repository, kind: 'group', closedToo: false }),
    };
    const seen = { lookedAt, signal: this.#ending.signal };
    const { updates, missing } = await compareListing(this.#deps, { listing, known }, seen);
    await this.#applySeen(updates);
    for (const sight of missing) this.#lanes.add(lookWork(sight));
    return updates.length + missing.length;
  }

  /** Repositories that are not listed any more: deleted, hidden, renamed, or out of our reach. */
  async #lookAtUnlisted(listed: ReadonlySet<string>, lookedAt: ReadonlySet<string>): Promise<number> {
    let found = 0;
    for await (const { name, lane, changes, isGone } of findUnlisted(
      { ...this.#deps, names: this.names },
      listed,
      this.#ending.signal,
    )) {
      if (isGone) await this.#lanes.next(lane, () => this.#endAll((one) => one === name));
      const sights = isGone ? [] : await Promise.all(changes.map((change) => this.#sightOf(name, change)));
      const wanted = sights.filter((sight) => !lookedAt.has(nameOfSight(sight)));
      for (const sight of wanted) this.#lanes.add(lookWork(sight));
      found += isGone ? changes.length : wanted.length;
    }
    return found;
  }
}

export const createForgeIntake = (deps: ForgeIntakeDeps): ForgeIntake => new HostedForgeIntake(deps);
