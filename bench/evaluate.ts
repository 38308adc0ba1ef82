// evaluate: a generated package set with 2 % of its attributes failing uncatchably, against one plain nix-instantiate.
import { join } from 'node:path';
import type { EvaluationRequest, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { createNixEvalJobsEvaluator } from '@eka-ci/nix/evaluator/nix-eval-jobs/nix-eval-jobs';
import { createSandbox } from '@eka-ci/nix/evaluator/sandbox';
import { createStockEvaluator } from '@eka-ci/nix/evaluator/stock/stock-evaluator';
import { type Collected, collectEvaluation } from '@eka-ci/nix/evaluator/testing/collect';
import { generateSet } from '@eka-ci/nix/evaluator/testing/generated-set';
import { makeTemporaryStore, type TemporaryStore } from '@eka-ci/nix/evaluator/testing/temporary-store';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { runChild } from '@eka-ci/process';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  type Outcome,
  type RunOptions,
  type Samples,
  type Side,
  summarize,
  type Timed,
  timeInterleaved,
  timesAsMuch,
  within,
} from './measure.ts';

const workers = 2;

/** A side that finds a store with nothing in it: what is there already need not be written. */
interface Stores {
  fresh(): Promise<void>;
  current(): TemporaryStore;
  remove(): Promise<void>;
}

const createStores = (): Stores => {
  let store: TemporaryStore | undefined;
  return {
    fresh: async () => {
      await store?.remove();
      store = await makeTemporaryStore();
    },
    current: () => {
      if (store === undefined) throw new Error('no store was made yet');
      return store;
    },
    remove: async () => store?.remove(),
  };
};

const requestFor = (store: TemporaryStore, tree: string): EvaluationRequest => ({
  tree,
  target: { kind: 'file', file: 'default.nix', attrPath: [] },
  limits: { workers, maxMemoryMib: 2048, timeoutMs: 600_000 },
  allowImportFromDerivation: false,
  allowNetwork: false,
  sandbox: 'preferred',
  rootsDir: join(store.folder, 'roots'),
});

interface Work {
  readonly derivations: number;
  readonly failed: number;
  readonly processes: number;
  readonly firstRecordMs: number;
}

const workIn = ({ records, end, firstRecordMs }: Collected): Work => ({
  derivations: records.filter((record) => record.kind === 'derivation').length,
  failed: records.filter((record) => record.kind === 'failed').length,
  processes: end.kind === 'complete' ? end.processes : Number.NaN,
  firstRecordMs,
});

const evaluatorSide = (
  stores: Stores,
  text: string,
  make: (nix: NixInstallation) => Evaluator,
): Side<Work> => {
  let tree = '';
  return {
    prepare: async () => {
      await stores.fresh();
      tree = await stores.current().tree({ 'default.nix': text });
    },
    run: async () => {
      const store = stores.current();
      return workIn(await collectEvaluation(make(store.nix), requestFor(store, tree)));
    },
  };
};

/** One process, no isolation of errors: what evaluating must cost at least, on one core. */
const plainSide = (stores: Stores, text: string): Side<Work> => {
  let tree = '';
  return {
    prepare: async () => {
      await stores.fresh();
      tree = await stores.current().tree({ 'default.nix': text });
    },
    run: async () => {
      const { nix } = stores.current();
      const done = await runChild({
        command: nix.programs.instantiate,
        args: [join(tree, 'default.nix')],
        env: nix.env,
      });
      const derivations = done.stdout.trim().split('\n').length;
      return { derivations, failed: 0, processes: 1, firstRecordMs: Number.NaN };
    },
  };
};

