// One evaluation with the stock driver: workers take batches from the queue until nothing is left to look at.
import type { EvaluationFailure, EvaluationRecord } from '@eka-ci/core/evaluation';
import type { RootKeeper } from '../../gc-roots.ts';
import type { NixInstallation } from '../../installation.ts';
import { printAttrPath } from '../attr-path.ts';
import type { Channel } from '../channel.ts';
import type { EvaluationEvent, EvaluationRequest } from '../evaluator.ts';
import type { PreparedFlake } from '../preparation.ts';
import type { Confinement } from '../sandbox.ts';
import { mostDepth, type WorkItem } from './expression.ts';
import { type Judgement, judgeDeath } from './judgement.ts';
import type { ItemOutcome, UnfinishedItem } from './record-stream.ts';
import { derivationRecord, failedRecord, type RecordContext, unavailableRecord } from './to-record.ts';
import { createWorkQueue, type WorkQueue } from './work-queue.ts';
import { type Death, runWorker, type WorkerEnd } from './worker.ts';

/** What another driver has left of a job. */
export interface Remainder {
  /** To begin with; the empty path is the root. `throws`: that is known, and only its message is wanted. */
  readonly begin: readonly { readonly path: readonly string[]; readonly throws: boolean }[];
  /** Attributes, as `printAttrPath` prints them, that have their record already. */
  readonly settled: ReadonlySet<string>;
}

const wholeJob: Remainder = { begin: [{ path: [], throws: false }], settled: new Set() };

export interface RunDeps {
  readonly nix: NixInstallation;
  readonly request: EvaluationRequest;
  readonly confinement: Confinement;
  readonly nixOptions: readonly string[];
  /** Null unless the target is a flake. */
  readonly flake: PreparedFlake | null;
  readonly roots: RootKeeper;
  readonly events: Channel<EvaluationEvent>;
  readonly onText: (text: string) => Promise<void>;
  readonly signal: AbortSignal;
  /** Aborts `signal`. */
  readonly abort: () => void;
  /** @default the whole job */
  readonly remainder?: Remainder | undefined;
}

export interface RunTally {
  /** Attributes found, and settled: sets that were entered count in neither. */
  known: number;
  evaluated: number;
  failed: number;
  records: number;
  processes: number;
  peakMib: number;
}

export interface EvaluationRun {
  readonly tally: Readonly<RunTally>;
  /** Resolves when no worker is left. Null when every attribute was settled, else why there is no jobset. */
  readonly finished: Promise<EvaluationFailure | null>;
}

/** Processes that die before they begin an attribute, in a row: then it is not the attributes' doing. */
const maxStillbirths = 3;

const progressEvery = 100;

interface State {
  readonly deps: RunDeps;
  readonly queue: WorkQueue;
  readonly tally: RunTally;
  readonly context: RecordContext;
  readonly remainder: Remainder;
  nextId: number;
  busy: number;
  stillbirths: number;
  failure: EvaluationFailure | null;
  idle: (() => void)[];
}

const wakeIdle = (state: State): void => {
  for (const resume of state.idle) resume();
  state.idle = [];
};

const progressOf = ({ evaluated, failed, known }: RunTally): EvaluationEvent => ({
  type: 'progress',
  evaluated,
  failed,
  known,
});

const emitRecord = async ({ deps, tally }: State, record: EvaluationRecord): Promise<void> => {
  tally.records += 1;
  tally.evaluated += 1;
  if (record.kind === 'failed') tally.failed += 1;
  if (record.kind === 'derivation') deps.roots.add(record.drvPath);
  await deps.events.write({ type: 'record', record });
  if (tally.evaluated % progressEvery === 0) await deps.events.write(progressOf(tally));
};

/** What one job may have: ten times the largest package set there is. */
export const mostAttributes = 1_000_000;

const enterSet = (state: State, path: readonly string[], all: readonly string[]): void => {
  const { queue, tally } = state;
  const { settled } = state.remainder;
  const names = settled.size === 0 ? all : all.filter((name) => !settled.has(printAttrPath([...path, name])));
  if (settled.size + tally.known + names.length > mostAttributes || path.length >= mostDepth) {
    const where = path.length === 0 ? 'the root' : printAttrPath(path);
    const bound =
      path.length >= mostDepth ? `${mostDepth} sets inside each other` : `${mostAttributes} attributes`;
    const message = `there are more than ${bound} at ${where.slice(0, 200)}: does a set with recurseForDerivations hold itself?`;
    state.failure ??= { kind: 'other', message, position: null };
    return;
  }
  queue.append(
    names.map((name) => {
      state.nextId += 1;
      return { id: state.nextId, path: [...path, name], guarded: true, alone: false };
    }),
  );
  tally.known += names.length;
  if (path.length > 0) tally.known -= 1;
  wakeIdle(state);
};

const settleThrow = async (
  state: State,
  item: WorkItem,
  outcome: ItemOutcome & { kind: 'threw' },
): Promise<void> => {
  const record = outcome.meta === null ? null : unavailableRecord(item.path, outcome.meta, state.context);
  if (record !== null) return emitRecord(state, record);
  // tryEval loses the message: once more without it, when the first look at everything is done.
  state.queue.append([{ ...item, guarded: false }]);
};

