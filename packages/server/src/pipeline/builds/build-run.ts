// The one loop of a run of builds: ready derivations and free slots make attempts, their results make more ready.
//
// Everything that happens waits in an inbox. A turn takes it all, decides, records the decisions in one transaction,
// and only then acts on them and tells of them. So whatever was told or started is on disk, and a turn that cannot be
// recorded has done nothing. Nothing here scans the graph.

import { BuildFrontier } from '@eka-ci/core/build-frontier';
import {
  type SettledStep,
  settleAttempt,
  settleCancelled,
  settleDependent,
  settleUnsatisfiable,
} from '@eka-ci/core/build-settlement';
import type { NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { whatIsMissing } from '../../builder/builder.ts';
import { type BuildEvent, type BuildOutcome, outcomeOfStep } from './build-outcome.ts';
import { type EndedAttempt, logFileOf, runAttempt } from './run-attempt.ts';
import { type ScheduleOptions, ScheduleStuckError, type SlotKind, slotKinds } from './schedule-options.ts';
import { SlotQueues, slotKindOf } from './slot-queues.ts';
import { openGate, type StartGate } from './start-gate.ts';
import { explainWait } from './why-waiting.ts';

interface RunningBuild {
  readonly slot: SlotKind;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

type Happening =
  | { readonly kind: 'extended'; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'ended'; readonly node: NodeId; readonly attempt: EndedAttempt }
  /** A listener threw while a build was under way. */
  | { readonly kind: 'faulted'; readonly error: Error }
  | { readonly kind: 'cancelled' | 'woken' };

/** What a turn decided: to be recorded, and then to be done and told. */
interface Turn {
  readonly steps: (SettledStep & { readonly logFile: string | null })[];
  readonly acts: (() => void)[];
}

const cancelMessage = 'it was cancelled before it was started';

export class BuildRun {
  readonly #options: ScheduleOptions;
  readonly #frontier: BuildFrontier;
  readonly #queues: SlotQueues;
  readonly #gate: StartGate;
  /** Taken from the queues by a turn that is not carried out yet. */
  readonly #starting = new Set<NodeId>();
  readonly #running = new Map<NodeId, RunningBuild>();
  readonly #attemptsOfRun = new Map<NodeId, number>();
  readonly #outcomes = new Map<DrvPath, BuildOutcome>();
  /** Of the nodes that ended others: their own last step, from its decision on. */
  readonly #endings = new Map<NodeId, SettledStep>();
  /** Expected durations of what is not settled. */
  readonly #workLeft: Record<SlotKind, number> = { build: 0, fixedOutput: 0 };
  #inbox: Happening[] = [];
  #wake: () => void = () => {};
  #open: boolean;
  #cancelled = false;
  /** Ends the watching of a gate that holds something back; null where nothing is held back. */
  #heldBack: (() => void) | null = null;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const { graph, roots, durationOf } = options;
    this.#frontier = new BuildFrontier(graph, [], durationOf === undefined ? {} : { durationOf });
    this.#queues = new SlotQueues({ graph, frontier: this.#frontier, roots });
    this.#gate = options.gate ?? openGate;
    this.#open = options.keepOpen ?? false;
    this.#inbox.push({ kind: 'extended', nodes: [...options.wanted] });
  }

  extend(more: Iterable<NodeId>): void {
    this.#tell({ kind: 'extended', nodes: [...more] });
  }

  close(): void {
    this.#open = false;
    this.#tell({ kind: 'woken' });
  }

  outcomeOf(drv: DrvPath): BuildOutcome | null {
    return this.#outcomes.get(drv) ?? null;
  }

  why(drv: DrvPath): string | null {
    const { graph, builder, slots } = this.#options;
    const isRunning = (node: NodeId): boolean => this.#running.has(node);
    const heldBack = this.#heldBack === null ? null : this.#gate.shutBecause();
    const run = { graph, frontier: this.#frontier, builder: builder.name, slots };
    return explainWait({ ...run, isRunning, heldBack }, drv);
  }

  expectedLeft(): number {
    const { slots } = this.#options;
    const begun = [...this.#running.keys(), ...this.#starting];
    const chains = begun.map((node) => this.#frontier.criticalPathLength(node));
    const work = slotKinds.map((kind) => this.#workLeft[kind] / slots[kind]);
    return Math.max(this.#queues.longestChain(), ...chains, ...work);
  }

  async run(): Promise<ReadonlyMap<DrvPath, BuildOutcome>> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#tell({ kind: 'cancelled' });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      while (!this.#isOver()) {
        if (this.#inbox.length === 0 && this.#isDry()) this.#options.onRanDry?.();
        if (this.#inbox.length === 0) await this.#nextHappening();
        await this.#takeTurn();
      }
      return this.#outcomes;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#heldBack?.();
      // None is left but after a fault: then nobody would ever hear of them again.
      for (const { abort } of this.#running.values()) abort.abort();
      await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    }
  }

  #isOver(): boolean {
    const idle = this.#inbox.length === 0 && this.#running.size === 0;
    if (!idle || (this.#open && !this.#cancelled) || this.#heldBack !== null) return false;
    if (this.#frontier.remaining > 0) throw new ScheduleStuckError(this.#frontier.remaining);
    return true;
  }

  #tell(happening: Happening): void {
    this.#inbox.push(happening);
    this.#wake();
  }

  #isDry(): boolean {
    return this.#heldBack !== null && this.#running.size === 0;
  }

  #nextHappening(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #takeTurn(): Promise<void> {
    const turn: Turn = { steps: [], acts: [] };
    for (const happening of this.#inbox.splice(0)) await this.#take(happening, turn);
    if (await this.#mayStart()) this.#fillSlots(turn);
    await this.#options.recorder.record(
      turn.steps.map(({ node, culprit, ...step }) => {
        const { graph } = this.#options;
        return { drv: graph.pathOf(node), ...step, culprit: culprit === null ? null : graph.pathOf(culprit) };
      }),
    );
    for (const act of turn.acts) act();
  }

  async #take(happening: Happening, turn: Turn): Promise<void> {
    switch (happening.kind) {
      case 'extended':
        return this.#addNodes(happening.nodes, turn);
      case 'ended':
        return this.#settle(happening.node, happening.attempt, turn);
      case 'cancelled':
        return this.#cancelAll(turn);
      case 'faulted':
        throw happening.error;
      case 'woken':
        return;
    }
  }

  async #addNodes(nodes: readonly NodeId[], turn: Turn): Promise<void> {
    const { graph, builder, recorder } = this.#options;
    const frontier = this.#frontier;
    const fresh = [...new Set(nodes)].filter((node) => frontier.stateOf(node) === 'outside');
    const { ready, dependencyFailed } = frontier.extend(fresh);
    for (const node of fresh) this.#countWork(node, 1);
    this.#queues.reorder();
    await recorder.enqueue(fresh.map((node) => graph.pathOf(node)));
    for (const node of dependencyFailed) this.#endUntried(this.#lateEnding(node), turn);
    for (const node of fresh) {
      const state = frontier.stateOf(node);
      if (state !== 'waiting' && state !== 'ready') continue;
      const needs = { system: graph.systemOf(node), requiredFeatures: graph.requiredFeaturesOf(node) };
      const missing = whatIsMissing(builder, needs);
      if (missing === null) continue;
      for (const step of settleUnsatisfiable({ graph, frontier }, node, missing))
        this.#endUntried(step, turn);
    }
    this.#makeReady(
      ready.filter((node) => frontier.stateOf(node) === 'ready'),
      turn,
    );
  }

  #countWork(node: NodeId, sign: 1 | -1): void {
    const { graph, durationOf } = this.#options;
    this.#workLeft[slotKindOf(graph, node)] += sign * (durationOf?.(node) ?? 1);
  }

  /** Of a node that came when something it needs had ended already. */
  #lateEnding(node: NodeId): SettledStep {
    const culprit = this.#frontier.culpritOf(node);
    const ending = culprit === null ? undefined : this.#endings.get(culprit);
    if (ending !== undefined) return settleDependent(this.#options.graph, node, ending);
    return { node, step: 'fail-dependency', cause: null, culprit, message: null };
  }

  #makeReady(nodes: readonly NodeId[], turn: Turn): void {
    for (const node of nodes) {
      turn.steps.push({
        node,
        step: 'inputs-ready',
        cause: null,
        culprit: null,
        message: null,
        logFile: null,
      });
      this.#queues.add(node);
    }
    if (this.#cancelled) this.#cancelQueued(turn);
  }

  #settle(node: NodeId, ended: EndedAttempt, turn: Turn): void {
    const { graph, recorder } = this.#options;
    this.#running.delete(node);
    const drv = graph.pathOf(node);
    const logFile = logFileOf(drv, recorder.attemptOf(drv));
    const attemptOfRun = this.#attemptsOfRun.get(node) ?? 1;
    const finished = { node, attemptOfRun, result: ended.result };
    const settlement = settleAttempt({ graph, frontier: this.#frontier }, finished);
    if (settlement.retry) {
      for (const step of settlement.steps) {
        turn.steps.push({ ...step, logFile: step.step === 'retry' ? null : logFile });
      }
      this.#tellRetry(drv, settlement.steps[0], turn);
      this.#queues.add(node);
      if (this.#cancelled) this.#cancelQueued(turn);
      return;
    }
    for (const step of settlement.steps) {
      if (step.node === node) this.#endTried(step, { ...ended, logFile }, turn);
      else this.#endUntried(step, turn);
    }
    this.#makeReady(settlement.nowReady, turn);
  }

  #tellRetry(drv: DrvPath, step: SettledStep | undefined, turn: Turn): void {
    const attempt = this.#options.recorder.attemptOf(drv);
    const { cause, message } = step ?? { cause: null, message: null };
    turn.acts.push(() => {
      this.#options.onEvent({ kind: 'retried', drv, attempt, cause: cause ?? 'process-death', message });
    });
  }

  #endTried(step: SettledStep, ended: EndedAttempt & { logFile: string }, turn: Turn): void {
    turn.steps.push({ ...step, logFile: ended.logFile });
    this.#countWork(step.node, -1);
    if (step.step !== 'succeed') this.#endings.set(step.node, step);
    const { lastLines, logFault, logFile, result } = ended;
    const more = { logFile, logFault, durationMs: result.durationMs };
    const lines = step.step === 'succeed' ? [] : lastLines;
    turn.acts.push(() => {
      const outcome = { ...this.#outcomeOfStep(step), ...more, lastLines: lines };
      this.#outcomes.set(outcome.drv, outcome);
      this.#options.onEvent({ kind: 'build-finished', outcome });
    });
  }

  #endUntried(step: SettledStep, turn: Turn): void {
    turn.steps.push({ ...step, logFile: null });
    this.#countWork(step.node, -1);
    if (step.culprit === null) this.#endings.set(step.node, step);
    turn.acts.push(() => {
      const outcome = this.#outcomeOfStep(step);
      this.#outcomes.set(outcome.drv, outcome);
      const kind = outcome.state === 'dependency-failed' ? 'dependency-failed' : 'not-built';
      this.#options.onEvent({ kind, outcome });
    });
  }

  #outcomeOfStep(step: SettledStep): BuildOutcome {
    const { graph, recorder } = this.#options;
    return outcomeOfStep(graph, step, recorder.attemptOf(graph.pathOf(step.node)));
  }

  #cancelAll(turn: Turn): void {
    this.#cancelled = true;
    for (const { abort } of this.#running.values()) abort.abort();
    this.#cancelQueued(turn);
  }

  /** Whatever waits for these, or for what runs now, is cancelled with them. */
  #cancelQueued(turn: Turn): void {
    const run = { graph: this.#options.graph, frontier: this.#frontier };
    for (const node of this.#queues.takeAll()) {
      for (const step of settleCancelled(run, node, cancelMessage)) this.#endUntried(step, turn);
    }
  }

  /** The gate is looked at only where there is something to start: a disk is not asked for nothing. */
  async #mayStart(): Promise<boolean> {
    const waits = !this.#cancelled && !this.#queues.isEmpty();
    if (waits) await this.#gate.look();
    // Asked again in the breath in which it is watched, so that no change falls between the two.
    const shut = waits && this.#gate.shutBecause() !== null;
    if (shut) {
      this.#heldBack ??= this.#gate.watch(() => this.#tell({ kind: 'woken' }));
    } else {
      this.#heldBack?.();
      this.#heldBack = null;
    }
    return waits && !shut;
  }

  #fillSlots(turn: Turn): void {
    const { slots } = this.#options;
    const taken: Record<SlotKind, number> = { build: 0, fixedOutput: 0 };
    for (const { slot } of this.#running.values()) taken[slot]++;
    for (const slot of slotKinds) {
      for (; taken[slot] < slots[slot]; taken[slot]++) {
        const node = this.#queues.take(slot);
        if (node === undefined) break;
        this.#starting.add(node);
        turn.steps.push({ node, step: 'start', cause: null, culprit: null, message: null, logFile: null });
        turn.acts.push(() => this.#start(node, slot));
      }
    }
  }

  #start(node: NodeId, slot: SlotKind): void {
    const { graph, recorder, builder, onEvent } = this.#options;
    const drv = graph.pathOf(node);
    const attempt = recorder.attemptOf(drv);
    const logFile = logFileOf(drv, attempt);
    const abort = new AbortController();
    this.#attemptsOfRun.set(node, (this.#attemptsOfRun.get(node) ?? 0) + 1);
    onEvent({ kind: 'build-started', drv, attempt, builder: builder.name, logFile });
    const deps = { ...this.#options, onEvent: (event: BuildEvent) => this.#tellLive(event) };
    // Not before it is known to run: a builder may speak at once, and a listener ask.
    const ended = Promise.resolve()
      .then(() => runAttempt(deps, { drv, attempt, logFile, signal: abort.signal }))
      .then((end) => this.#tell({ kind: 'ended', node, attempt: end }));
    this.#running.set(node, { slot, abort, ended });
    this.#starting.delete(node);
  }

  /** A builder must not suffer for a listener. */
  #tellLive(event: BuildEvent): void {
    try {
      this.#options.onEvent(event);
    } catch (error) {
      this.#tell({ kind: 'faulted', error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
}
