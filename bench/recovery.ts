// `recovery`: `kill -9` of the real server at random moments of a run of builds, against a run that nobody disturbed: the
// same end, nothing lost, nothing built to its end twice, and how much time it takes.
import { appendFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, type World } from '../e2e/testing/ekaci.ts';
import { type LedgerLine, readLedger } from '../e2e/testing/ledger.ts';
import {
  areAllDecided,
  createRandom,
  findDoneAgain,
  type Recorded,
  readTransitions,
  statesOf,
  verdictsOf,
} from '../e2e/testing/run-record.ts';
import { configureServer, startServer, type TestServer, until } from '../e2e/testing/server.ts';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  type Outcome,
  type RunOptions,
  type Samples,
  summarize,
  within,
} from './measure.ts';
import { createRecoverySet, type RecoverySet } from './recovery-set.ts';

const slots = { build: 4, fixedOutput: 2 };

interface Size {
  readonly builds: number;
  readonly kills: number;
}

interface Run {
  readonly world: World;
  readonly set: RecoverySet;
  readonly configFile: string;
}

interface RunResult {
  readonly wallMs: number;
  readonly verdicts: string;
  readonly transitions: readonly Recorded[];
  readonly ledger: readonly LedgerLine[];
  /** How much of the ledger was written when each kill came. */
  readonly killedAt: readonly number[];
}

const createRun = async (builds: number): Promise<Run> => {
  const world = await createWorld();
  const set = await createRecoverySet(world.folder, builds);
  await writeFile(set.ledgerFile, '');
  const configFile = await configureServer(world, set.repository.path);
  const { build, fixedOutput } = slots;
  await appendFile(configFile, `[builders]\nlocal_max_jobs = ${build}\nfod_max_jobs = ${fixedOutput}\n`);
  return { world, set, configFile };
};

const isDecided = (server: TestServer, { set }: Run): Promise<boolean> => areAllDecided(server, set.branches);

/** Starts it, lets it come as far as `builds`, and a moment further, and kills it. @returns how far it came */
const killAt = async (run: Run, builds: number, thenMs: number): Promise<number> => {
  const server = await startServer(run.world, run.configFile);
  const progress = async (): Promise<number> => (await readLedger(run.set.ledgerFile)).length;
  await until(async () => ((await progress()) >= builds || (await isDecided(server, run)) ? true : null));
  await sleep(thenMs);
  await server.kill();
  return progress();
};

const runToItsEnd = async (size: Size, seed: number): Promise<RunResult> => {
  const run = await createRun(size.builds);
  const random = createRandom(seed);
  // Not in the last moments, so that all of them come before the end.
  const marks = Array.from({ length: size.kills }, () => random(Math.floor(size.builds * 0.95)));
  const killedAt: number[] = [];
  try {
    const begunAt = performance.now();
    for (const mark of marks.toSorted((a, b) => a - b)) killedAt.push(await killAt(run, mark, random(300)));
    const server = await startServer(run.world, run.configFile);
    await until(async () => ((await isDecided(server, run)) ? true : null));
    const wallMs = performance.now() - begunAt;
    const verdicts = JSON.stringify(await verdictsOf(server));
    await server.stop();
    const ledger = await readLedger(run.set.ledgerFile);
    return { wallMs, verdicts, transitions: await readTransitions(run.world), ledger, killedAt };
  } finally {
    await run.world.remove();
  }
};

/** How many of the first are not among the second. */
const missingOf = (all: readonly string[], among: readonly string[]): number => {
  const left = new Map<string, number>();
  for (const one of among) left.set(one, (left.get(one) ?? 0) + 1);
  let missing = 0;
  for (const one of all) {
    const times = left.get(one) ?? 0;
    if (times === 0) missing += 1;
    else left.set(one, times - 1);
  }
  return missing;
};

const one = (value: number): Samples => summarize([value]);

const figuresOf = (peaceful: RunResult, killed: RunResult, size: Size): Figure[] => {
  const [expected, actual] = [statesOf(peaceful.transitions), statesOf(killed.transitions)];
  const again = findDoneAgain(killed.transitions, killed.ledger);
  const allSlots = slots.build + slots.fixedOutput;
  const twice = new Set([...again.succeededTwice, ...again.builtAfterSuccess.map(({ output }) => output)]);
  const redone = again.interrupted.reduce((sum, builds) => sum + builds, 0);
  const none = { unit: 'builds', atMost: 0 };
  return [
    within({ name: 'in another state at the end', ours: one(missingOf(actual, expected)), ...none }),
    within({ name: 'lost', ours: one(missingOf(expected, actual)), ...none }),
    within({ name: 'built twice to the end', ours: one(twice.size), ...none }),
    within({
      name: 'begun anew by one kill, at most',
      unit: 'builds',
      ours: one(Math.max(0, ...again.interrupted)),
      atMost: allSlots,
    }),
    within({
      name: `begun anew by ${size.kills} kills`,
      unit: 'builds',
      ours: one(redone),
      atMost: allSlots * size.kills,
    }),
    within({
      name: 'killed between a last line and the store, at most those',
      unit: 'builds',
      ours: one(again.linesAgain),
      atMost: redone,
    }),
    {
      ...forOrientation({ name: 'wall clock', unit: 's', ours: one(killed.wallMs / 1000) }),
      baseline: { name: 'undisturbed', samples: one(peaceful.wallMs / 1000) },
      ratio: killed.wallMs / peaceful.wallMs,
    },
  ];
};

const measure = async ({ smoke }: RunOptions): Promise<Outcome> => {
  const size: Size = smoke ? { builds: 40, kills: 2 } : { builds: 1000, kills: 20 };
  const seed = Number(process.env['EKA_CI_KILL_SEED'] ?? Date.now() % 1_000_000);
  const peaceful = await runToItsEnd({ ...size, kills: 0 }, seed);
  const killed = await runToItsEnd(size, seed);
  assertSameWork('verdicts', { undisturbed: peaceful.verdicts, killed: killed.verdicts });
  const states = new Set(peaceful.transitions.map(({ drv }) => drv)).size;
  return {
    kind: 'measured',
    figures: figuresOf(peaceful, killed, size),
    notes: [
      `${states} derivations, of which the change asks for ${size.builds} and the rest is its base's; ${slots.build} slots, and ${slots.fixedOutput} for fixed-output derivations`,
      `EKA_CI_KILL_SEED=${seed}; killed when so many builders had come to their end: ${killed.killedAt.join(', ')}`,
      ...(size.kills === 0 ? [] : [`${showS((killed.wallMs - peaceful.wallMs) / size.kills)} s lost a kill`]),
    ],
  };
};

const showS = (ms: number): string => (ms / 1000).toFixed(2);

export const recovery: Benchmark = {
  name: 'recovery',
  what: 'kill -9 of the server at random moments of a run of builds, against a run that nobody disturbed',
  run: measure,
};
