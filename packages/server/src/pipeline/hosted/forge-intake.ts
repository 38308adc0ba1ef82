// The intake of one hosted forge: what it told and what it shows → the changes here, each effect once.

import type { BackOff } from '@eka-ci/core/back-off';
import type { ChangeListing, Database, Delivery } from '../../database/database.ts';
import type { BaselineRule } from '../../forge/forge.ts';
import { type HostedForge, hostedName } from '../../forge/hosted-forge.ts';
import type { Later } from '../../lib/later.ts';
import type { ApprovalPolicy } from '../approval/approval-policy.ts';
import type { ForgottenRights } from '../people/rights-memory.ts';
import type { Visibility } from '../privacy/visibility.ts';
import type { Act, ActEvent } from './act.ts';
import { rightsChangedBy } from './changed-rights.ts';
import type { SeenUpdate } from './compare-listing.ts';
import { type HostedPayload, isSight, type Sight } from './hosted-delivery.ts';
import type { HostedIntakeEvent, ProcessedOutcome } from './hosted-event.ts';
import { mayPass, restAfter } from './hosted-fault.ts';
import { createHostedStatuses, type HostedStatuses } from './hosted-statuses.ts';
import type { HostedTaken } from './hosted-taken.ts';
import { describeWork, type Ended, type HostedWork, type PlacedWork, workOf } from './hosted-work.ts';
import { judgeAgain } from './judge-again.ts';
import { createLanes, type LaneEnd, type Lanes, type LaneWork } from './lanes.ts';
import { lookAt, nameOfSight } from './look.ts';
import { createNaming, type Naming } from './naming.ts';
import { createOpenChanges, type OpenChanges } from './open-changes.ts';
import { createRepositoryNames, type RepositoryNames } from './repository-names.ts';
import { createRetelling, type Retelling } from './retelling.ts';
import { chunksOf, createSeenUpdates, type SeenUpdates, updatesAtOnce } from './seen-updates.ts';
import { sweepForge } from './sweep-forge.ts';
import { createSweeps, type Sweeps } from './sweeps.ts';
import { createWaitingGroups, type WaitingGroups } from './waiting-groups.ts';

export interface ForgeIntakeDeps {
  readonly forge: HostedForge;
  readonly database: Pick<Database, 'changes' | 'deliveries' | 'repositories' | 'checkRuns'>;
  /** Which branches are kept as baselines beside the default branch; the first that matches counts. */
  readonly baselines: readonly BaselineRule[];
  /** Carries out what somebody asks for. @default nothing is */
  readonly act?: Act;
  /** Whether a change must wait until somebody lets it go. @default none must */
  readonly approval?: ApprovalPolicy;
  /** The same of the changes that a merge queue tests. @default none must */
  readonly groupApproval?: ApprovalPolicy;
  /** Told which repositories are private. @default nobody wants to know */
  readonly visibility?: Pick<Visibility, 'mark' | 'told' | 'write' | 'seen' | 'named'>;
  /** Somebody's rights may have changed, in one repository or in all of an account. @default nobody wants to know */
  readonly onRightsChanged?: (whose: ForgottenRights) => void;
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
  /** Of what is taken later: what has to be known at once. Idempotent. */
  hear(payload: HostedPayload): void;
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
type Work = LaneWork<HostedWork, Asked>;

class HostedForgeIntake implements ForgeIntake {
  readonly #deps: ForgeIntakeDeps;
  readonly #lanes: Lanes<HostedWork, Asked>;
  readonly #sweeps: Sweeps;
  readonly statuses: HostedStatuses;
  readonly names: RepositoryNames;
  readonly #naming: Naming;
  readonly #ending = new AbortController();
  readonly #retelling: Retelling;
  readonly #updates: SeenUpdates;
  readonly #open: OpenChanges;
  readonly #groups: WaitingGroups;

