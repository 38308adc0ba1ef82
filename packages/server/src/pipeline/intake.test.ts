// Intake on a real database: any history of branches, with crashes in it, ends in the changes of the last listing.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ChangeListing, Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import type { RepositoryListing } from '../forge/forge.ts';
import { resumeDeliveries, takeListing } from './intake.ts';

const shaOf = (digit: number): CommitSha => String(digit).repeat(40) as CommitSha;

const tipsOf = (branches: Readonly<Record<string, number>>) =>
  Object.entries(branches).map(([name, digit]) => ({ name, sha: shaOf(digit) }));

const listingOf = (
  branches: Readonly<Record<string, number>>,
  baselines: Readonly<Record<string, number>> = {},
): RepositoryListing => ({
  repository: { name: 'owner/set', url: '/set', baseBranch: 'main', pollIntervalMs: 1 },
  baseTip: shaOf(9),
  baselines: tipsOf(baselines),
  branches: tipsOf(branches),
});

const withDatabase = async (work: (database: Database) => Promise<void>): Promise<void> => {
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  try {
    await work(database);
  } finally {
    await database.close();
  }
};

const all = async (database: Database): Promise<readonly ChangeListing[]> =>
  (await database.changes.list({ limit: 1000 })).changes;

/** Takes a listing in, and dies before its deliveries are carried out. */
const dieInTheMiddle = async (database: Database, listing: RepositoryListing): Promise<void> => {
  const changes: Database['changes'] = {
    ...database.changes,
    apply: () => Promise.reject(new Error('kill -9')),
  };
  const deps = { database: { deliveries: database.deliveries, changes }, clock: () => 1 };
  const end = await takeListing(deps, listing).then(
    ({ queued, ended }) => [...queued, ...ended].length,
    (error: unknown) => (error instanceof Error ? error.message : error),
  );
  // Where there was nothing new there was nothing to die of.
  expect([0, 'kill -9']).toContain(end);
};

