// `kill -9` at any moment: the server comes back to the same end, and what was done is not done again.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrvPath } from '@eka-ci/core/ids';
import { findProgram } from '@eka-ci/process';
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { RecordedTransition } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { expect, it, onTestFinished } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { configureServer, databasePath, startServer, type TestServer, until } from './testing/server.ts';
import {
  createSleepySet,
  type LedgerLine,
  longBranch,
  type SleepySet,
  sixBranches,
} from './testing/sleepy-set.ts';

/** A line of the log, and how many of it must have been seen. */
interface Moment {
  readonly during: string;
  readonly marker: RegExp;
  readonly count: number;
  readonly thenMs: number;
}

/** Park and Miller's: the same moments for the same seed. */
const createRandom = (seed: number) => {
  let state = (seed % 2_147_483_646) + 1;
  return (below: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
};

const chooseMoments = (seed: number): Moment[] => {
  const random = createRandom(seed);
  const moments: Moment[] = [
    { during: 'checkout', marker: /"msg":"judging"/g, count: 1, thenMs: random(60) },
    { during: 'evaluation', marker: /"msg":"checked-out"/g, count: 1, thenMs: random(500) },
    { during: 'building', marker: /"msg":"build-started"/g, count: 1 + random(12), thenMs: random(150) },
    // Of the last build of a change: its verdict is next.
    {
      during: 'judging',
      marker: /"finished":(\d+),"total":\1[,}]/g,
      count: 1 + random(2),
      thenMs: random(20),
    },
  ];
  return moments
    .map((moment) => ({ moment, key: random(1000) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ moment }) => moment);
};

interface Run {
  readonly world: World;
  readonly set: SleepySet;
  readonly configFile: string;
}

const createRun = async (branches: typeof sixBranches): Promise<Run> => {
  const world = await createWorld();
  onTestFinished(() => world.remove());
  const set = await createSleepySet(world.folder, branches);
  return { world, set, configFile: await configureServer(world, set.repository.path) };
};

const start = async ({ world, configFile }: Run): Promise<TestServer> => {
  const talkative = { ...world, env: { ...world.env, EKA_CI_LOG: 'debug' } };
  const server = await startServer(talkative, configFile);
  onTestFinished(() => server.kill());
  return server;
};

