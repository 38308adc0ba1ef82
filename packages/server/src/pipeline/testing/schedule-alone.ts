// Schedulers for tests: of one builder, with nothing known to fail.
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { Builder } from '../../builder/builder.ts';
import type { BuilderSlots } from '../../builder/builder-pool.ts';
import { createLocalPool, poolLocal } from '../../builder/pool/local-pool.ts';
import type { BuildDemand, Scheduler, SchedulerDeps } from '../builds/scheduler.ts';
import { createScheduler } from '../builds/scheduler-loop.ts';

type Given = 'pool' | 'findKnownFailures' | 'clock' | 'limits';

export interface TestSchedulerOptions
  extends Omit<SchedulerDeps, Given>,
    Partial<Pick<SchedulerDeps, Given>> {
  readonly builder: Builder;
  /** @default two of each kind */
  readonly slots?: BuilderSlots;
}

export const createTestScheduler = (options: TestSchedulerOptions): Scheduler => {
  const { builder, slots = { build: 2, fixedOutput: 2 } } = options;
  return createScheduler({
    pool: createLocalPool(poolLocal(builder, slots)),
    findKnownFailures: () => Promise.resolve(new Map()),
    clock: Date.now,
    limits: { silenceTimeoutMs: 20_000, maxDurationMs: 60_000, maxLogBytes: 1_000_000 },
    ...options,
  });
};

export interface AloneOptions extends TestSchedulerOptions, Partial<Omit<BuildDemand, 'graph' | 'wanted'>> {
  readonly graph: DrvGraph;
  readonly wanted: Iterable<NodeId>;
}

const endedWith = async <Result>(work: Promise<Result>, end: () => Promise<void>): Promise<Result> => {
  try {
    return await work;
  } finally {
    await end();
  }
};

/** One demand on a scheduler of its own, which stops when the demand has ended. */
export const scheduleAlone = (options: AloneOptions) => {
  const scheduler = createTestScheduler(options);
  const builds = scheduler.demand({
    class: 'open-change',
    arrivedAtMs: 0,
    change: null,
    onEvent: () => {},
    signal: new AbortController().signal,
    ...options,
    wanted: new Set(options.wanted),
  });
  return {
    finished: endedWith(builds.finished, () => scheduler.stop()),
    expectedLeft: () => builds.expectedLeftS(),
    why: scheduler.why.bind(scheduler),
    scheduler,
  };
};
