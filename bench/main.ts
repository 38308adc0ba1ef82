// `node bench/main.ts [name...]`: runs benchmarks and prints ours, baseline, ratio and goal of each figure.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Benchmark, Figure, Outcome, RunOptions, Samples } from './measure.ts';

// Imported when asked for: one benchmark's dependencies must not keep another from running.
const benchmarks: Readonly<Record<string, () => Promise<Benchmark>>> = {
  'drv-parse': async () => (await import('./drv-parse.ts')).drvParse,
  ingest: async () => (await import('./ingest.ts')).ingestion,
  graph: async () => (await import('./graph.ts')).graph,
  order: async () => (await import('./order.ts')).order,
  queue: async () => (await import('./queue.ts')).queue,
  daemon: async () => (await import('./daemon.ts')).daemon,
  'build-overhead': async () => (await import('./build-overhead.ts')).buildOverhead,
  evaluate: async () => (await import('./evaluate.ts')).evaluate,
  recovery: async () => (await import('./recovery.ts')).recovery,
  pushes: async () => (await import('./pushes.ts')).pushes,
  publications: async () => (await import('./publications.ts')).publications,
  startup: async () => (await import('./startup.ts')).startup,
  http: async () => (await import('./http.ts')).http,
  webhooks: async () => (await import('./webhooks.ts')).webhooks,
  'first-gate': async () => (await import('./first-gate.ts')).firstGate,
  logs: async () => (await import('./logs.ts')).logs,
  'change-summary': async () => (await import('./change-summary.ts')).changeSummary,
};

const usage = `usage: npm run bench -- [name...] [--smoke] [--json] [--repetitions N] [--list] [--help]
  name...          which benchmarks (default: all): ${Object.keys(benchmarks).join(', ')}
  --smoke          small sizes, one repetition: shows that they work, not how fast
  --json           also writes bench/results/<name>.json
  --repetitions N  timed rounds (default 5; more on a noisy machine)
  --list           names and what they measure

examples:
  npm run bench -- graph order       two of them, in full size
  npm run bench -- --smoke           all of them, small: do they work?
  npm run bench -- recovery --json   and keep the figures in bench/results/recovery.json`;

class UsageError extends Error {
  readonly code = 'BENCH_USAGE';
  override readonly name = 'UsageError';
}

interface Asked extends RunOptions {
  readonly names: readonly string[];
  readonly json: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

const parseCommandLine = (args: readonly string[]): Asked => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      smoke: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      repetitions: { type: 'string', default: '5' },
    },
  });
  const known = Object.keys(benchmarks);
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`no benchmark is called ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  }
  const repetitions = values.smoke ? 1 : Number(values.repetitions);
  if (!Number.isInteger(repetitions) || repetitions < 1) {
    throw new UsageError(`--repetitions takes a whole number of 1 or more, not ${values.repetitions}`);
  }
  return { ...values, repetitions, names: positionals.length > 0 ? positionals : known };
};

const showNumber = (value: number): string => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
};

const showSamples = ({ median, min, max, count }: Samples, unit: string): string => {
  const range = count > 1 ? ` (${showNumber(min)} to ${showNumber(max)})` : '';
  return `${showNumber(median)}${unit === '' ? '' : ` ${unit}`}${range}`;
};

const showMet = (met: boolean | null, smoke: boolean): string => {
  if (met === null || smoke) return '';
  return met ? 'met' : 'MISSED';
};

const table = (figures: readonly Figure[], smoke: boolean): string => {
  const rows = [
    ['figure', 'ours', 'baseline', 'ratio', 'goal', ''],
    ...figures.map((figure) => [
      figure.name,
      showSamples(figure.ours, figure.unit),
      figure.baseline === undefined
        ? ''
        : `${figure.baseline.name}: ${showSamples(figure.baseline.samples, figure.unit)}`,
      figure.ratio === undefined ? '' : `${showNumber(figure.ratio)}×`,
      figure.goal,
      showMet(figure.met, smoke),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
};

const show = (benchmark: Benchmark, outcome: Outcome, smoke: boolean): void => {
  console.log(`${benchmark.name}: ${benchmark.what}`);
  if (outcome.kind === 'skipped') {
    console.log(`  skipped: ${outcome.why}\n`);
    return;
  }
  console.log(table(outcome.figures, smoke));
  for (const note of outcome.notes ?? []) console.log(`  note: ${note}`);
  console.log('');
};

const writeResult = async (name: string, outcome: Outcome, options: RunOptions): Promise<void> => {
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
  const result = { name, ...options, machine, ...outcome };
  // A smoke run's figures mean nothing and must not take the place of real ones.
  const file = join(folder, options.smoke ? `${name}.smoke.json` : `${name}.json`);
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
};

const runBenchmark = async (name: string, asked: Asked): Promise<'passed' | 'failed' | 'skipped'> => {
  const options = { smoke: asked.smoke, repetitions: asked.repetitions };
  try {
    const benchmark = await benchmarks[name]?.();
    if (benchmark === undefined) throw new UsageError(`no benchmark is called ${name}`);
    if (asked.list) {
      console.log(`${name}: ${benchmark.what}`);
      return 'passed';
    }
    const outcome = await benchmark.run(options);
    show(benchmark, outcome, asked.smoke);
    if (asked.json) await writeResult(name, outcome, options);
    return outcome.kind === 'skipped' ? 'skipped' : 'passed';
  } catch (error) {
    console.error(`${name}: failed`, error);
    return 'failed';
  }
};

const main = async (args: readonly string[]): Promise<number> => {
  const asked = parseCommandLine(args);
  if (asked.help) {
    console.log(usage);
    return 0;
  }
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const name of asked.names) counts[await runBenchmark(name, asked)]++;
  const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`;
  if (asked.smoke) console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed === 0 ? 0 : 1;
};

const isUsageFault = (error: unknown): error is Error =>
  error instanceof UsageError ||
  (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!isUsageFault(error)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
