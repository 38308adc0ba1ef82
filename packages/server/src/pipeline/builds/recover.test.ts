// What a dead server left, on a real database: the store decides what is done.
import type { BuildState } from '@eka-ci/core/build-state';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, step } from '../../database/testing/samples.ts';
import { createRecorder } from './record.ts';
import { recoverBuilds } from './recover.ts';

/** The states a build goes through to be left in the last one. */
const left: readonly (readonly BuildState[])[] = [
  ['queued'],
  ['queued', 'buildable'],
  ['queued', 'buildable', 'building'],
  ['queued', 'interrupted'],
  ['queued', 'buildable', 'building', 'interrupted'],
  ['queued', 'buildable', 'building', 'succeeded'],
];

it('records what is in the store as done, and the rest as interrupted', async () => {
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  const recorder = createRecorder({ database, clock: () => 5 });
  const leave = async (states: readonly BuildState[]): Promise<DrvPath> => {
    const node = newNode();
    await database.derivations.save([
      { ...node, outputs: [{ name: 'out', path: `${node.path.slice(0, -4)}-out` as StorePath }] },
    ]);
    const steps = states.map((state, at) => ({
      ...step(node.path, states[at - 1] ?? null, state),
      cause: state === 'interrupted' ? ('scheduler-death' as const) : null,
    }));
    await database.builds.recordTransitions(steps);
    return node.path;
  };
  try {
    const present: DrvPath[] = [];
    const absent: DrvPath[] = [];
    for (const states of left) {
      present.push(await leave(states));
      absent.push(await leave(states));
    }
    const valid = new Set<string>(present.map((drv) => `${drv.slice(0, -4)}-out`));
    const store = {
      queryValid: async <Path extends string>(paths: Iterable<Path>) =>
        new Set([...paths].filter((path) => valid.has(path))),
    };
    expect(await recoverBuilds({ database, recorder, store })).toEqual({ succeeded: 2, interrupted: 5 });
    const states = async (drvs: readonly DrvPath[]) => {
      const stored = await database.builds.statesOf(drvs);
      return drvs.map((drv) => [stored.get(drv)?.state, stored.get(drv)?.cause]);
    };
    const done = ['succeeded', 'already-valid'];
    const dead = ['interrupted', 'scheduler-death'];
    // What had only waited is not asked for.
    expect(await states(present)).toEqual([dead, dead, done, dead, done, ['succeeded', null]]);
    expect(await states(absent)).toEqual([dead, dead, dead, dead, dead, ['succeeded', null]]);
    expect(await recoverBuilds({ database, recorder, store })).toEqual({ succeeded: 0, interrupted: 0 });
  } finally {
    await database.close();
  }
});
