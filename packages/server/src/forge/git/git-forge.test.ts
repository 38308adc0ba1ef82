// The poller against repositories that are well, gone, slow, without a base, and oddly named.
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import { compileBranchGlob } from '../../config/branch-glob.ts';
import {
  type BranchTip,
  baselineBuildOf,
  type ForgeRepository,
  type RepositoryListing,
  type RepositoryStatus,
} from '../forge.ts';
import { createGitForge, waitAfter } from './git-forge.ts';

const sha = 'a'.repeat(40) as CommitSha;
const tips = (...names: string[]): BranchTip[] => names.map((name) => ({ name, sha }));
const repository = (name: string, baselines: ForgeRepository['baselines'] = []): ForgeRepository => ({
  name,
  url: `/${name}`,
  baseBranch: 'main',
  baselines,
  pollIntervalMs: 1,
});

/** Watches until `enough`, and gives all that was seen. */
const watch = async (
  names: readonly (string | ForgeRepository)[],
  listBranches: (url: string, signal: AbortSignal) => Promise<readonly BranchTip[]>,
  enough: (listings: readonly RepositoryListing[]) => boolean,
  onListing: (listing: RepositoryListing) => void = () => {},
) => {
  const listings: RepositoryListing[] = [];
  const changes: RepositoryStatus[] = [];
  const ending = new AbortController();
  const forge = createGitForge({
    repositories: names.map((one) => (typeof one === 'string' ? repository(one) : one)),
    listBranches,
    clock: () => 7,
    onStatus: (status) => changes.push(status),
  });
  await forge.watch(async (listing) => {
    listings.push(listing);
    if (enough(listings)) ending.abort();
    onListing(listing);
  }, ending.signal);
  const status = Object.fromEntries(forge.status().map((one) => [one.repository, one]));
  return { listings, changes, status };
};

it('lists every branch but the base, whatever git lets it be called', async () => {
  const odd = ['a/b', '-x', '"quoted"', "it's", '🦀', '$(rm)', '<b>', 'main2', 'ＭＡＩＮ', '{', '%00'];
  const { listings } = await watch(
    ['well'],
    async () => tips('main', ...odd),
    () => true,
  );
  expect(listings[0]).toMatchObject({ baseTip: sha, baselines: tips('main'), branches: tips(...odd) });
});

it('tells baselines from changes by the first pattern that matches; the base is one in any case', async () => {
  const rules = [
    { matches: compileBranchGlob('release/*'), build: 'all' },
    { matches: compileBranchGlob('release/**'), build: 'evaluate' },
  ] as const;
  const served = repository('well', rules);
  const { listings } = await watch(
    [served],
    async () => tips('main', 'release/25', 'release/25/next', 'releases/25', 'topic'),
    () => true,
  );
  expect(listings[0]?.baselines).toEqual(tips('main', 'release/25', 'release/25/next'));
  expect(listings[0]?.branches).toEqual(tips('releases/25', 'topic'));
  const builds = ['main', 'release/25', 'release/25/next', 'topic'].map((name) =>
    baselineBuildOf(served, name),
  );
  expect(builds).toEqual(['changed', 'all', 'evaluate', null]);
  const every = [{ matches: compileBranchGlob('*'), build: 'evaluate' }] as const;
  expect(baselineBuildOf(repository('well', every), 'a/b')).toBe('evaluate');
  expect(baselineBuildOf(repository('well', every), 'main')).toBe('evaluate');
});

it('goes on with the others while one hangs, one fails and one has no base', async () => {
  const answers: Record<string, (signal: AbortSignal) => Promise<readonly BranchTip[]>> = {
    '/well': async () => tips('main', 'topic'),
    '/hangs': (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
    '/fails': async () => {
      throw Object.assign(new Error('it asks for a password'), { code: 'GIT_AUTHENTICATION_FAILED' });
    },
    '/baseless': async () => tips('topic'),
  };
  const { status, listings } = await watch(
    ['hangs', 'fails', 'baseless', 'well'],
    (url, signal) => answers[url]?.(signal) ?? Promise.resolve([]),
    (seen) => seen.length === 20,
  );
  expect(new Set(listings.map((one) => one.repository.name))).toEqual(new Set(['well']));
  expect(status['well']).toMatchObject({ fault: null, failures: 0, lastSeenAtMs: 7 });
  expect(status['hangs']).toMatchObject({ fault: null, failures: 0, lastSeenAtMs: null });
  expect(status['fails']?.fault).toBe('GIT_AUTHENTICATION_FAILED: it asks for a password');
  expect(status['baseless']?.fault).toMatch(/^FORGE_BASE_MISSING: there is no branch "main"/);
});

it('says when a repository gets well again, once', async () => {
  let looks = 0;
  const { changes, status } = await watch(
    ['moved'],
    async () => {
      looks += 1;
      if (looks < 4) throw new Error('gone');
      return tips('main');
    },
    (seen) => seen.length === 5,
  );
  expect(changes.map(({ fault, failures }) => [fault, failures])).toEqual([
    ['INTERNAL: gone', 1],
    [null, 0],
  ]);
  expect(status['moved']).toMatchObject({ failures: 0, fault: null });
});

it('counts a listing that nobody could take in as a failed look', async () => {
  const { changes } = await watch(
    ['well'],
    async () => tips('main'),
    (seen) => seen.length === 2,
    () => {
      throw Object.assign(new Error('the disk is full'), { code: 'DATABASE_FULL' });
    },
  );
  expect(changes[0]).toMatchObject({ fault: 'DATABASE_FULL: the disk is full', failures: 1 });
});

it('leaves out names that are not UTF-8, since two of them can read the same', async () => {
  const { listings, changes } = await watch(
    ['well'],
    async () => tips('main', 'caf\uFFFD', 'fine'),
    (seen) => seen.length === 2,
  );
  expect(listings[0]?.branches).toEqual(tips('fine'));
  expect(changes[0]?.warnings).toEqual(['1 branches are left out: their names are not UTF-8; rename them.']);
});

it('waits longer after each failure, up to a bound, and never less than asked for', () => {
  expect([0, 1, 2, 3].map((failures) => waitAfter(failures, 30_000))).toEqual([
    30_000, 60_000, 120_000, 240_000,
  ]);
  expect(waitAfter(1000, 30_000)).toBe(15 * 60_000);
  expect(waitAfter(1000, 3_600_000)).toBe(3_600_000);
});
