// What the scheduler knows, and what one of its turns decides: shared by the files that decide.
import type { SettledStep } from '@eka-ci/core/build-settlement';
import type { NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RecordedTransition } from '../../database/database.ts';
import { type Breath, createBreath, eachBreathing } from '../../lib/breathe.ts';
import { type BuildEvent, outcomeOfStep } from './build-outcome.ts';
import type { OpenDemand } from './open-demand.ts';
import type { Recorder, StepToRecord } from './record.ts';
import type { RunningBuilds } from './running-builds.ts';
import type { SchedulerDeps } from './scheduler.ts';
import { SuccessMemories } from './success-memory.ts';
import { WantedBuilds } from './wanted-builds.ts';

/** To be recorded, and then to be done and told. */
export interface Turn {
  readonly steps: StepToRecord[];
  readonly acts: ((recorded: readonly RecordedTransition[]) => void)[];
  readonly settled: DrvPath[];
}

export interface Settled {
  readonly node: NodeId;
  readonly drv: DrvPath;
}

export interface Tries {
  count: number;
  /** How often its builder was lost while it ran. */
  losses: number;
  readonly lostOn: Set<string>;
}

export class SchedulerState {
  readonly deps: SchedulerDeps;
  /** One turn is at work at a time: all of them have the same. */
  readonly breath: Breath;
  readonly recorder: Recorder;
  readonly running: RunningBuilds;
  readonly successes = new SuccessMemories();
  wanted: WantedBuilds;
  #tries = new Map<NodeId, Tries>();
  /** Ready, but something else makes one of their outputs: by that. */
  #twins = new Map<NodeId, NodeId[]>();
  /** Who waited for what the turn settled. */
  readonly #toldOf = new Map<DrvPath, readonly OpenDemand[]>();

  constructor({ deps, recorder, running }: Pick<SchedulerState, 'deps' | 'recorder' | 'running'>) {
    this.deps = deps;
    this.breath = deps.breath ?? createBreath();
    this.wanted = new WantedBuilds(this.breath);
    this.recorder = recorder;
    this.running = running;
  }

  triesOf(node: NodeId): Tries {
    const tries = this.#tries.get(node) ?? { count: 0, losses: 0, lostOn: new Set() };
    this.#tries.set(node, tries);
    return tries;
  }

  addTwin(maker: NodeId, node: NodeId): void {
    this.#twins.set(maker, [...(this.#twins.get(maker) ?? []), node]);
  }

  takeTwins(maker: NodeId): readonly NodeId[] {
    const twins = this.#twins.get(maker) ?? [];
    this.#twins.delete(maker);
    return twins;
  }

  /** Who waits for it, also where this turn has settled it. */
  waitingFor(drv: DrvPath): readonly OpenDemand[] {
    const node = this.wanted.graph.find(drv);
    return this.#toldOf.get(drv) ?? (node === undefined ? [] : this.wanted.waitingFor(node));
  }

  async makeReady(nodes: Iterable<NodeId>, turn: Turn): Promise<void> {
    const { wanted } = this;
    await eachBreathing(nodes, this.breath, (node) => {
      if (!wanted.isUnsettled(node) || !wanted.markBuildable(node)) return;
      turn.steps.push(stepOf(wanted.graph.pathOf(node), 'inputs-ready'));
    });
  }

  /** The frontier has settled each of them, and none was tried now. */
  async endUntried(steps: Iterable<SettledStep>, turn: Turn): Promise<void> {
    await eachBreathing(steps, this.breath, (step) => this.#endUntried(step, turn));
  }

  #endUntried(step: SettledStep, turn: Turn): void {
    const toRecord = this.toRecord(step);
    turn.steps.push(toRecord);
    const { graph } = this.wanted;
    const { drv } = toRecord;
    const tell = (): BuildEvent => {
      // As it is recorded: a retry of the same turn has given it another.
      const outcome = outcomeOfStep(graph, step, this.recorder.attemptOf(drv));
      return { kind: outcome.state === 'dependency-failed' ? outcome.state : 'not-built', outcome };
    };
    this.settle({ node: step.node, drv }, tell, turn);
  }

  /** The frontier has settled it: those who waited for it are told so, once that is recorded. */
  settle({ node, drv }: Settled, eventOf: () => BuildEvent, turn: Turn): void {
    const waiting = this.wanted.settle(node);
    this.#tries.delete(node);
    this.#toldOf.set(drv, waiting);
    turn.settled.push(drv);
    turn.acts.push(() => tellAll(waiting, eventOf()));
  }

  toRecord({ node, culprit, ...step }: SettledStep): StepToRecord {
    const { graph } = this.wanted;
    const by = culprit === null ? null : graph.pathOf(culprit);
    return { drv: graph.pathOf(node), ...step, culprit: by, logFile: null };
  }

  endTurn(): void {
    this.#toldOf.clear();
  }

  /** Settled derivations are dropped; what is wanted keeps its place. */
  async compact(): Promise<void> {
    const { wanted, moved, left } = await this.wanted.compacted();
    // In one breath: whoever looks finds all of it in the old graph, or all of it in the new one.
    this.wanted = wanted;
    for (const [demand, nodes] of left) demand.left = nodes;
    this.running.move(moved);
    // What was cancelled meanwhile has no number any more: its old one is another's now.
    const to = (node: NodeId): readonly NodeId[] => {
      const id = moved.get(node);
      return id === undefined ? [] : [id];
    };
    this.#tries = new Map(
      [...this.#tries].flatMap(([node, tries]) => to(node).map((id) => [id, tries] as const)),
    );
    this.#twins = new Map(
      [...this.#twins].flatMap(([node, twins]) => to(node).map((id) => [id, twins.flatMap(to)] as const)),
    );
  }

  /** Nobody wants anything any more. */
  clear(): void {
    this.#toldOf.clear();
    this.#tries.clear();
    this.#twins.clear();
    this.wanted = new WantedBuilds(this.breath);
    this.running.clear();
    this.recorder.forget(null);
  }
}

export const stepOf = (drv: DrvPath, step: StepToRecord['step']): StepToRecord => ({
  ...{ drv, step, cause: null, culprit: null, message: null, logFile: null },
});

export const tellAll = (demands: readonly OpenDemand[], event: BuildEvent): void => {
  for (const demand of demands) demand.tell(event);
};
