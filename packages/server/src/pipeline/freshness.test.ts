// Fetching beside judging, on real git: remotes that hang, ask for a password, lose commits, come back.
import { mkdirSync, renameSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { baselineBuildOf, type ForgeRepository, type RepositoryListing } from '../forge/forge.ts';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import { initTestRepository, type TestRepository, useTestFolder } from '../git/testing/test-repository.ts';
import { createFreshness, type Freshness } from './freshness.ts';
import { takeListing } from './intake.ts';
import { type JudgeEvent, type JudgeLoop, startJudgeLoop } from './judge-loop.ts';

const folder = useTestFolder();
let database: Database;
let loop: JudgeLoop | null;
let freshness: Freshness | null;
/** What has passed beside real time. */
let laterMs: number;
const clock = (): number => Date.now() + laterMs;

beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  [loop, freshness, laterMs] = [null, null, 0];
});
afterEach(async () => {
  await loop?.stop();
  await freshness?.stop();
  await database.close();
});

const served = (name: string, url: string): ForgeRepository => ({
  name,
  url,
  baseBranch: 'main',
  pollIntervalMs: 1,
});

/** Judges by noting what came, and that the mirror has it. */
const start = (repositories: readonly ForgeRepository[]) => {
  const git = createGitCli({ env: process.env });
  const mirrorsDir = join(folder(), 'mirrors');
  mkdirSync(mirrorsDir, { recursive: true });
  const events: JudgeEvent[] = [];
  const judged: string[] = [];
  freshness = createFreshness({
    repositories,
    mirrorsDir,
    database,
    git,
    clock,
    wake: () => loop?.wake(),
    onRequeued: () => {},
    onFault: (error) => expect(error).toBeUndefined(),
  });
  loop = startJudgeLoop({
    database,
    prepare: freshness.prepare,
    onHold: freshness.onHold,
    judge: async (change: StoredChange) => {
      judged.push(`${change.repository} ${change.branch}`);
      return {
        state: 'judged',
        base: change.base,
        judgedTree: 'd'.repeat(40) as TreeSha,
        title: '',
        conclusion: 'success',
        summaryJson: '{}',
        markdown: '',
      };
    },
    owner: 'server',
    clock,
    idleMs: 10,
    onEvent: (event) => events.push(event),
  });
  /** As the forge would show it. */
  const take = async (repository: ForgeRepository, tips: readonly { name: string; sha: CommitSha }[]) => {
    const isBaseline = ({ name }: { name: string }) => baselineBuildOf(repository, name) !== null;
    const listing: RepositoryListing = {
      repository,
      baseTip: tips.find(({ name }) => name === 'main')?.sha ?? ('0'.repeat(40) as CommitSha),
      baselines: tips.filter(isBaseline),
      branches: tips.filter((tip) => !isBaseline(tip)),
    };
    await takeListing({ database, clock }, listing);
    freshness?.moved(repository);
    loop?.wake();
  };
  const look = async (repository: ForgeRepository) =>
    take(repository, await git.listBranches({ kind: 'url', url: repository.url }));
  return { events, judged, take, look };
};

const withBranches = (name: string, branches: readonly string[]): TestRepository => {
  const repository = initTestRepository(join(folder(), name));
  repository.commit('first', { a: '1' });
  for (const branch of branches) repository.git('branch', '--', branch);
  return repository;
};