const areAllDecided = async (server: TestServer, { set }: Run): Promise<boolean> => {
  const changes = await server.changes();
  return (
    changes.length === set.branches && changes.every(({ state }) => state === 'judged' || state === 'failed')
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
const verdictsOf = async (server: TestServer) => {
  const changes = (await server.changes()).toSorted((a, b) => (a.branch < b.branch ? -1 : 1));
  return Promise.all(
    changes.map(async ({ branch, number, state, conclusion }) => {
      const { summary, fault } = await server.change(number);
      return { branch, state, conclusion, fault, headline: summary?.headline, rows: rowsOf(summary) };
    }),
  );
};

interface Recorded extends Pick<RecordedTransition, 'drv' | 'from' | 'to' | 'cause' | 'atMs'> {
  readonly outputs: readonly string[];
}

const readTransitions = async ({ world }: Run): Promise<readonly Recorded[]> => {
  const database = await openSqliteDatabase({ path: databasePath(world), durability: 'power-loss' });
  try {
    const transitions = await database.builds.eventsSince(0, 1_000_000);
    return await Promise.all(
      transitions.map(async ({ drv, from, to, cause, atMs }) => {
        const node = await database.derivations.find(drv);
        const outputs = node?.outputs.flatMap(({ path }) => path ?? []) ?? [];
        return { drv, from, to, cause, atMs, outputs };
      }),
    );
  } finally {
    await database.close();
  }
};

/** `hash-name.drv` → `name`, with the state it ended in; sorted, because several have one name. */
const statesOf = (transitions: readonly Recorded[]): string[] => {
  const states = new Map<DrvPath, string>(transitions.map(({ drv, to }) => [drv, to]));
  return [...states].map(([drv, state]) => `${drv.replace(/^.*\/[^-]+-/, '')}: ${state}`).toSorted();
};

const finish = async (server: TestServer, run: Run) => {
  await until(async () => ((await areAllDecided(server, run)) ? true : null));
  const verdicts = await verdictsOf(server);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  return verdicts;
};

const undisturbed = async (run: Run) => {
  const verdicts = await finish(await start(run), run);
  return { verdicts, transitions: await readTransitions(run), ledger: await run.set.ledger() };
};

const untilMoment = (server: TestServer, run: Run, { marker, count }: Moment) =>
  until(async () => {
    const seen = [...server.log().matchAll(marker)].length;
    return seen >= count || (await areAllDecided(server, run)) ? true : null;
  });

const killedAt = async (run: Run, moments: readonly Moment[]) => {
  for (const moment of moments) {
    const server = await start(run);
    await untilMoment(server, run, moment);
    await sleep(moment.thenMs);
    await server.kill();
  }
  const idle = await start(run);
  await until(async () => ((await areAllDecided(idle, run)) ? true : null));
  const before = await run.set.ledger();
  await idle.kill();
  const verdicts = await finish(await start(run), run);
  const ledger = await run.set.ledger();
  expect(ledger).toEqual(before);
  return { verdicts, transitions: await readTransitions(run), ledger };
};

const count = <Key>(keys: Iterable<Key>): Map<Key, number> => {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
};

/**
 * One success each, and no builder was at work after it. One that ran to its last line twice was killed before the store
 * had what it made, which is what a build that was killed looks like from within.
 */
const expectNothingTwice = (transitions: readonly Recorded[], ledger: readonly LedgerLine[]): void => {
  const succeeded = transitions.filter(({ to }) => to === 'succeeded');
  expect([...count(succeeded.map(({ drv }) => drv))].filter(([, times]) => times > 1)).toEqual([]);
  const succeededAt = new Map(succeeded.flatMap(({ outputs, atMs }) => outputs.map((path) => [path, atMs])));
  const late = ledger.filter(({ output, atMs }) => atMs > (succeededAt.get(output) ?? 0));
  expect(late).toEqual([]);
  const killed = transitions.filter(({ from, cause }) => from === 'building' && cause === 'scheduler-death');
  const again = ledger.length - new Set(ledger.map(({ output }) => output)).size;
  expect(again).toBeLessThanOrEqual(killed.length);
};

it('comes to the same end however often it is killed, and builds nothing to its end twice', {
  timeout: 240_000,
}, async () => {
  const seed = Number(process.env['EKA_CI_KILL_SEED'] ?? Date.now() % 1_000_000);
  const moments = chooseMoments(seed);
  const told = moments.map(({ during, count: times, thenMs }) => `${during} (${times}, ${thenMs} ms)`);
  const replay = `EKA_CI_KILL_SEED=${seed}: killed during ${told.join(', ')}, and idle`;
  const [peaceful, disturbed] = [await createRun(sixBranches), await createRun(sixBranches)];
  const [expected, actual] = await Promise.all([undisturbed(peaceful), killedAt(disturbed, moments)]);
  expect(actual.verdicts, replay).toEqual(expected.verdicts);
  expect(statesOf(actual.transitions), replay).toEqual(statesOf(expected.transitions));
  expectNothingTwice(expected.transitions, expected.ledger);
  expectNothingTwice(actual.transitions, actual.ledger);
});

/** Command lines of whatever was told of the world's store: Nix, its builders, and what these started. */
const processesOf = async ({ folder }: World): Promise<string[]> => {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const read = (id: string, file: string) => readFile(`/proc/${id}/${file}`, 'utf8').catch(() => '');
  const found = await Promise.all(
    ids.map(async (id) =>
      (await read(id, 'environ')).includes(`${folder}/nix/store`) ? read(id, 'cmdline') : '',
    ),
  );
  return found.filter((line) => line !== '').map((line) => line.replaceAll('\0', ' ').slice(0, 200));
};

it.skipIf(findProgram('setpriv') === null)(
  'leaves nothing building when it is killed',
  {
    timeout: 120_000,
  },
  async () => {
    const run = await createRun(longBranch);
    const server = await start(run);
    const isSleeping = async () =>
      (await processesOf(run.world)).some((line) => line.startsWith('/bin/sleep 60'));
    await until(async () => ((await isSleeping()) ? true : null));
    await server.kill();
    await expect.poll(() => processesOf(run.world), { timeout: 30_000 }).toEqual([]);
  },
);
