// The runner's side of an evaluation: the evaluator that the server would use itself, over the runner's own copy of the
// tree, as the runner's own user.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { DrvPath } from '@eka-ci/core/ids';
import type { EvaluationEnd, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { createNixEvalJobsEvaluator } from '@eka-ci/nix/evaluator/nix-eval-jobs/nix-eval-jobs';
import { createStockEvaluator } from '@eka-ci/nix/evaluator/stock/stock-evaluator';
import { openTemporaryRoots, type TemporaryRoots } from '@eka-ci/nix/evaluator/temporary-roots';
import type { RootKeeper } from '@eka-ci/nix/gc-roots';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import type { DiskBounds } from './disk-watch.ts';
import { type EvaluationAsked, type RunnerEnd, tellEvent } from './evaluation-protocol.ts';
import { type Frame, writeFrame } from './runner-protocol.ts';
import { receiveTree } from './tree-stream.ts';

export interface EvaluationHost {
  readonly frames: AsyncGenerator<Frame>;
  readonly output: Writable;
  /** Nix is found by it, and gets of it what it needs. */
  readonly env: NodeJS.ProcessEnv;
  /** Empty; goes afterwards, with all in it. */
  readonly folder: string;
  readonly disk: DiskBounds;
  readonly signal: AbortSignal;
  /** From now on the server has nothing to say but that it has gone. */
  readonly onTree: () => void;
}

export interface HeldEvaluation {
  readonly end: RunnerEnd;
  /** Until it is called nothing that was told of is collected. */
  readonly release: () => Promise<void>;
}

/** The server makes the lasting ones, where the daemon sees them. */
const rootsElsewhere = (): RootKeeper => ({ add: () => {}, finish: async () => {} });

const refused = (why: string): RunnerEnd => ({ kind: 'refused', why });
const sayWhy = (error: unknown): RunnerEnd => refused(error instanceof Error ? error.message : String(error));

const samePath = 'give the units of both the same PATH and the same settings of Nix';

/** In words, where this Nix would give the answers of another one. */
const chooseAsAsked = (nix: NixInstallation, { nix: asked }: EvaluationAsked): Evaluator | string => {
  if (nix.storeDir !== asked.storeDir)
    return `the sandbox's Nix has its store at ${nix.storeDir} and the server's at ${asked.storeDir}: ${samePath}`;
  const deps = { openRoots: rootsElsewhere };
  if (asked.evaluator === 'stock') return createStockEvaluator(nix, deps);
  return nix.programs.evalJobs === null
    ? `the sandbox does not find nix-eval-jobs, which the server has: ${samePath}`
    : createNixEvalJobsEvaluator(nix, deps);
};

interface Evaluating {
  readonly evaluator: Evaluator;
  readonly roots: TemporaryRoots;
}

const evaluateTree = async (
  { evaluator, roots }: Evaluating,
  { target, limits, allowImportFromDerivation, allowNetwork, sandbox }: EvaluationAsked,
  { output, folder, signal }: EvaluationHost,
): Promise<EvaluationEnd> => {
  const events = evaluator.evaluate(
    {
      ...{ target, limits, allowImportFromDerivation, allowNetwork, sandbox },
      ...{ tree: treeIn(folder), rootsDir: join(folder, 'roots') },
    },
    signal,
  );
  // Beside the telling: a round to the daemon for each would take as long as evaluating it. Whoever wrote it holds it
  // meanwhile, as long as that lives.
  let kept = Promise.resolve();
  const keep = (path: DrvPath): void => {
    kept = kept.then(() => roots.add(path));
    kept.catch(() => {}); // Told at the end.
  };
  try {
    for (;;) {
      const next = await events.next();
      if (next.done === true) {
        await kept;
        return next.value;
      }
      const event = next.value;
      if (event.type === 'record' && event.record.kind === 'derivation') keep(event.record.drvPath);
      await writeFrame(output, 'event', tellEvent(event));
    }
  } finally {
    // Where the server is not there to be told.
    await events.return({ kind: 'failed', failure: { kind: 'killed', message: 'ended', position: null } });
  }
};

/** Names in the store come from the last part of it. */
const treeIn = (folder: string): string => join(folder, 'tree', 'source');

const warnOfVersion = async (output: Writable, ours: string, asked: string): Promise<void> => {
  if (ours === asked) return;
  const message = `the sandbox evaluates with Nix ${ours}, and the server was started with ${asked}: restart the server, or give the units of both the same PATH`;
  await writeFrame(output, 'event', tellEvent({ type: 'warning', message }));
};

/** Never rejects. */
export const runEvaluation = async (
  asked: EvaluationAsked,
  host: EvaluationHost,
): Promise<HeldEvaluation> => {
  const { frames, folder, output, signal } = host;
  let roots: TemporaryRoots | null = null;
  const release = async (): Promise<void> => roots?.release();
  try {
    const [tmp, cache] = [join(folder, 'tmp'), join(folder, 'cache')];
    await Promise.all([mkdir(tmp), mkdir(cache), mkdir(join(folder, 'tree'))]);
    const nix = await findNix({ ...host.env, TMPDIR: tmp, XDG_CACHE_HOME: cache });
    const evaluator = chooseAsAsked(nix, asked);
    if (typeof evaluator === 'string') return { end: refused(evaluator), release };
    await receiveTree(frames, treeIn(folder), host.disk);
    host.onTree();
    roots = await openTemporaryRoots(nix, signal);
    await warnOfVersion(output, nix.version, asked.nix.version);
    return { end: await evaluateTree({ evaluator, roots }, asked, host), release };
  } catch (error) {
    return { end: sayWhy(error), release };
  }
};
