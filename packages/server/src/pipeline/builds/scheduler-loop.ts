// The scheduler's one loop: ready derivations and free slots make attempts, their results make more ready.
//
// Everything that happens waits in an inbox. A turn takes what has happened, decides, records the decisions, and only
// then acts on them and tells of them. So whatever was told or started is on disk, and a turn that cannot be recorded
// has done nothing: then all demands fail, for nobody knows what is true any more.
import { settleCancelled } from '@eka-ci/core/build-settlement';
import type { NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeListing, RecordedTransition } from '../../database/database.ts';
import { eachBreathing } from '../../lib/breathe.ts';
import { admitDemand } from './admit-demand.ts';
import { OpenDemand } from './open-demand.ts';
import type { SlotsInUse } from './placement.ts';
import { createRecorder, type Recorder, type StepToRecord } from './record.ts';
import { RunningBuilds } from './running-builds.ts';
import type { ActiveBuild, BuildDemand, DemandedBuilds, Scheduler, SchedulerDeps } from './scheduler.ts';
import { SchedulerState, type Turn } from './scheduler-state.ts';
import { type EndedBuild, settleBuild } from './settle-build.ts';
import { endUnbuildable, startBuilds } from './start-builds.ts';
import { openGate, type StartGate } from './start-gate.ts';
import type { SuccessMemory } from './success-memory.ts';
import { explainWait } from './why-waiting.ts';

interface AtRest {
  readonly steps: readonly StepToRecord[];
  readonly done: PromiseWithResolvers<readonly RecordedTransition[]>;
}

type Happening =
  | { readonly kind: 'demanded'; readonly demand: OpenDemand }
  | { readonly kind: 'at-rest'; readonly of: AtRest }
  | { readonly kind: 'swept'; readonly done: PromiseWithResolvers<number> }
  | { readonly kind: 'ended'; readonly ended: EndedBuild }
  | { readonly kind: 'left'; readonly demand: OpenDemand }
  | { readonly kind: 'woken' };

/** Each has a turn of its own: what it reads must be recorded before. */
const alone: readonly Happening['kind'][] = ['demanded', 'at-rest', 'swept'];

const cancelMessage = 'it was cancelled before it was started';
const defaultKeptNodes = 100_000;
/** Rows of one transaction: others must not wait for what a whole package set wants. */
const recordedAtOnce = 2000;

/** A crash between two parts is as any other: what is not settled is taken up again. */
const recordInParts = async (
  recorder: Recorder,
  steps: readonly StepToRecord[],
): Promise<readonly RecordedTransition[]> => {
  const recorded: RecordedTransition[] = [];
  for (let at = 0; at < steps.length; at += recordedAtOnce) {
    for (const one of await recorder.record(steps.slice(at, at + recordedAtOnce))) recorded.push(one);
  }
  return recorded;
};

