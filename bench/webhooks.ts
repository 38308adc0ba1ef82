// webhooks: signed deliveries through HTTP to rows on disk, against the HTTP framework alone, and through kill -9.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { assertSameWork, type Benchmark, type Figure, forOrientation, summarize, within } from './measure.ts';
import { type Sending, type Sent, sendDeliveries } from './webhook-client.ts';

type Mode = 'bare' | 'durable';
type Load = Omit<Sending, 'port' | 'onAnswer'>;

const program = fileURLToPath(import.meta.resolve('./webhook-server.ts'));

interface Server {
  readonly child: Child;
  readonly port: number;
}

const startServer = async (mode: Mode, databasePath: string): Promise<Server> => {
  const args = [program, mode, databasePath];
  const child = await startChild({ command: process.execPath, args, env: {} });
  child.stderr.pipe(process.stderr, { end: false });
  const first: { readonly value: unknown } = await readLines(child.stdout).next();
  return { child, port: Number(first.value) };
};

const storedKeys = async (path: string): Promise<Set<string>> => {
  const database = await openSqliteDatabase({ path, durability: 'process-death' });
  try {
    return new Set((await database.deliveries.unfinished(1_000_000)).map(({ key }) => key));
  } finally {
    await database.close();
  }
};

const inFolder = async <T>(work: (databasePath: string) => Promise<T>): Promise<T> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-webhooks-'));
  try {
    return await work(join(folder, 'db.sqlite'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** One side, once, in a process of its own: its first deliveries, which compile what they run, do not count. */
const run = (mode: Mode, load: Load): Promise<Sent> =>
  inFolder(async (path) => {
    const { child, port } = await startServer(mode, path);
    try {
      await sendDeliveries({ ...load, port, deliveries: Math.ceil(load.deliveries / 10) });
      const sent = await sendDeliveries({ ...load, port });
      assertSameWork('deliveries', { sent: load.deliveries, answered: sent.answered.length });
      child.end();
      await child.exited;
      if (mode === 'durable')
        assertSameWork('rows', { sent: load.deliveries, rows: (await storedKeys(path)).size });
      return sent;
    } finally {
      child.end('SIGKILL');
    }
  });

interface Killed {
  readonly answered: number;
  readonly lost: number;
}

const killHalfWay = (load: Load): Promise<Killed> =>
  inFolder(async (path) => {
    const { child, port } = await startServer('durable', path);
    const onAnswer = (answered: number): void => {
      if (answered === Math.floor(load.deliveries / 2)) child.end('SIGKILL');
    };
    const { answered } = await sendDeliveries({ ...load, port, onAnswer });
    await child.exited;
    const stored = await storedKeys(path);
    return { answered: answered.length, lost: answered.filter((key) => !stored.has(key)).length };
  });

const rateOf = ({ answered, tookMs }: Sent): number => (answered.length / tookMs) * 1000;

const percentile99 = ({ latenciesMs }: Sent): number =>
  latenciesMs.toSorted((a, b) => a - b)[Math.floor(latenciesMs.length * 0.99)] ?? 0;

const figuresOf = (bare: readonly Sent[], durable: readonly Sent[], killed: readonly Killed[]): Figure[] => {
  const ours = summarize(durable.map(rateOf));
  const samples = summarize(bare.map(rateOf));
  const ratio = ours.median / samples.median;
  const atLeast = 0.35;
  return [
    {
      name: 'deliveries proven, on disk and answered',
      unit: '/s',
      ours,
      baseline: { name: 'the framework alone', samples },
      ratio,
      goal: `≥ ${atLeast}× the baseline's rate`,
      met: ratio >= atLeast,
    },
    within({ name: 'p99 of an answer', unit: 'ms', ours: summarize(durable.map(percentile99)), atMost: 50 }),
    forOrientation({
      name: 'the same of the framework alone',
      unit: 'ms',
      ours: summarize(bare.map(percentile99)),
    }),
    within({
      name: 'lost to kill -9 of what was answered',
      unit: '',
      ours: summarize(killed.map(({ lost }) => lost)),
      atMost: 0,
    }),
  ];
};

export const webhooks: Benchmark = {
  name: 'webhooks',
  what: 'signed deliveries of 20 kB over 64 connections to rows on disk, against the HTTP framework keeping nothing; and through kill -9',
  run: async ({ smoke, repetitions }) => {
    const load: Load = { deliveries: smoke ? 300 : 10_000, connections: smoke ? 8 : 64, bodyBytes: 20_000 };
    const [bare, durable, killed]: [Sent[], Sent[], Killed[]] = [[], [], []];
    for (let round = 0; round < repetitions; round++) {
      bare.push(await run('bare', load));
      durable.push(await run('durable', load));
      killed.push(await killHalfWay(load));
    }
    const answered = killed.reduce((sum, one) => sum + one.answered, 0);
    const notes = [
      `${load.deliveries} deliveries a round, closed loop; the killed servers had answered ${answered} in all`,
      'ours: HMAC-SHA-256 over the body, group commits, SQLite with synchronous=full in its thread',
    ];
    return { kind: 'measured', figures: figuresOf(bare, durable, killed), notes };
  },
};
