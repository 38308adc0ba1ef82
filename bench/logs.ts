// logs: a loud build, from its words to a log on disk, to readers over WebSockets and to a compressed log, against `cat` to
// a file and `gzip`.
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Child, readLines, runChild, startChild } from '@eka-ci/process';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  summarize,
  timesAsMuch,
  within,
} from './measure.ts';

/** What the server's process says of one build. */
export interface LoggedBuild {
  readonly writeMs: number;
  readonly compressMs: number;
  /** Of the event loop, at its 99th percentile. */
  readonly delayMs: number;
  /** Resident memory, most against before. */
  readonly grownMib: number;
  /** Most resident memory while the second half of the log is said, against the first: 1 where it is flat. */
  readonly secondHalf: number;
  readonly logBytes: number;
  readonly storedBytes: number;
  readonly sent: number;
  readonly skipped: number;
}

interface Round extends LoggedBuild {
  /** Until all is compressed and every reader has heard everything. */
  readonly tookMs: number;
  /** Event-loop delay, p99, of the benchmark's own process, which only waits: what the machine does to everybody. */
  readonly idleDelayMs: number;
}

const lineBytes = 80;
const serverProgram = fileURLToPath(import.meta.resolve('./log-server.ts'));
const readersProgram = fileURLToPath(import.meta.resolve('./log-readers.ts'));

/** Like what compilers say: words that repeat, and a number that does not. */
const lineOf = (number: number): string => {
  const noise = (Math.imul(number, 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
  const line = `[${number % 4000}/4000] cc -O2 -Iinclude -c src/module-${number % 977}.c -o build/${noise}.o`;
  return `${line.padEnd(lineBytes - 1, ' -g').slice(0, lineBytes - 1)}\n`;
};

function* chunksOf(lines: number): Generator<string> {
  const atOnce = 5000;
  for (let from = 0; from < lines; from += atOnce) {
    yield Array.from({ length: Math.min(atOnce, lines - from) }, (_, at) => lineOf(from + at)).join('');
  }
}

const messagesOf = (child: Child) => {
  child.stderr.pipe(process.stderr, { end: false });
  const lines = readLines(child.stdout);
  return async <Message>(): Promise<Message> => {
    const next = await lines.next();
    if (next.done === true) throw new Error('a process of the benchmark ended before its time');
    return JSON.parse(next.value) as Message;
  };
};

const start = (program: string, ...args: readonly string[]): Promise<Child> =>
  startChild({
    command: process.execPath,
    args: [program, ...args],
    env: { TMPDIR: tmpdir() },
    keepStdinOpen: true,
  });

interface Load {
  readonly input: string;
  readonly lines: number;
}

interface Heard {
  readonly told: number;
  readonly skipped: number;
}

/** Each in a process of its own, so that no round pays for another's memory. */
const runOurs = async ({ input, lines }: Load, readers: number): Promise<Round> => {
  const children: Child[] = [];
  try {
    const server = await start(serverProgram, input, String(readers));
    children.push(server);
    const next = messagesOf(server);
    const { port, drv } = await next<{ port: number; drv: string }>();
    // The change of state at the end is an event too.
    const events = lines + 1;
    let heard = (): Promise<Heard[]> => Promise.resolve([]);
    if (readers > 0) {
      const child = await start(readersProgram, String(port), drv, String(readers), String(events));
      children.push(child);
      const nextOfReaders = messagesOf(child);
      await nextOfReaders();
      heard = () => nextOfReaders<Heard[]>();
    }
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const startedAt = performance.now();
    server.stdin?.write('go\n');
    const [built, all] = await Promise.all([next<LoggedBuild>(), heard()]);
    const tookMs = performance.now() - startedAt;
    delay.disable();
    assertSameWork('bytes logged', { input: lines * lineBytes, log: built.logBytes });
    for (const { told, skipped } of all) assertSameWork('events', { events, heard: told + skipped });
    server.stdin?.end();
    await server.exited;
    return { ...built, tookMs, idleDelayMs: delay.percentile(99) / 1e6 };
  } finally {
    for (const child of children) child.end('SIGKILL');
  }
};

const runBaseline = async ({ input }: Load, folder: string): Promise<number> => {
  const output = join(folder, 'baseline.log');
  const startedAt = performance.now();
  const { code } = await runChild({
    command: '/bin/sh',
    args: ['-c', 'cat "$1" > "$2" && gzip -f "$2"', 'sh', input, output],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const tookMs = performance.now() - startedAt;
  assertSameWork('status', { baseline: code, success: 0 });
  await rm(`${output}.gz`);
  return tookMs;
};

const figuresOf = (readers: number, rounds: readonly Round[], baseline: readonly number[]): Figure[] => {
  const of = (pick: (round: Round) => number) => summarize(rounds.map(pick));
  const who = `${readers} ${readers === 1 ? 'reader' : 'readers'}`;
  return [
    timesAsMuch({
      name: `written, told to ${who}, compressed`,
      ours: of(({ tookMs }) => tookMs),
      baseline: { name: 'cat and gzip', samples: summarize(baseline) },
      atMost: 1.5,
    }),
    within({
      name: `${who}: event-loop delay, p99`,
      unit: 'ms',
      ours: of(({ delayMs }) => delayMs),
      atMost: 20,
    }),
    forOrientation({
      name: '  the same of a process that only waits',
      unit: 'ms',
      ours: of(({ idleDelayMs }) => idleDelayMs),
    }),
    within({
      name: `${who}: memory in the second half of the log, against the first`,
      unit: '×',
      ours: of(({ secondHalf }) => secondHalf),
      atMost: 1.15,
    }),
    forOrientation({ name: `${who}: memory grown by`, unit: 'MiB', ours: of(({ grownMib }) => grownMib) }),
    forOrientation({
      name: `${who}: until the log is whole`,
      unit: 'ms',
      ours: of(({ writeMs }) => writeMs),
    }),
  ];
};

const notesOf = (rounds: ReadonlyMap<number, readonly Round[]>): string[] =>
  [...rounds].flatMap(([readers, all]) => {
    const last = all.at(-1);
    if (last === undefined) return [];
    const ratio = (last.logBytes / last.storedBytes).toFixed(1);
    return readers === 0
      ? [`compressed to 1/${ratio} in ${Math.round(last.compressMs)} ms`]
      : [`${readers} readers: ${last.sent} events sent, ${last.skipped} left out and counted`];
  });

const measure = async (folder: string, lines: number, repetitions: number) => {
  const input = join(folder, 'input.log');
  await pipeline(Readable.from(chunksOf(lines)), createWriteStream(input));
  assertSameWork('bytes', { wanted: lines * lineBytes, written: (await stat(input)).size });
  const load = { input, lines };
  const baseline: number[] = [];
  const rounds = new Map<number, Round[]>([0, 1, 100].map((readers) => [readers, []]));
  for (let round = 0; round < repetitions; round++) {
    baseline.push(await runBaseline(load, folder));
    for (const [readers, all] of rounds) all.push(await runOurs(load, readers));
  }
  return { baseline, rounds };
};

export const logs: Benchmark = {
  name: 'logs',
  what: 'a build log of 200 MB in lines of 80 bytes: to disk, to 0, 1 and 100 readers over WebSockets, compressed; against cat to a file and gzip',
  run: async ({ smoke, repetitions }) => {
    const lines = smoke ? 25_000 : 2_500_000;
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-logs-'));
    try {
      const { baseline, rounds } = await measure(folder, lines, repetitions);
      const figures = [...rounds].flatMap(([readers, all]) => figuresOf(readers, all, baseline));
      return { kind: 'measured', figures, notes: notesOf(rounds) };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