const settle = async (state: State, item: WorkItem, outcome: ItemOutcome): Promise<void> => {
  switch (outcome.kind) {
    case 'derivation': {
      const found = { path: item.path, ...outcome.facts, meta: outcome.meta, metaError: null };
      return emitRecord(state, derivationRecord(found, state.context));
    }
    case 'threw':
      return settleThrow(state, item, outcome);
    case 'set':
      enterSet(state, item.path, outcome.names);
      return;
    case 'nothing':
      state.tally.evaluated += 1;
      return;
    case 'no-set': {
      const message = `the job's root is a value of type ${outcome.type} where a set of packages was expected`;
      state.failure ??= { kind: 'type', message, position: null };
      return;
    }
  }
};

const settleFailure = async (
  state: State,
  path: readonly string[],
  failure: EvaluationFailure,
): Promise<void> => {
  // Nothing is known of a job whose root does not evaluate.
  if (path.length === 0) state.failure ??= failure;
  else await emitRecord(state, failedRecord(path, failure, state.context));
};

const settleJudgement = async (
  state: State,
  judgement: Judgement,
  { item }: UnfinishedItem,
): Promise<void> => {
  switch (judgement.kind) {
    case 'again':
      state.queue.putBack([judgement.item]);
      return;
    case 'failed':
      return settleFailure(state, item.path, judgement.failure);
    case 'without-meta': {
      const { drvPath, known, failure } = judgement;
      const found = { path: item.path, drvPath, known, meta: null, metaError: failure.message };
      return emitRecord(state, derivationRecord(found, state.context));
    }
  }
};

const restartReasons = {
  error: 'failed-attribute',
  memory: 'memory',
  timeout: 'timeout',
  killed: 'killed',
} as const satisfies Record<Death['cause'], string>;

const stillbirthFailure = (death: Death): EvaluationFailure => {
  const said =
    death.cause === 'error' ? death.error.message : death.cause === 'killed' ? death.how : death.cause;
  return { kind: 'killed', message: `Nix ended before it evaluated anything: ${said}`, position: null };
};

const settleDeath = async (state: State, end: WorkerEnd, death: Death): Promise<void> => {
  const { deps, queue } = state;
  queue.putBack(end.waiting);
  if (end.inHand === null) {
    state.stillbirths += 1;
    if (state.stillbirths >= maxStillbirths) state.failure ??= stillbirthFailure(death);
  } else {
    state.stillbirths = 0;
    const context = {
      limits: deps.request.limits,
      allowNetwork: deps.request.allowNetwork,
      roots: state.context.roots,
    };
    await settleJudgement(state, judgeDeath(death, end.inHand, context), end.inHand);
  }
  await deps.events.write({
    type: 'worker-restarted',
    reason: restartReasons[death.cause],
    peakMib: Math.ceil(end.peakMib),
  });
};

const workBatch = async (state: State, items: readonly WorkItem[]): Promise<void> => {
  const { deps, tally, queue } = state;
  tally.processes += 1;
  const end = await runWorker({
    ...deps,
    flakeUrl: deps.flake?.url ?? null,
    items,
    onSettled: (item, outcome) => settle(state, item, outcome),
  });
  tally.peakMib = Math.max(tally.peakMib, Math.ceil(end.peakMib));
  if (end.itemMs !== null) queue.learn({ startMs: end.startMs, itemMs: end.itemMs });
  if (end.death !== null && !deps.signal.aborted) await settleDeath(state, end, end.death);
  await deps.events.write(progressOf(tally));
};

/** One worker's life: until the queue is empty and nobody can fill it any more. */
const work = async (state: State): Promise<void> => {
  while (state.failure === null && !state.deps.signal.aborted) {
    const items = state.queue.take();
    if (items.length > 0) {
      state.busy += 1;
      try {
        await workBatch(state, items);
      } finally {
        state.busy -= 1;
        wakeIdle(state);
      }
    } else if (state.busy === 0) {
      return;
    } else {
      await new Promise<void>((resume) => state.idle.push(resume));
    }
  }
};

/** Starts the workers. When one throws, the others are ended, and `finished` rejects with it. */
export const startEvaluationRun = (deps: RunDeps): EvaluationRun => {
  const { workers } = deps.request.limits;
  const { remainder = wholeJob } = deps;
  const state: State = {
    deps,
    queue: createWorkQueue(workers),
    tally: {
      known: remainder.begin.filter(({ path }) => path.length > 0).length,
      evaluated: 0,
      failed: 0,
      records: 0,
      processes: 0,
      peakMib: 0,
    },
    context: {
      storeDir: deps.nix.storeDir,
      target: deps.request.target,
      roots: [deps.confinement.tree, ...(deps.flake === null ? [] : [deps.flake.storePath])],
    },
    remainder,
    nextId: remainder.begin.length,
    busy: 0,
    stillbirths: 0,
    failure: null,
    idle: [],
  };
  state.queue.append(
    remainder.begin.map(({ path, throws }, id) => ({ id, path, guarded: !throws, alone: false })),
  );
  const lives = Array.from({ length: Math.max(1, workers) }, () =>
    work(state).catch((error: unknown) => {
      deps.abort();
      throw error;
    }),
  );
  const finished = Promise.allSettled(lives).then(async () => {
    await Promise.all(lives);
    return state.failure;
  });
  return { tally: state.tally, finished };
};