class SchedulerLoop implements Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #gate: StartGate;
  readonly #state: SchedulerState;
  /** All that were asked for and have not ended, also those that wait in the inbox. */
  readonly #demands = new Set<OpenDemand>();
  #inbox: Happening[] = [];
  #wake: () => void = () => {};
  /** Ends the watching of the gate; null where nothing is ready that it could hold back. */
  #unwatchGate: (() => void) | null = null;
  /** The gate holds something back. */
  #isHeldBack = false;
  #stopping = false;
  /** Of the graph when it was made anew: what is wanted then, and the names of what that needs. */
  #nodesKept = 0;
  readonly #unwatch: () => void;
  readonly #ended: Promise<void>;

  constructor(deps: SchedulerDeps) {
    const { pool, limits, logs, clock, database } = deps;
    this.#deps = deps;
    this.#gate = deps.gate ?? openGate;
    const recorder = createRecorder({
      database,
      clock,
      onRecorded: (transitions) => deps.onRecorded?.(transitions, (drv) => this.#changesOf(drv)),
    });
    const running = new RunningBuilds({
      ...{ pool, limits, logs, clock },
      onEnded: (build, attempt) => this.#tell({ kind: 'ended', ended: { build, attempt } }),
      onEvent: ({ node }, event) => {
        for (const demand of this.#state.wanted.waitingFor(node)) demand.tell(event);
      },
    });
    this.#state = new SchedulerState({ deps, recorder, running });
    this.#unwatch = pool.watch(() => this.#tell({ kind: 'woken' }));
    this.#ended = this.#run();
  }

  demand(asked: BuildDemand): DemandedBuilds {
    const demand: OpenDemand = new OpenDemand(asked, (error) => {
      demand.fault = { error };
      this.#tell({ kind: 'left', demand });
    });
    this.#demands.add(demand);
    const onAbort = (): void => this.#tell({ kind: 'left', demand });
    asked.signal.addEventListener('abort', onAbort);
    const removed = (): void => asked.signal.removeEventListener('abort', onAbort);
    demand.finished.then(removed, removed);
    this.#tell({ kind: 'demanded', demand });
    return { finished: demand.finished, expectedLeftS: () => this.#expectedLeftS(demand) };
  }

  rememberSuccesses(): SuccessMemory {
    return this.#state.successes.open();
  }

  recordAtRest(steps: readonly StepToRecord[]): Promise<readonly RecordedTransition[]> {
    const done = Promise.withResolvers<readonly RecordedTransition[]>();
    this.#tell({ kind: 'at-rest', of: { steps, done } });
    return done.promise;
  }

  sweep(): Promise<number> {
    const done = Promise.withResolvers<number>();
    this.#tell({ kind: 'swept', done });
    return done.promise;
  }

  stop(): Promise<void> {
    this.#stopping = true;
    this.#unwatch();
    this.#tell({ kind: 'woken' });
    return this.#ended;
  }

  active(): readonly ActiveBuild[] {
    return this.#state.running.active();
  }

  queued(start = 0, limit = Number.POSITIVE_INFINITY): readonly DrvPath[] {
    const { running, wanted } = this.#state;
    const drvs: DrvPath[] = [];
    let at = 0;
    for (const node of wanted.unsettled) {
      if (drvs.length >= limit) break;
      if (!running.has(node) && at++ >= start) drvs.push(wanted.graph.pathOf(node));
    }
    return drvs;
  }

  queuedCount(): number {
    const { running, wanted } = this.#state;
    let begun = 0;
    for (const node of running.nodes()) if (wanted.unsettled.has(node)) begun += 1;
    return wanted.unsettled.size - begun;
  }

  isBuilding(): boolean {
    return this.#demands.size > 0;
  }

  slotsInUse(builder: string): SlotsInUse {
    return this.#state.running.load.takenOf(builder);
  }

  why(drv: DrvPath): string | null {
    const { running, wanted } = this.#state;
    const { graph, frontier } = wanted;
    const builderOf = (node: NodeId): string | null => running.builderOf(node);
    const heldBack = this.#isHeldBack ? this.#gate.shutBecause() : null;
    return explainWait({ graph, frontier, pool: this.#deps.pool, builderOf, heldBack }, drv);
  }

  async #run(): Promise<void> {
    while (!this.#isOver()) {
      if (this.#inbox.length === 0 && this.#isDry()) this.#deps.onRanDry?.();
      if (this.#inbox.length === 0) await this.#nextHappening();
      const batch = this.#nextBatch();
      try {
        await this.#takeTurn(batch);
      } catch (error) {
        await this.#failAll(error, batch);
      }
    }
    this.#leaveGate();
  }

  #isOver(): boolean {
    const isIdle = this.#inbox.length === 0 && this.#state.running.size === 0 && this.#demands.size === 0;
    return this.#stopping && isIdle;
  }

  #isDry(): boolean {
    return this.#isHeldBack && this.#state.running.size === 0;
  }

  #tell(happening: Happening): void {
    this.#inbox.push(happening);
    this.#wake();
  }

  #nextHappening(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #nextBatch(): Happening[] {
    const single = this.#inbox.findIndex(({ kind }) => alone.includes(kind));
    return this.#inbox.splice(0, single < 0 ? this.#inbox.length : Math.max(1, single));
  }

  async #takeTurn(batch: readonly Happening[]): Promise<void> {
    const state = this.#state;
    const turn: Turn = { steps: [], acts: [], settled: [] };
    for (const happening of batch) await this.#take(happening, turn);
    await endUnbuildable(state, turn);
    // What it took over from others is of no use to one that has all its own.
    for (const demand of this.#demands) if (demand.isDone) await this.#leave(demand, turn);
    if (await this.#mayStart()) startBuilds(state, turn);
    if (!state.wanted.order.hasReady()) this.#leaveGate();
    const recorded = await recordInParts(state.recorder, turn.steps);
    await eachBreathing(turn.acts, state.breath, (act) => act(recorded));
    await eachBreathing(turn.settled, state.breath, (drv) => state.recorder.forget([drv]));
    state.endTurn();
    this.#endDemands();
    await this.#tidy();
  }

  async #take(happening: Happening, turn: Turn): Promise<void> {
    switch (happening.kind) {
      case 'demanded':
        return admitDemand(this.#state, happening.demand, turn);
      case 'ended':
        return settleBuild(this.#state, happening.ended, turn);
      case 'left':
        return this.#leave(happening.demand, turn);
      case 'at-rest':
        return this.#takeAtRest(happening.of, turn);
      case 'swept':
        return this.#sweep(happening.done, turn);
      case 'woken':
        return;
    }
  }

  async #leave(demand: OpenDemand, turn: Turn): Promise<void> {
    const { wanted, running, breath } = this.#state;
    const { graph, frontier } = wanted;
    const unwanted = await wanted.leave(demand);
    // First, and in one breath: builders are not to go on while the rest is let go of.
    for (const node of unwanted) running.abort(node);
    for (const node of unwanted) {
      if (breath.isDue()) await breath.take();
      if (running.has(node) || !wanted.isUnsettled(node)) continue;
      await this.#state.endUntried(settleCancelled({ graph, frontier }, node, cancelMessage), turn);
    }
  }

  async #takeAtRest({ steps, done }: AtRest, turn: Turn): Promise<void> {
    const { wanted, recorder } = this.#state;
    const isWanted = (drv: DrvPath): boolean => {
      const node = wanted.graph.find(drv);
      return node !== undefined && wanted.isUnsettled(node);
    };
    const resting = steps.filter(({ drv }) => !isWanted(drv));
    const drvs = new Set(resting.map(({ drv }) => drv));
    turn.acts.push((recorded) => done.resolve(recorded.filter(({ drv }) => drvs.has(drv))));
    await recorder.enqueue(drvs);
    // Not as arguments: a package set has more than a call may have.
    for (const step of resting) turn.steps.push(step);
    for (const drv of drvs) turn.settled.push(drv);
  }

  async #sweep(done: PromiseWithResolvers<number>, turn: Turn): Promise<void> {
    const { wanted, running } = this.#state;
    const { graph, frontier, order, unsettled, kinds } = wanted;
    const found = new Set(frontier.recount(unsettled));
    const mayStart = order.hasReady() && (await this.#gate.look()) === null;
    // Whatever else has happened is not looked at yet: it may be about to mend this.
    const isIdle = mayStart && this.#inbox.length === 0;
    const startable = isIdle ? running.load.startable(kinds) : [];
    for (const node of order.ready()) if (startable.includes(wanted.kindOf(node))) found.add(node);
    await this.#state.makeReady(found, turn);
    const drvs = Array.from(found, (node) => graph.pathOf(node));
    turn.acts.push(() => {
      if (drvs.length > 0) this.#deps.onRepaired?.(drvs);
      done.resolve(drvs.length);
    });
  }

  /** The gate is looked at only where there is something to start: a disk is not asked for nothing. */
  async #mayStart(): Promise<boolean> {
    const waits = this.#state.wanted.order.hasReady();
    if (waits) await this.#gate.look();
    // Asked again in the breath in which it is watched, so that no change falls between the two.
    this.#isHeldBack = waits && this.#gate.shutBecause() !== null;
    // An open one too: what waits for a builder is held back when it shuts.
    if (waits) this.#unwatchGate ??= this.#gate.watch(() => this.#tell({ kind: 'woken' }));
    return waits && !this.#isHeldBack;
  }

  #leaveGate(): void {
    this.#unwatchGate?.();
    this.#unwatchGate = null;
    this.#isHeldBack = false;
  }

  #endDemands(): void {
    for (const demand of this.#demands) {
      if (!demand.isDone) continue;
      this.#demands.delete(demand);
      demand.end();
    }
  }

  /** A graph of what was settled is of no use. */
  async #tidy(): Promise<void> {
    const { wanted } = this.#state;
    const { keptNodes = defaultKeptNodes } = this.#deps;
    if (wanted.graph.nodeCount < this.#nodesKept + wanted.unsettled.size + keptNodes) return;
    await this.#state.compact();
    this.#nodesKept = this.#state.wanted.graph.nodeCount;
  }

  #expectedLeftS(demand: OpenDemand): number {
    const { pool } = this.#deps;
    const answering = pool.builders().filter(({ name }) => pool.outageOf(name) === null);
    const slots = answering.reduce((sum, { slots: { build } }) => sum + build, 0);
    const { wanted, running } = this.#state;
    return wanted.expectedLeftS(demand, { running: running.nodes(), slots });
  }

  #changesOf(drv: DrvPath): readonly ChangeListing[] {
    return this.#state.waitingFor(drv).flatMap(({ asked: { change } }) => change ?? []);
  }

  async #failAll(error: unknown, batch: readonly Happening[]): Promise<void> {
    await this.#state.running.abortAll();
    for (const happening of [...batch, ...this.#inbox.splice(0)]) {
      if (happening.kind === 'at-rest') happening.of.done.reject(error);
      if (happening.kind === 'swept') happening.done.reject(error);
    }
    for (const demand of this.#demands) demand.fail(error);
    this.#demands.clear();
    this.#state.clear();
    this.#leaveGate();
    this.#nodesKept = 0;
  }
}

export const createScheduler = (deps: SchedulerDeps): Scheduler => new SchedulerLoop(deps);