/** What one restart costs whoever restarts: a confined process that reads the set and evaluates one attribute. */
const restartSide = (stores: Stores, text: string): Side<Work> => {
  let command: readonly string[] = [];
  let env: Readonly<Record<string, string>> = {};
  return {
    prepare: async () => {
      await stores.fresh();
      const store = stores.current();
      const { nix } = store;
      const confining = await createSandbox(nix).prepare({
        ...requestFor(store, await store.tree({ 'default.nix': text })),
        writable: [],
      });
      if (confining.kind === 'refused') throw new Error(confining.reason);
      const { confinement } = confining;
      env = confinement.env;
      const expression = `(import ${confinement.tree}/default.nix).package000000.drvPath`;
      const options = ['--eval', '--read-write-mode', '--option', 'build-users-group', ''];
      command = confinement.wrap([nix.programs.instantiate, ...options, '--expr', expression]);
    },
    run: async () => {
      const [program = '', ...args] = command;
      const done = await runChild({ command: program, args, env });
      return { derivations: done.code === 0 ? 1 : 0, failed: 0, processes: 1, firstRecordMs: Number.NaN };
    },
  };
};

const mapSamples = (samples: Samples, change: (ms: number) => number): Samples => ({
  median: change(samples.median),
  min: change(samples.min),
  max: change(samples.max),
  count: samples.count,
});

type Sides = Readonly<Record<'plain' | 'whole' | 'failing' | 'restart', Timed<Work>>>;

const figuresOf = (
  { plain, whole, failing, restart }: Sides,
  firstRecordsMs: readonly number[],
): Figure[] => {
  const ideal = mapSamples(plain.ms, (ms) => ms / workers);
  const restarts = (failing.result.failed * restart.ms.median) / workers;
  const baseline = { name: `nix-instantiate ÷ ${workers}`, samples: ideal };
  const withRestarts = {
    name: `${baseline.name} + restarts`,
    samples: mapSamples(ideal, (ms) => ms + restarts),
  };
  return [
    timesAsMuch({ name: 'no failures', ours: whole.ms, baseline, atMost: 1.3 }),
    timesAsMuch({ name: '2 % failing', ours: failing.ms, baseline: withRestarts, atMost: 1.3 }),
    within({ name: 'first record', unit: 'ms', ours: summarize(firstRecordsMs), atMost: 1000 }),
    forOrientation({ name: 'one restart', unit: 'ms', ours: restart.ms }),
    forOrientation({ name: 'processes', unit: '', ours: summarize([failing.result.processes]) }),
  ];
};

const measure = async (stores: Stores, { smoke, repetitions }: RunOptions): Promise<Figure[]> => {
  const size = smoke ? 100 : 2000;
  const clean = generateSet(size, 0).text;
  const broken = generateSet(size, size / 50);
  const firstRecordsMs: number[] = [];
  const stock = (nix: NixInstallation): Evaluator => createStockEvaluator(nix);
  const failing = evaluatorSide(stores, broken.text, stock);
  const timed = await timeInterleaved<Record<keyof Sides, Work>>(
    {
      plain: plainSide(stores, clean),
      whole: evaluatorSide(stores, clean, stock),
      restart: restartSide(stores, clean),
      failing: {
        ...failing,
        run: async () => {
          const work = await failing.run();
          firstRecordsMs.push(work.firstRecordMs);
          return work;
        },
      },
    },
    { repetitions },
  );
  assertSameWork('derivations', {
    plain: timed.plain.result.derivations,
    ours: timed.whole.result.derivations,
  });
  const { derivations, failed } = timed.failing.result;
  assertSameWork('attributes', { made: size, evaluated: derivations + failed });
  assertSameWork('failures', { made: broken.failing.size, named: failed });
  return [...figuresOf(timed, firstRecordsMs), ...(await measureEvalJobs(stores, broken.text, repetitions))];
};

const measureEvalJobs = async (stores: Stores, text: string, repetitions: number): Promise<Figure[]> => {
  if (stores.current().nix.programs.evalJobs === null) return [];
  const side = evaluatorSide(stores, text, (nix) => createNixEvalJobsEvaluator(nix));
  const { jobs } = await timeInterleaved({ jobs: side }, { repetitions });
  return [forOrientation({ name: 'nix-eval-jobs, 2 % failing', unit: 'ms', ours: jobs.ms })];
};

export const evaluate: Benchmark = {
  name: 'evaluate',
  what: 'a generated package set, 2 % of it failing uncatchably, against one nix-instantiate over a set without failures',
  run: async (options: RunOptions): Promise<Outcome> => {
    const stores = createStores();
    try {
      return { kind: 'measured', figures: await measure(stores, options) };
    } finally {
      await stores.remove();
    }
  },
};
