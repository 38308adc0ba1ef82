// The evaluator that needs nothing but `nix-instantiate`.
import type { EvaluationFailure } from '@eka-ci/core/evaluation';
import { createProcessRooting, createRootKeeper, type RootKeeper } from '../../gc-roots.ts';
import type { NixInstallation } from '../../installation.ts';
import { type Channel, createChannel } from '../channel.ts';
import type { EvaluationEnd, EvaluationEvent, Evaluator } from '../evaluator.ts';
import { createLogLimit } from '../log-limit.ts';
import { type NixSettings, workerArguments } from '../nix-options.ts';
import {
  createStop,
  endFailed,
  endRooted,
  evaluatePrepared,
  type Prepared,
  type Stop,
  timeoutFailure,
} from '../preparation.ts';
import { createSandbox, type Sandbox } from '../sandbox.ts';
import { type EvaluationRun, type Remainder, startEvaluationRun } from './evaluation-run.ts';

export interface StockEvaluatorDeps {
  readonly sandbox?: Sandbox;
  /** Nix settings for the builds of import-from-derivation, where that is allowed: substituters, keys, `sandbox`. */
  readonly buildSettings?: NixSettings;
  /** Of the directory of an evaluation. @default links there, so that `complete` means rooted */
  readonly openRoots?: (dir: string) => RootKeeper;
}

/** The events as they come; ends when the run has. Rejects with what a worker threw. */
async function* readEvents(
  events: Channel<EvaluationEvent>,
  run: EvaluationRun,
): AsyncGenerator<EvaluationEvent, EvaluationFailure | null> {
  const closed = run.finished.finally(() => events.close());
  closed.catch(() => {}); // Reported by `run.finished` below; this only keeps Node from calling it unhandled.
  for (let event = await events.read(); event !== undefined; event = await events.read()) yield event;
  return run.finished;
}

interface Finishing {
  readonly run: EvaluationRun;
  readonly roots: RootKeeper;
  readonly stop: Stop;
}

const finish = async (
  { request }: Prepared,
  { run, roots, stop }: Finishing,
  failure: EvaluationFailure | null,
): Promise<EvaluationEnd> => {
  const { evaluated, known, records, processes, peakMib } = run.tally;
  if (stop.timedOut()) {
    const reached = `${evaluated} of ${known} attributes found so far were evaluated`;
    return endFailed(timeoutFailure(request, reached));
  }
  if (failure !== null) return endFailed(failure);
  return endRooted(roots, { kind: 'complete', records, processes, peakMib });
};

/** What is prepared already, evaluated: the whole job, or what another driver has left of it. */
export type StockRun = (
  prepared: Prepared,
  caller: AbortSignal,
  remainder?: Remainder,
) => AsyncGenerator<EvaluationEvent, EvaluationEnd>;

export const createStockRun = (nix: NixInstallation, deps: StockEvaluatorDeps): StockRun => {
  const openRoots = deps.openRoots ?? ((dir) => createRootKeeper(createProcessRooting(nix), dir));

  return async function* run(prepared, caller, remainder) {
    const { request, confinement, flake } = prepared;
    const stop = createStop(request.limits.timeoutMs, caller);
    const events = createChannel<EvaluationEvent>(1000);
    const roots = openRoots(request.rootsDir);
    const logged = createLogLimit();
    const running = startEvaluationRun({
      nix,
      request,
      confinement,
      flake,
      roots,
      events,
      signal: stop.signal,
      abort: stop.abort,
      remainder,
      nixOptions: workerArguments(nix, prepared, deps.buildSettings ?? {}),
      onText: async (text) => {
        for (const event of logged(text)) await events.write(event);
      },
    });
    try {
      const failure = yield* readEvents(events, running);
      caller.throwIfAborted();
      return await finish(prepared, { run: running, roots, stop }, failure);
    } catch (error) {
      // Where a child takes longer to end than it is given, its streams break: that is no news to who ended it.
      caller.throwIfAborted();
      throw error;
    } finally {
      stop.abort();
      events.close();
      await running.finished.catch(() => {}); // Told by readEvents unless the caller no longer reads.
      await roots.finish().catch(() => {}); // No child of ours may outlive the generator.
      stop.dispose();
    }
  };
};

export const createStockEvaluator = (nix: NixInstallation, deps: StockEvaluatorDeps = {}): Evaluator => {
  const sandbox = deps.sandbox ?? createSandbox(nix);
  const run = createStockRun(nix, deps);
  return {
    name: 'stock',
    evaluate: (request, signal) =>
      evaluatePrepared({ nix, sandbox, run: (prepared, caller) => run(prepared, caller) }, request, signal),
  };
};
