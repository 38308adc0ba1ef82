// What is known of the derivations that are being built now: read once for each, kept while it is asked for.
import { estimateDuration } from '@eka-ci/core/build-durations';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Database } from '../../database/database.ts';
import { packageKeyOf } from '../../database/package-key.ts';

export interface RunningFact {
  readonly system: string;
  readonly fixedOutput: boolean;
  /** What earlier builds of the package took; null where there were none. */
  readonly expectedMs: number | null;
}

export interface RunningFacts {
  /**
   * Those of the derivations that are stored. To be asked for all that run: what is not asked for is forgotten.
   * @throws DatabaseError
   */
  of(running: readonly DrvPath[]): Promise<ReadonlyMap<DrvPath, RunningFact>>;
}

const readFact = async (
  { packages }: Pick<Database, 'packages'>,
  { path, system, fixedOutput }: DrvNode,
): Promise<RunningFact> => {
  const [history] = await packages.historiesOf([packageKeyOf(path, { system, fixedOutput })]);
  return {
    system,
    fixedOutput,
    expectedMs: history === undefined ? null : estimateDuration(history.recentMs),
  };
};

export const createRunningFacts = (database: Pick<Database, 'derivations' | 'packages'>): RunningFacts => {
  let known: ReadonlyMap<DrvPath, RunningFact> = new Map();
  return {
    async of(running) {
      const facts = new Map<DrvPath, RunningFact>();
      for (const drv of running) {
        const kept = known.get(drv);
        const node = kept === undefined ? await database.derivations.find(drv) : null;
        const fact = kept ?? (node === null ? undefined : await readFact(database, node));
        if (fact !== undefined) facts.set(drv, fact);
      }
      known = facts;
      return facts;
    },
  };
};
