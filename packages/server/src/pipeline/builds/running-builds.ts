// The attempts that run now: where, since when, and how they are ended.
import type { NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Builder } from '../../builder/builder.ts';
import type { BuilderPool, PooledBuilder } from '../../builder/builder-pool.ts';
import type { BuildEvent } from './build-outcome.ts';
import { BuilderLoad, type SlotKind } from './placement.ts';
import { type AttemptDeps, type EndedAttempt, logFileOf, runAttempt } from './run-attempt.ts';
import type { ActiveBuild } from './scheduler.ts';

export interface StartedBuild {
  readonly node: NodeId;
  readonly drv: DrvPath;
  readonly attempt: number;
  readonly builder: PooledBuilder;
  readonly slot: SlotKind;
  /** Known output paths: nothing else with one of them may run beside it. */
  readonly outputs: readonly string[];
}

export interface RunningBuildsDeps extends Pick<AttemptDeps, 'limits' | 'logs'> {
  readonly pool: BuilderPool;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told after `start` has returned. `spoke`: its builder program was known to run. */
  readonly onEnded: (build: StartedBuild, ended: EndedAttempt & { readonly spoke: boolean }) => void;
  /** Must not throw. */
  readonly onEvent: (build: StartedBuild, event: BuildEvent) => void;
}

interface Running extends StartedBuild {
  readonly startedAtMs: number;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  phase: string | null;
}

export class RunningBuilds {
  readonly load: BuilderLoad;
  readonly #deps: RunningBuildsDeps;
  #builds = new Map<NodeId, Running>();
  #byOutput = new Map<string, NodeId>();

  constructor(deps: RunningBuildsDeps) {
    this.#deps = deps;
    this.load = new BuilderLoad(deps.pool);
  }

  get size(): number {
    return this.#builds.size;
  }

  nodes(): Iterable<NodeId> {
    return this.#builds.keys();
  }

  has(node: NodeId): boolean {
    return this.#builds.has(node);
  }

  builderOf(node: NodeId): string | null {
    return this.#builds.get(node)?.builder.name ?? null;
  }

  /** The one that makes one of these paths now. */
  makerOf(outputs: readonly string[]): NodeId | undefined {
    for (const output of outputs) {
      const maker = this.#byOutput.get(output);
      if (maker !== undefined) return maker;
    }
    return undefined;
  }

  /** Takes the slot and the outputs, before it is recorded that it starts. */
  reserve({ node, builder, slot, outputs }: StartedBuild): void {
    this.load.take(builder.name, slot);
    for (const output of outputs) this.#byOutput.set(output, node);
  }

  /** @returns what its begin is told by */
  start(build: StartedBuild): BuildEvent {
    const { drv, attempt, builder } = build;
    const { limits, logs, clock } = this.#deps;
    const logFile = logFileOf(drv, attempt);
    const abort = new AbortController();
    let spoke = false;
    const watched: Builder = {
      ...builder,
      build: (request, observer, signal) => {
        const started = (): void => {
          spoke = true;
          observer.started?.();
        };
        return builder.build(request, { ...observer, started }, signal);
      },
    };
    const onEvent = (event: BuildEvent): void => {
      if (event.kind === 'phase') running.phase = event.phase;
      this.#deps.onEvent(running, event);
    };
    // Not before it is known to run: a builder may speak at once, and a listener ask.
    const ended = Promise.resolve()
      .then(() =>
        runAttempt(
          { builder: watched, limits, logs, onEvent },
          { drv, attempt, logFile, signal: abort.signal },
        ),
      )
      .then((end) => this.#deps.onEnded(running, { ...end, spoke }));
    const running: Running = { ...build, startedAtMs: clock(), abort, ended, phase: null };
    this.#builds.set(build.node, running);
    return { kind: 'build-started', drv, attempt, builder: builder.name, logFile };
  }

  /** How its begin was told, for one who comes later; null where it does not run. */
  startOf(node: NodeId): BuildEvent | null {
    const build = this.#builds.get(node);
    if (build === undefined) return null;
    const { drv, attempt, builder } = build;
    return { kind: 'build-started', drv, attempt, builder: builder.name, logFile: logFileOf(drv, attempt) };
  }

  /** It has ended: its slot and its outputs are free. */
  remove({ node, builder, slot, outputs }: StartedBuild): void {
    this.#builds.delete(node);
    this.load.free(builder.name, slot);
    for (const output of outputs) if (this.#byOutput.get(output) === node) this.#byOutput.delete(output);
  }

  abort(node: NodeId): void {
    this.#builds.get(node)?.abort.abort();
  }

  /** Ends all; resolves when they have ended. Nobody is told of them but by `onEnded`. */
  async abortAll(): Promise<void> {
    const all = [...this.#builds.values()];
    for (const { abort } of all) abort.abort();
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** Forgets those that have ended in spite of nobody's having been told, and what was to start. */
  clear(): void {
    this.#builds.clear();
    this.#byOutput.clear();
    this.load.clear();
  }

  /** Oldest first. */
  active(): readonly ActiveBuild[] {
    return [...this.#builds.values()]
      .map(({ drv, attempt, builder, phase, startedAtMs }) => ({
        ...{ drv, attempt, phase, startedAtMs },
        builder: builder.name,
      }))
      .toSorted((a, b) => a.startedAtMs - b.startedAtMs);
  }

  /** Nodes have got other numbers. */
  move(moved: ReadonlyMap<NodeId, NodeId>): void {
    const to = (node: NodeId): NodeId => moved.get(node) ?? node;
    const builds = [...this.#builds.values()].map((build) => Object.assign(build, { node: to(build.node) }));
    this.#builds = new Map(builds.map((build) => [build.node, build]));
    this.#byOutput = new Map([...this.#byOutput].map(([output, node]) => [output, to(node)]));
  }
}
