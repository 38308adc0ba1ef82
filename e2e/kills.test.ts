// `kill -9` at any moment: the server comes back to the same end, and what was done is not done again.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '@eka-ci/process';
import { expect, it, onTestFinished } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import type { LedgerLine } from './testing/ledger.ts';
import {
  areAllDecided,
  createRandom,
  findDoneAgain,
  type Recorded,
  readTransitions,
  statesOf,
  verdictsOf,
} from './testing/run-record.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';
import { createSleepySet, longBranch, type SleepySet, sixBranches } from './testing/sleepy-set.ts';

/** A line of the log, and how many of it must have been seen. */
interface Moment {
  readonly during: string;
  readonly marker: RegExp;
  readonly count: number;
  readonly thenMs: number;
}

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

const finish = async (server: TestServer, run: Run) => {
  await until(async () => ((await areAllDecided(server, run.set.branches)) ? true : null));
  const verdicts = await verdictsOf(server);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  return verdicts;
};

const undisturbed = async (run: Run) => {
  const verdicts = await finish(await start(run), run);
  return { verdicts, transitions: await readTransitions(run.world), ledger: await run.set.ledger() };
};

const untilMoment = (server: TestServer, run: Run, { marker, count }: Moment) =>
  until(async () => {
    const seen = [...server.log().matchAll(marker)].length;
    return seen >= count || (await areAllDecided(server, run.set.branches)) ? true : null;
  });

const killedAt = async (run: Run, moments: readonly Moment[]) => {
  for (const moment of moments) {
    const server = await start(run);
    await untilMoment(server, run, moment);
    await sleep(moment.thenMs);
    await server.kill();
  }
  const idle = await start(run);
  await until(async () => ((await areAllDecided(idle, run.set.branches)) ? true : null));
  const before = await run.set.ledger();
  await idle.kill();
  const verdicts = await finish(await start(run), run);
  const ledger = await run.set.ledger();
  expect(ledger).toEqual(before);
  return { verdicts, transitions: await readTransitions(run.world), ledger };
};

/** One success each, no builder was at work after it, and none that was not killed ran to its last line twice. */
const expectNothingTwice = (transitions: readonly Recorded[], ledger: readonly LedgerLine[]): void => {
  const again = findDoneAgain(transitions, ledger);
  expect(again).toMatchObject({ succeededTwice: [], builtAfterSuccess: [] });
  const killed = again.interrupted.reduce((sum, builds) => sum + builds, 0);
  expect(again.linesAgain).toBeLessThanOrEqual(killed);
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