const history = fc.array(
  fc.record({
    branches: fc.dictionary(fc.constantFrom('a', 'b', '"c" 🦀'), fc.integer({ min: 1, max: 3 })),
    dies: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

it('ends in the changes of the last listing, each head once, whatever happened on the way', async () => {
  await withDatabase(async (database) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const name = `owner/set${run++}`;
        const deps = { database, clock: () => 1 };
        const numbers = new Map<string, number>();
        for (const { branches, dies } of steps) {
          const plain = listingOf(branches);
          const listing = { ...plain, repository: { ...plain.repository, name } };
          if (dies) {
            await dieInTheMiddle(database, listing);
            await resumeDeliveries(deps);
          }
          await takeListing(deps, listing);
          expect(await takeListing(deps, listing)).toEqual({ queued: [], ended: [] });
          const rows = (await all(database)).filter(({ repository }) => repository === name);
          const open = rows.filter(({ state }) => state === 'queued');
          expect(Object.fromEntries(open.map(({ branch, head }) => [branch, head]))).toEqual(
            Object.fromEntries(listing.branches.map((branch) => [branch.name, branch.sha])),
          );
          expect(open).toHaveLength(listing.branches.length);
          for (const { branch, number } of rows) {
            expect(numbers.get(branch) ?? number).toBe(number);
            numbers.set(branch, number);
          }
          expect(new Set(numbers.values()).size).toBe(numbers.size);
        }
        expect(await database.deliveries.unfinished(10)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

it('takes a branch back that went to an old head, and one that came back', async () => {
  await withDatabase(async (database) => {
    const deps = { database, clock: () => 1 };
    const heads = [{ a: 1 }, { a: 2 }, { a: 1 }, {}, { a: 1 }];
    const queued: number[] = [];
    for (const branches of heads) {
      const taken = await takeListing(deps, listingOf(branches));
      queued.push(taken.queued.length);
    }
    expect(queued).toEqual([1, 1, 1, 0, 1]);
    expect((await all(database)).map(({ number }) => number)).toEqual([1, 1, 1, 1]);
  });
});

it('takes five hundred branches at once', async () => {
  await withDatabase(async (database) => {
    const deps = { database, clock: () => 1 };
    const names = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`b${index}`, 1]));
    const taken = await takeListing(deps, listingOf(names));
    expect(taken.queued).toHaveLength(500);
    expect(new Set(taken.queued.map(({ number }) => number)).size).toBe(500);
    const gone = await takeListing(deps, listingOf({}));
    expect(gone.ended).toHaveLength(500);
  });
});

/** Judges what is queued of baselines, as the loop would: all of it, or as a failure. */
const judgeBaselines = async (database: Database, end: 'judged' | 'failed'): Promise<void> => {
  for (;;) {
    const claimed = await database.changes.claimNext({ owner: 'server', nowMs: 5, untilMs: 10 });
    if (claimed === null) return;
    const judged = {
      state: 'judged',
      base: claimed.base,
      judgedTree: 'd'.repeat(40) as TreeSha,
      title: 'a tip',
      conclusion: 'success',
      summaryJson: '{}',
      markdown: '',
    } as const;
    const failed = { state: 'failed', conclusion: 'failure', fault: 'CONFIG_INVALID: mend it' } as const;
    await database.changes.finish({ id: claimed.id, owner: 'server' }, end === 'judged' ? judged : failed, 6);
  }
};

const baseHistory = fc.array(
  fc.record({
    tips: fc.dictionary(fc.constantFrom('main', 'release/1'), fc.integer({ min: 1, max: 4 })),
    end: fc.constantFrom('judged', 'failed', 'skipped' as const),
    dies: fc.boolean(),
  }),
  { minLength: 1, maxLength: 10 },
);

it('judges each tip of a base branch against the last one that was judged, whatever was skipped', async () => {
  await withDatabase(async (database) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(baseHistory, async (steps) => {
        const name = `owner/base${run++}`;
        const deps = { database, clock: () => 1 };
        const lastJudged = new Map<string, string>();
        for (const { tips, end, dies } of steps) {
          const plain = listingOf({}, tips);
          const listing = { ...plain, repository: { ...plain.repository, name } };
          if (dies) {
            await dieInTheMiddle(database, listing);
            await resumeDeliveries(deps);
          }
          await takeListing(deps, listing);
          expect(await takeListing(deps, listing)).toEqual({ queued: [], ended: [] });
          const query = { repository: name, kinds: ['baseline'], limit: 1000 } as const;
          const { changes: queued } = await database.changes.list({ ...query, states: ['queued'] });
          for (const { branch, head, base, number } of queued) {
            expect([head, base, number]).toEqual([
              shaOf(tips[branch] ?? 0),
              lastJudged.get(branch) ?? null,
              0,
            ]);
          }
          if (end === 'skipped') continue;
          await judgeBaselines(database, end);
          if (end === 'judged') for (const { branch, head } of queued) lastJudged.set(branch, head);
        }
        await judgeBaselines(database, 'judged');
        expect(await database.deliveries.unfinished(10)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

it('lets a branch be a change, then a baseline, and a change again', async () => {
  await withDatabase(async (database) => {
    const deps = { database, clock: () => 1 };
    const states = async (kind: 'branch' | 'baseline') =>
      (await database.changes.list({ kinds: [kind], limit: 10 })).changes.map(({ state }) => state);
    await takeListing(deps, listingOf({ staging: 1 }));
    const asBase = await takeListing(deps, listingOf({}, { staging: 1 }));
    expect([asBase.queued.map(({ kind }) => kind), asBase.ended.length]).toEqual([['baseline'], 1]);
    expect([await states('branch'), await states('baseline')]).toEqual([['closed'], ['queued']]);
    const again = await takeListing(deps, listingOf({ staging: 1 }));
    expect(again.queued.map(({ kind, number }) => [kind, number])).toEqual([['branch', 1]]);
    expect(await states('baseline')).toEqual(['closed']);
  });
});
