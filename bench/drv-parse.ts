// drv-parse: every derivation file of a real package set, from the disk to objects, on one core.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDerivation } from '@eka-ci/nix/derivation';
import { createFileReader } from '@eka-ci/nix/derivation-files';
import { findRealDerivations, whereRealDerivationsAre } from '@eka-ci/nix/testing/real-derivations';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  type Outcome,
  type RunOptions,
  timeInterleaved,
  timesAsMuch,
  timesLess,
} from './measure.ts';
import { type RealStore, registerWithNix, unpackRealStore } from './real-store.ts';
import {
  batchSize,
  findOldNix,
  type Programs,
  type Read,
  showClosure,
  showInBatches,
} from './show-derivation.ts';

const readOurs = (files: readonly string[]): Read => {
  const readFile = createFileReader();
  let [edges, variables] = [0, 0];
  for (const file of files) {
    const derivation = parseDerivation(readFile(file), file);
    edges += derivation.inputs.length;
    variables += derivation.env.length;
  }
  return { derivations: files.length, edges, variables };
};

/** The reader that our side uses, and nothing else: the strictest form of "just reading". */
const onlyRead = (files: readonly string[]): number => {
  const readFile = createFileReader();
  return files.reduce((sum, file) => sum + readFile(file).length, 0);
};

/** Just reading as everybody would write it. */
const onlyReadFileSync = (files: readonly string[]): number =>
  files.reduce((sum, file) => sum + readFileSync(file, 'latin1').length, 0);

const compareWithReading = async (
  files: readonly string[],
  repetitions: number,
): Promise<readonly Figure[]> => {
  const timed = await timeInterleaved(
    {
      ours: { run: () => readOurs(files) },
      read: { run: () => onlyRead(files) },
      readFileSync: { run: () => onlyReadFileSync(files) },
    },
    { repetitions: repetitions * 2 - 1, warmUps: 2 },
  );
  assertSameWork('bytes', { read: timed.read.result, readFileSync: timed.readFileSync.result });
  const perSecond = (ms: number): number => files.length / (ms / 1000);
  const ours = timed.ours.ms;
  const rate = {
    ...ours,
    median: perSecond(ours.median),
    min: perSecond(ours.max),
    max: perSecond(ours.min),
  };
  return [
    timesAsMuch({
      name: '(c) parse against our own bare reading',
      ours,
      baseline: { name: 'read only', samples: timed.read.ms },
      atMost: 2.5,
    }),
    timesAsMuch({
      name: '(c) parse against readFileSync',
      ours,
      baseline: { name: 'readFileSync', samples: timed.readFileSync.ms },
      atMost: 2.5,
    }),
    forOrientation({ name: 'rate', unit: 'files/s', ours: rate }),
  ];
};

const compareWithPrograms = async (programs: Programs, repetitions: number): Promise<readonly Figure[]> => {
  const files = programs.store.paths.map((path) => join(programs.store.root, path));
  const timed = await timeInterleaved(
    {
      ours: { run: () => readOurs(files) },
      closure: { run: () => showClosure(programs) },
      batches: { run: () => showInBatches(programs) },
    },
    { repetitions, warmUps: 1 },
  );
  for (const count of ['derivations', 'edges', 'variables'] as const) {
    const { ours, closure, batches } = timed;
    assertSameWork(count, {
      ours: ours.result[count],
      closure: closure.result[count],
      batches: batches.result[count],
    });
  }
  const ours = timed.ours.ms;
  return [
    timesLess({
      name: '(a) against one nix show-derivation -r',
      ours,
      baseline: { name: 'show -r', samples: timed.closure.ms },
      atLeast: 5,
    }),
    timesLess({
      name: `(b) against nix show-derivation by ${batchSize}`,
      ours,
      baseline: { name: `by ${batchSize}`, samples: timed.batches.ms },
      atLeast: 15,
    }),
  ];
};

const measure = async (store: RealStore, { repetitions }: RunOptions): Promise<Outcome> => {
  const files = store.paths.map((path) => join(store.root, path));
  const reading = await compareWithReading(files, repetitions);
  const nix = await findOldNix();
  const size = `${files.length} files; page cache warm`;
  if (nix === null) {
    return {
      kind: 'measured',
      figures: reading,
      notes: [size, 'no Nix of 2.0 to 2.19 here: (a) and (b) left out'],
    };
  }
  await registerWithNix(nix, store);
  const programs = await compareWithPrograms({ nix, store }, repetitions);
  return { kind: 'measured', figures: [...programs, ...reading], notes: [`${size}; Nix ${nix.version}`] };
};

export const drvParse: Benchmark = {
  name: 'drv-parse',
  what: 'read and parse the derivation files of a real package set, against Nix printing them and against reading alone',
  run: async (options) => {
    const data = findRealDerivations();
    if (data === null)
      return { kind: 'skipped', why: `no real derivations here; ${whereRealDerivationsAre}` };
    const store = await unpackRealStore(data, { small: options.smoke });
    try {
      return await measure(store, options);
    } finally {
      await store.dispose();
    }
  },
};