/** A remote that takes connections and says nothing. */
const listenInSilence = async (): Promise<{ url: string; close: () => void }> => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hangs.git`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
};

const rowOf = async (repository: string, branch: string) => {
  const { changes } = await database.changes.list({ repository, kinds: ['branch', 'baseline'], limit: 100 });
  return changes.find((change) => change.branch === branch);
};

it('judges the others while a remote hangs, and tries that one again later and later', {
  timeout: 60_000,
}, async () => {
  const silent = await listenInSilence();
  try {
    const hangs = served('o/hangs', silent.url);
    const well = served('o/well', `file://${withBranches('well', ['topic', 'other']).path}`);
    const { judged, take, look, events } = start([hangs, well]);
    const sha = '1'.repeat(40) as CommitSha;
    await take(hangs, [
      { name: 'main', sha },
      { name: 'topic', sha },
    ]);
    await look(well);
    await vi.waitFor(() => expect(judged).toHaveLength(3), { timeout: 30_000 });
    expect(judged).toEqual(['o/well other', 'o/well topic', 'o/well main']);
    expect(await rowOf('o/hangs', 'topic')).toMatchObject({ fault: null, faults: 0 });

    // The connection breaks: both changes that waited for it say so, and are tried again.
    silent.close();
    await vi.waitFor(
      async () => {
        for (const branch of ['topic', 'main'])
          expect(await rowOf('o/hangs', branch)).toMatchObject({ faults: 1 });
      },
      { timeout: 30_000 },
    );
    const first = await rowOf('o/hangs', 'topic');
    expect(first).toMatchObject({ state: 'queued', conclusion: null });
    expect(first?.fault).toMatch(/^GIT_FETCH_FAILED: /);
    expect((first?.retryAtMs ?? 0) - (first?.updatedAtMs ?? 0)).toBeGreaterThanOrEqual(29_000);

    laterMs = 40_000;
    await vi.waitFor(async () => expect(await rowOf('o/hangs', 'topic')).toMatchObject({ faults: 2 }), {
      timeout: 30_000,
    });
    expect(events.filter(({ kind }) => kind === 'bug')).toEqual([]);
  } finally {
    silent.close();
  }
});

it('gets well when the remote does: what was renamed comes back', { timeout: 60_000 }, async () => {
  const { path, git } = withBranches('here', ['topic']);
  const sha = git('rev-parse', 'main') as CommitSha;
  const repository = served('o/moved', `file://${path}`);
  const { judged, take } = start([repository]);
  renameSync(path, `${path}-renamed`);
  await take(repository, [
    { name: 'main', sha },
    { name: 'topic', sha },
  ]);
  await vi.waitFor(async () => expect((await rowOf('o/moved', 'topic'))?.fault ?? 'none').not.toBe('none'), {
    timeout: 30_000,
  });
  expect(judged).toEqual([]);
  renameSync(`${path}-renamed`, path);
  laterMs = 60_000;
  await vi.waitFor(() => expect(judged).toEqual(['o/moved topic', 'o/moved main']), { timeout: 30_000 });
  expect(await rowOf('o/moved', 'topic')).toMatchObject({ state: 'judged', fault: null, faults: 0 });
});

it('says of a commit that the remote has lost that it is gone, and judges no other instead', {
  timeout: 60_000,
}, async () => {
  const repository = withBranches('forced', ['topic']);
  const here = served('o/forced', `file://${repository.path}`);
  const { judged, take } = start([here]);
  const main = repository.git('rev-parse', 'main') as CommitSha;
  const gone = '2'.repeat(40) as CommitSha;
  await take(here, [
    { name: 'main', sha: main },
    { name: 'topic', sha: gone },
  ]);
  await vi.waitFor(async () => expect(await rowOf('o/forced', 'topic')).toMatchObject({ state: 'failed' }), {
    timeout: 30_000,
  });
  const row = await rowOf('o/forced', 'topic');
  expect(row?.fault).toMatch(/^GIT_REVISION_NOT_FOUND: .*force-pushed or deleted/);
  expect(judged).toEqual(['o/forced main']);
});

it('fetches five hundred branches at once, once', { timeout: 60_000 }, async () => {
  const repository = initTestRepository(join(folder(), 'many'));
  const first = repository.commit('first', { a: '1' });
  const lines = Array.from({ length: 500 }, (_, at) => `create refs/heads/b/${at} ${first}\n`);
  repository.gitWith(lines.join(''), 'update-ref', '--stdin');
  const many = served('o/many', `file://${repository.path}`);
  const { judged, look } = start([many]);
  await look(many);
  await vi.waitFor(() => expect(judged).toHaveLength(501), { timeout: 50_000 });
  expect(new Set(judged).size).toBe(501);
});
