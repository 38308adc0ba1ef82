// When changes that lacked a builder are judged again: by what is offered, not by who answers.
import { noHindrances } from '@eka-ci/core/hindrances';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PooledBuilder } from '../builder/builder-pool.ts';
import type { Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { watchSatisfiable } from './satisfiable.ts';

let database: Database;
beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterEach(() => database.close());

const builderFor = (system: string, more: Partial<PooledBuilder> = {}): PooledBuilder => ({
  name: system,
  systems: [system],
  features: [],
  mandatoryFeatures: [],
  slots: { build: 1, fixedOutput: 1 },
  speed: 1,
  isLocal: false,
  build: () => Promise.reject(new Error('nothing is built here')),
  ...more,
});

/** A branch that was judged, and lacked a builder for these systems. */
const lacking = async (id: string, systems: readonly string[]): Promise<void> => {
  const { changes, deliveries } = database;
  const sha = 'a'.repeat(40) as CommitSha;
  const of = { repository: 'owner/set', branch: id, base: sha, head: sha, title: id, newId: id };
  await deliveries.receive([{ key: id, payload: '{}', receivedAtMs: 1 }]);
  await changes.apply([{ deliveryKey: id, update: { kind: 'head-moved', ...of } }], 1);
  await judge(id, systems);
};

const judge = async (id: string, systems: readonly string[]): Promise<void> => {
  expect(await database.changes.claimNext({ owner: 'a', nowMs: 0, untilMs: 1 })).toMatchObject({ id });
  const unsatisfiable = systems.map((system) => ({ system, requiredFeatures: [], fixedOutput: false }));
  const judged = {
    state: 'judged',
    base: null,
    judgedTree: 'd'.repeat(40) as TreeSha,
    title: id,
    conclusion: 'neutral',
    summaryJson: '{}',
    markdown: '',
    hindrances: { ...noHindrances, unsatisfiable },
  } as const;
  await database.changes.finish({ id, owner: 'a' }, judged, 2);
};

it('looks at the start and when another offer is made, and not when a builder only comes and goes', async () => {
  await lacking('both', ['riscv64-linux', 'aarch64-linux']);
  await lacking('one', ['riscv64-linux']);
  let builders = [builderFor('x86_64-linux')];
  let tell = (): void => {};
  let looks = 0;
  const requeued: string[] = [];
  const faults: unknown[] = [];
  let isDown = false;
  const { changes } = database;
  const watch = watchSatisfiable({
    database: {
      changes: {
        ...changes,
        offerChanged: () => {
          looks += 1;
          return isDown ? Promise.reject(new Error('it is down')) : changes.offerChanged();
        },
      },
    },
    pool: {
      builders: () => builders,
      watch: (onChange) => {
        tell = onChange;
        return () => {
          tell = () => {};
        };
      },
    },
    clock: () => 3,
    onRequeued: (queued) => requeued.push(...queued.map(({ id }) => id)),
    onFault: (error) => faults.push(error),
  });
  const settled = async (count: number): Promise<void> => {
    await expect.poll(() => looks).toBe(count);
  };
  await settled(1);
  tell();
  builders = [builderFor('x86_64-linux', { speed: 2, slots: { build: 8, fixedOutput: 1 } })];
  tell();
  builders = [...builders, builderFor('aarch64-linux')];
  tell();
  await expect.poll(() => requeued).toEqual(['both']);
  expect(looks).toBe(2);
  await judge('both', ['riscv64-linux']);
  isDown = true;
  builders = [...builders, builderFor('riscv64-linux')];
  tell();
  await settled(3);
  isDown = false;
  tell();
  await expect.poll(() => requeued.slice(1)).toEqual(['both', 'one']);
  expect(faults).toHaveLength(1);
  await watch.stop();
  builders = [];
  tell();
  await watch.stop();
  expect(looks).toBe(4);
});