  constructor(deps: ForgeIntakeDeps) {
    this.#deps = deps;
    this.statuses = createHostedStatuses(deps.forge);
    const { later, random } = deps;
    this.names = createRepositoryNames({ ...deps, host: deps.forge.host });
    const { host } = deps.forge;
    this.#naming = createNaming({
      ...deps,
      ...{ names: this.names, signal: this.#ending.signal },
      onRenamed: (repository, oldName) => this.#tell({ kind: 'renamed', host, repository, oldName }),
      onSetAside: ({ repositoryId, from }) =>
        this.#tell({ kind: 'set-aside', host, repositoryId, name: from }),
    });
    this.#retelling = createRetelling(deps);
    // It is seen by whom that is, and what that one has.
    this.#updates = createSeenUpdates({ ...deps, onRefused: () => this.#sweeps.request() });
    this.#open = createOpenChanges({ ...deps, names: this.names, updates: this.#updates });
    this.#groups = createWaitingGroups({
      doWait: deps.groupApproval !== undefined,
      open: this.#open,
      add: (work) => this.#lanes.add(work),
      later,
      onFault: (error) => this.#tell({ kind: 'database-fault', error }),
    });
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
    this.hear(payload);
    this.#lanes.add(workOf(payload), [key, { event: payload.kind, receivedAtMs }]);
  }

  /** At once, whatever waits in the lanes: nobody is to see a moment longer what they may not. */
  hear(payload: HostedPayload): void {
    const { forge, visibility, onRightsChanged } = this.#deps;
    const changed = rightsChangedBy(payload);
    if (changed !== null) onRightsChanged?.({ host: forge.host, ...changed });
    // What was seen, and not told, says what was known here.
    if (!('repository' in payload) || isSight(payload)) return;
    const isNews = visibility?.told(forge.host, payload.repository) ?? false;
    // It may be long ago that it was so.
    if (isNews) this.#sweeps.request();
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
    this.#groups.look();
  }

  counts() {
    const lanes = this.#lanes;
    return { deliveries: lanes.asked(), works: lanes.waiting(), isSweeping: this.#sweeps.isSweeping() };
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('the server ends'));
    await Promise.all([this.#sweeps.stop(), this.#lanes.stop(), this.#groups.stop()]);
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
    await this.#deps.visibility?.write();
    switch (work.work.kind) {
      case 'look': {
        const { sight } = work.work;
        const repository = await this.#naming.placeOf(sight.repository);
        if (repository === null) return this.#passOver(work);
        return this.#look(work, { ...sight, repository });
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
        const repository = await this.#naming.placeOf(work.work.repository);
        if (repository === null) return this.#passOver(work);
        const isQueued = await this.#judgeAgain({ ...work.work, repository });
        await this.#finish(work);
        return isQueued ? 'applied' : 'unchanged';
      }
      case 'act': {
        const { event } = work.work;
        const repository = await this.#naming.placeOf(event.repository);
        if (repository === null) return this.#passOver(work);
        const outcome = await this.#act({ ...event, repository });
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
    const hasMoved = await this.#naming.renamed(repository, oldName);
    await this.#finish(work);
    // It may be served no more under its name of now.
    this.#sweeps.request();
    return hasMoved ? 'applied' : 'unchanged';
  }

  /** The forge shows none of its number: whatever has its name, this was not told of that. A sweep ends what is open. */
  async #passOver(work: Work): Promise<ProcessedOutcome> {
    await this.#finish(work);
    return 'not-acted-on';
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
        if (update !== null) await this.#updates.apply([{ update, sight }]);
        return database.changes.findByNumber(hostedName(forge.host, repository.name), number);
      },
    });
  }

  #judgeAgain(asked: Extract<HostedWork, { kind: 'again' }>): Promise<boolean> {
    const { forge, onTaken } = this.#deps;
    const repository = hostedName(forge.host, asked.repository.name);
    const onQueued = (queued: readonly ChangeListing[]): void =>
      onTaken({ repository, queued, awaiting: [], ended: [] });
    return judgeAgain({ ...this.#deps, onQueued }, repository, asked);
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
    if (isNew && update.awaitsApproval) this.#groups.lookSoon();
    return isChanged ? 'applied' : 'unchanged';
  }

  /** @returns whether anything came of it */
  async #apply(work: Work, seen: SeenUpdate): Promise<boolean> {
    const [deliveryKey] = work.asked.keys();
    if (work.asked.size === 1 && deliveryKey !== undefined) {
      return this.#updates.applyTold(deliveryKey, seen.update);
    }
    // Under none of their keys: one of a delivery that is done by now would have no effect, for all of them. Where the
    // end is not reached they ask again, and find nothing new.
    const isChanged = await this.#updates.apply([seen]);
    await this.#finish(work);
    return isChanged;
  }

  /** Nobody is asked: there is nobody left who would answer. */
  async #end(ended: Ended): Promise<void> {
    const account = ended.kind === 'account' ? `${ended.account.toLowerCase()}/` : null;
    const gone = ended.kind === 'repositories' ? ended.repositories : [];
    const ids = new Set(gone.map(({ id }) => id));
    const names = new Set(gone.map((one) => this.names.now(one).name));
    // Another one may have its name by now.
    const isGone = (name: string, { repositoryId = this.names.idOf(name) }: ChangeListing): boolean =>
      repositoryId === 0 ? names.has(name) : ids.has(repositoryId);
    const isOver = (name: string, change: ChangeListing): boolean =>
      account === null ? isGone(name, change) : name.toLowerCase().startsWith(account);
    await this.#open.end(isOver);
  }

  async #sweep(lookedAt: ReadonlySet<string>): Promise<void> {
    const startedAtMs = this.#deps.clock();
    const { signal } = this.#ending;
    const sweep = {
      ...this.#deps,
      ...{ naming: this.#naming, names: this.names, statuses: this.statuses },
      ...{ updates: this.#updates, open: this.#open, signal },
      inLane: <T>(lane: string, work: () => Promise<T>) => this.#lanes.next(lane, work),
      add: (work: PlacedWork) => this.#lanes.add(work),
    };
    await sweepForge(sweep, lookedAt);
    await this.#retelling.ask(startedAtMs, signal);
  }
}

export const createForgeIntake = (deps: ForgeIntakeDeps): ForgeIntake => new HostedForgeIntake(deps);
