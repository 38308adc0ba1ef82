// A database as a server has it after months, made at once: derivations with the degrees of a real set, their builds,
// jobsets, changes with summaries. Everything follows from its number, so two of one size are the same.

import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { CommitSha, DrvPath, StorePath, TreeSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import type { BuildTransition, Database, StoredChange } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';

export interface StateSize {
  /** As the server's Nix has it. */
  readonly storeDir: string;
  readonly derivations: number;
  /** `waiting`: each is queued, as a server that was killed leaves them. `done`: built, 3 of 100 failed. */
  readonly builds: 'waiting' | 'done';
  /** Each with a jobset of its own. */
  readonly changes: number;
}

export const benchRepository = 'bench/packages';
const rowsAtOnce = 4096;
const inputsOfEach = 6;
/** Of every build that was started: relative to the server's log folder, and the caller's to make. */
export const logFile = 'bench.log';
/** How far back in the order of the set an input lies, at most: real sets are deep, but not by chance alone. */
const reach = 3000;

/** Park and Miller's. */
const createRandom = (): ((below: number) => number) => {
  let state = 20_260_105;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
};

const hashOf = (kind: number, number: number): string =>
  (kind * 1e12 + number)
    .toString(31)
    .padStart(32, '0')
    .replaceAll('e', 'v')
    .replaceAll('o', 'w')
    .replaceAll('t', 'x')
    .replaceAll('u', 'y');

/** Its name in the store. */
export const drvNameOf = (number: number): string => `${hashOf(1, number)}-package-${number}-1.0.drv`;

const drvPathOf = ({ storeDir }: StateSize, number: number): DrvPath =>
  `${storeDir}/${drvNameOf(number)}` as DrvPath;

const shaOf = (kind: number, number: number): string => (kind * 1e12 + number).toString(16).padStart(40, '0');
export const headOf = (change: number): CommitSha => shaOf(1, change) as CommitSha;

const createNode = (size: StateSize, number: number, random: (below: number) => number): DrvNode => {
  const inputs = new Set<number>();
  for (let edge = 0; edge < inputsOfEach && number > 0; edge++)
    inputs.add(number - 1 - random(Math.min(number, reach)));
  return {
    path: drvPathOf(size, number),
    system: 'x86_64-linux',
    fixedOutput: number % 5 === 0,
    preferLocalBuild: false,
    allowSubstitutes: true,
    requiredFeatures: [],
    outputs: [
      { name: 'out', path: `${size.storeDir}/${hashOf(2, number)}-package-${number}-1.0` as StorePath },
    ],
    inputs: [...inputs].map((input) => ({ path: drvPathOf(size, input), outputs: ['out'] })),
  };
};

const transitionsOf = (size: StateSize, number: number): BuildTransition[] => {
  const nothing = {
    drv: drvPathOf(size, number),
    attempt: 1,
    cause: null,
    culprit: null,
    message: null,
    logFile: null,
  };
  const start = 1_700_000_000_000 + number * 1000;
  const queued: BuildTransition = { ...nothing, from: null, to: 'queued', atMs: start };
  if (size.builds === 'waiting') return [queued];
  const building: BuildTransition = { ...nothing, from: 'queued', to: 'building', atMs: start + 1, logFile };
  const failed = number % 33 === 0;
  const end: Partial<BuildTransition> = failed
    ? { to: 'failed', cause: 'builder-exit', message: 'builder failed with exit code 2' }
    : { to: 'succeeded', cause: 'built' };
  return [queued, building, { ...building, from: 'building', to: 'succeeded', atMs: start + 2, ...end }];
};

const saveBuilds = async (database: Database, size: StateSize): Promise<void> => {
  const { derivations } = size;
  const random = createRandom();
  for (let at = 0; at < derivations; at += rowsAtOnce) {
    const numbers = Array.from({ length: Math.min(rowsAtOnce, derivations - at) }, (_, index) => at + index);
    await database.derivations.save(numbers.map((number) => createNode(size, number, random)));
    await database.builds.recordTransitions(numbers.flatMap((number) => transitionsOf(size, number)));
  }
};

const changeOf = (number: number, summary: string, builds: StateSize['builds']): StoredChange => {
  const waits = builds === 'waiting';
  return {
    id: `change-${number}`,
    kind: 'branch',
    repository: benchRepository,
    number: number + 1,
    branch: `branch-${number}`,
    baseBranch: null,
    base: shaOf(2, 0) as CommitSha,
    head: headOf(number),
    judgedTree: shaOf(3, number) as TreeSha,
    title: `package-${number}: 1.0 -> 1.1`,
    state: waits ? 'queued' : 'judged',
    createdAtMs: 1_700_000_000_000 + number,
    updatedAtMs: 1_700_000_000_000 + number,
    conclusion: waits ? null : 'failure',
    fault: waits ? 'GIT_UNREACHABLE: later' : null,
    faults: waits ? 1 : 0,
    // Nothing is to begin while a server is measured.
    retryAtMs: waits ? 4_000_000_000_000 : null,
    approved: false,
    summaryJson: waits ? null : summary,
    markdown: waits ? null : '# What it comes to\n',
    requestJson: null,
  };
};

const saveChanges = async (database: Database, size: StateSize): Promise<void> => {
  const { changes, builds, derivations } = size;
  const summary = JSON.stringify(exampleSummary());
  for (let number = 0; number < changes; number++) {
    await database.changes.save(changeOf(number, summary, builds));
    const [tree, drv] = [shaOf(3, number) as TreeSha, drvPathOf(size, number % derivations)];
    const key = { tree, commit: null, jobDefinition: 'bench', systems: ['x86_64-linux'], settings: 'bench' };
    await database.jobsets.saveComplete({
      key: { ...key, evaluator: 'stock', evaluatorVersion: '1' },
      completedAtMs: 1,
      records: [
        [
          {
            kind: 'failed',
            attr: drv,
            attrPath: [drv],
            failure: { kind: 'throw', message: 'no', position: null },
          },
        ],
      ],
    });
  }
};

/** Makes the file, or one without any rows for a size of zeros. */
export const storeState = async (path: string, size: StateSize): Promise<void> => {
  const database = await openSqliteDatabase({ path, durability: 'process-death' });
  try {
    await saveBuilds(database, size);
    await saveChanges(database, size);
  } finally {
    await database.close();
  }
};
