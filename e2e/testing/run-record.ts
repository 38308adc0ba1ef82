// What a server that was killed, or was not, has come to: verdicts, recorded transitions, and what was built twice.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { RecordedTransition } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import type { World } from './ekaci.ts';
import type { LedgerLine } from './ledger.ts';
import { databasePath, type TestServer } from './server.ts';

/** Park and Miller's: the same whole numbers for the same seed. */
export const createRandom = (seed: number): ((below: number) => number) => {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
};

export const areAllDecided = async (server: TestServer, branches: number): Promise<boolean> => {
  const changes = await server.changes();
  return (
    changes.length === branches && changes.every(({ state }) => state === 'judged' || state === 'failed')
  );
};

const rowsOf = (summary: ChangeSummary | null) =>
  summary?.jobs.map(({ job, conclusion, outcomes, packageChanges }) => ({
    job,
    conclusion,
    // Not `base`: of what succeeds it is known only where it happened to be built just now.
    outcomes: outcomes.map(({ attr, kind, cause, culprit }) => [attr, kind, cause, culprit?.name ?? null]),
    packages: packageChanges.map(({ attr, primary }) => [attr, primary]),
  }));

/** What became of every change, in words that hold for any store. */
export const verdictsOf = async (server: TestServer) => {
  const changes = (await server.changes()).toSorted((a, b) => (a.branch < b.branch ? -1 : 1));
  return Promise.all(
    changes.map(async ({ branch, number, state, conclusion }) => {
      const { summary, fault } = await server.change(number);
      return { branch, state, conclusion, fault, headline: summary?.headline, rows: rowsOf(summary) };
    }),
  );
};

export interface Recorded extends Pick<RecordedTransition, 'drv' | 'from' | 'to' | 'cause' | 'atMs'> {
  readonly outputs: readonly string[];
}

/** Of a world whose server has ended. */
export const readTransitions = async (world: World): Promise<readonly Recorded[]> => {
  const database = await openSqliteDatabase({ path: databasePath(world), durability: 'power-loss' });
  try {
    const transitions = await database.builds.eventsSince(0, 1_000_000);
    const outputs = new Map<DrvPath, readonly string[]>();
    for (const drv of new Set(transitions.map((transition) => transition.drv))) {
      const node = await database.derivations.find(drv);
      outputs.set(drv, node?.outputs.flatMap(({ path }) => path ?? []) ?? []);
    }
    return transitions.map(({ drv, from, to, cause, atMs }) => {
      return { drv, from, to, cause, atMs, outputs: outputs.get(drv) ?? [] };
    });
  } finally {
    await database.close();
  }
};

/** `hash-name.drv` → `name`, with the state it ended in; sorted, because several have one name. */
export const statesOf = (transitions: readonly Recorded[]): string[] => {
  const states = new Map<DrvPath, string>(transitions.map(({ drv, to }) => [drv, to]));
  return [...states].map(([drv, state]) => `${drv.replace(/^.*\/[^-]+-/, '')}: ${state}`).toSorted();
};

export interface DoneAgain {
  /** Derivations that are recorded as having succeeded more than once. */
  readonly succeededTwice: readonly DrvPath[];
  /** Builders that came to their last line after their success was recorded. */
  readonly builtAfterSuccess: readonly LedgerLine[];
  /**
   * Last lines beyond the first of an output: it was killed before the store had what it made, which is what a build
   * that was killed looks like from within.
   */
  readonly linesAgain: number;
  /** How many builds each death of the server has interrupted, oldest first; deaths that interrupted none are left out. */
  readonly interrupted: readonly number[];
}

const count = <Key>(keys: Iterable<Key>): Map<Key, number> => {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
};

export const findDoneAgain = (transitions: readonly Recorded[], ledger: readonly LedgerLine[]): DoneAgain => {
  const succeeded = transitions.filter(({ to }) => to === 'succeeded');
  const times = [...count(succeeded.map(({ drv }) => drv))];
  const succeededAt = new Map(succeeded.flatMap(({ outputs, atMs }) => outputs.map((path) => [path, atMs])));
  const killed = transitions.filter(({ from, cause }) => from === 'building' && cause === 'scheduler-death');
  return {
    succeededTwice: times.filter(([, often]) => often > 1).map(([drv]) => drv),
    builtAfterSuccess: ledger.filter(({ output, atMs }) => atMs > (succeededAt.get(output) ?? 0)),
    linesAgain: ledger.length - new Set(ledger.map(({ output }) => output)).size,
    // Those of one death are recorded in one step, at the next start.
    interrupted: [...count(killed.map(({ atMs }) => atMs)).values()],
  };
};
