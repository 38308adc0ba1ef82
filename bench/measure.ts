// What a benchmark is, and how sides are timed against each other: interleaved (A B A B …), so that a noisy
// machine disturbs both alike, and reported as median with minimum and maximum.
import { cpus } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface RunOptions {
  /** Small sizes, one repetition: proves that the benchmark still works, says nothing of speed. */
  readonly smoke: boolean;
  /** At least 5 outside of smoke. */
  readonly repetitions: number;
}

export interface Benchmark {
  /** The file's name without `.ts`. */
  readonly name: string;
  /** One line: what is measured, against what. */
  readonly what: string;
  run(options: RunOptions): Promise<Outcome>;
}

export type Outcome =
  | { readonly kind: 'measured'; readonly figures: readonly Figure[]; readonly notes?: readonly string[] }
  | { readonly kind: 'skipped'; readonly why: string };

export interface Samples {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

export interface Figure {
  readonly name: string;
  /** Of `ours` and of the baseline, for example `ms` or `bytes/node`. */
  readonly unit: string;
  readonly ours: Samples;
  readonly baseline?: { readonly name: string; readonly samples: Samples };
  /** Of the medians, or the median of the rounds' ratios; which one is divided by which is what `goal` says. */
  readonly ratio?: number;
  /** For people: `≥ 5× faster`. */
  readonly goal: string;
  /** Null where the figure has no goal or the run cannot tell. */
  readonly met: boolean | null;
}

/** Thrown when two sides of a benchmark did not do the same work: its figures would mean nothing. */
export class UnequalWorkError extends Error {
  readonly code = 'BENCH_UNEQUAL_WORK';
  constructor(what: string, sides: Readonly<Record<string, unknown>>) {
    const shown = Object.entries(sides).map(([name, value]) => `${name}: ${String(value)}`);
    super(`the sides did not do the same work (${what}: ${shown.join(', ')}); mend the benchmark first`);
    this.name = 'UnequalWorkError';
  }
}

/** @throws UnequalWorkError unless all values are identical */
export const assertSameWork = (what: string, sides: Readonly<Record<string, unknown>>): void => {
  if (new Set(Object.values(sides)).size > 1) throw new UnequalWorkError(what, sides);
};

/** @throws RangeError on no values */
export const summarize = (values: readonly number[]): Samples => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => {
    const value = sorted[index];
    if (value === undefined) throw new RangeError('a summary needs at least one value');
    return value;
  };
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 0 ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle));
  return { median, min: at(0), max: at(sorted.length - 1), count: sorted.length };
};

let garbageCollector: (() => void) | undefined;

/** A full collection now: before a timing, so that no side pays for another's garbage, and before reading memory. */
export const collectGarbage = (): void => {
  if (garbageCollector === undefined) {
    setFlagsFromString('--expose-gc');
    garbageCollector = runInNewContext('gc') as () => void;
  }
  garbageCollector();
};

/** One side of a comparison. */
export interface Side<T> {
  /** Before each repetition, not timed. */
  readonly prepare?: () => void | Promise<void>;
  readonly run: () => T | Promise<T>;
}

export interface Timed<T> {
  readonly ms: Samples;
  /** Processor time of the whole machine meanwhile, whoever took it: tells costs apart that the wall clock of a noisy machine hides. */
  readonly busyMs: Samples;
  /** In their order, for `ratioByRound`. */
  readonly rounds: readonly TimedRound[];
  /** Of the last repetition: for comparing what the sides did. */
  readonly result: T;
}

export interface TimedRound {
  readonly ms: number;
  readonly busyMs: number;
}

/** Of all processors, since the machine was started. */
const busySoFar = (): number =>
  cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0);

interface TimedOnce<T> extends TimedRound {
  readonly result: T;
}

const timeOnce = async <T>(side: Side<T>): Promise<TimedOnce<T>> => {
  await side.prepare?.();
  collectGarbage();
  const busyBefore = busySoFar();
  const start = performance.now();
  const pending = side.run();
  // A synchronous side must not pay for a turn of the event loop.
  const result = pending instanceof Promise ? await pending : pending;
  const ms = performance.now() - start;
  return { ms, busyMs: busySoFar() - busyBefore, result };
};

/** Times one thing, `repetitions` times. */
export const time = async <T>(side: Side<T>, repetitions: number): Promise<Timed<T>> =>
  (await timeInterleaved({ only: side }, { repetitions })).only;

/**
 * Times several sides in turn, `repetitions` rounds long, after `warmUps` rounds that do not count.
 * @example const { ours, naive } = await timeInterleaved({ ours: { run: a }, naive: { run: b } }, { repetitions: 5 });
 */
export const timeInterleaved = async <Results extends Record<string, unknown>>(
  sides: { readonly [Name in keyof Results]: Side<Results[Name]> },
  options: { readonly repetitions: number; readonly warmUps?: number },
): Promise<{ readonly [Name in keyof Results]: Timed<Results[Name]> }> => {
  const warmUps = options.warmUps ?? 0;
  const names = Object.keys(sides) as (keyof Results)[];
  const timings = new Map<keyof Results, TimedOnce<unknown>[]>(names.map((name) => [name, []]));
  for (let round = 0; round < warmUps + Math.max(1, options.repetitions); round++) {
    for (const name of names) {
      const timed = await timeOnce(sides[name]);
      if (round >= warmUps) timings.get(name)?.push(timed);
    }
  }
  const timed = Array.from(timings, ([name, rounds]) => [
    name,
    {
      ms: summarize(rounds.map(({ ms }) => ms)),
      busyMs: summarize(rounds.map(({ busyMs }) => busyMs)),
      rounds: rounds.map(({ ms, busyMs }) => ({ ms, busyMs })),
      result: rounds.at(-1)?.result,
    },
  ]);
  return Object.fromEntries(timed) as { [Name in keyof Results]: Timed<Results[Name]> };
};

interface Comparison {
  readonly name: string;
  readonly unit?: string;
  readonly ours: Samples;
  readonly baseline: { readonly name: string; readonly samples: Samples };
}

/**
 * The median of what each value of `ours` is of the one of `baseline` that was timed beside it: where a machine is slower for
 * minutes, both are.
 * @throws RangeError unless there are as many of both, and some
 */
export const ratioByRound = (ours: readonly number[], baseline: readonly number[]): number => {
  if (ours.length !== baseline.length) throw new RangeError('a round has one value of each side');
  return summarize(ours.map((value, round) => value / (baseline[round] ?? Number.NaN))).median;
};

/** Goal: the baseline takes at least `atLeast` times as much as ours (time, memory: less is better). */
export const timesLess = (comparison: Comparison & { readonly atLeast: number }): Figure => {
  const { name, unit = 'ms', ours, baseline, atLeast } = comparison;
  const ratio = baseline.samples.median / ours.median;
  return { name, unit, ours, baseline, ratio, goal: `≥ ${atLeast}× less`, met: ratio >= atLeast };
};

/** Goal: ours takes at most `atMost` times what the baseline takes. */
export const timesAsMuch = (
  comparison: Comparison & {
    readonly atMost: number;
    /** @default of the medians */
    readonly ratio?: number;
  },
): Figure => {
  const { name, unit = 'ms', ours, baseline, atMost } = comparison;
  const ratio = comparison.ratio ?? ours.median / baseline.samples.median;
  return { name, unit, ours, baseline, ratio, goal: `≤ ${atMost}× the baseline`, met: ratio <= atMost };
};

interface Bounded {
  readonly name: string;
  readonly unit: string;
  readonly ours: Samples;
}

/** Goal: a bound on our own median, without a baseline. */
export const within = (
  figure: Bounded & ({ readonly atMost: number } | { readonly atLeast: number }),
): Figure => {
  const { name, unit, ours } = figure;
  return 'atMost' in figure
    ? { name, unit, ours, goal: `≤ ${figure.atMost} ${unit}`, met: ours.median <= figure.atMost }
    : { name, unit, ours, goal: `≥ ${figure.atLeast} ${unit}`, met: ours.median >= figure.atLeast };
};

/** A figure that only orients: no goal. Where there is a baseline, by how much ours is as much. */
export const forOrientation = (figure: Bounded & Pick<Figure, 'baseline' | 'ratio'>): Figure => ({
  ...(figure.baseline !== undefined && { ratio: figure.ours.median / figure.baseline.samples.median }),
  ...figure,
  goal: '',
  met: null,
});

export interface GrowthPoint {
  /** Of the problem: nodes, files, attributes. */
  readonly size: number;
  /** Of solving it: milliseconds, bytes. */
  readonly cost: number;
}

/**
 * The k of cost ≈ c · size^k, by least squares over the logarithms: 1 is linear, 2 quadratic.
 * @throws RangeError on fewer than two different sizes
 */
export const growthExponent = (points: readonly GrowthPoint[]): number => {
  const logs = points.map(({ size, cost }) => ({ x: Math.log(size), y: Math.log(cost) }));
  const mean = (pick: (log: { x: number; y: number }) => number): number =>
    logs.reduce((sum, log) => sum + pick(log), 0) / logs.length;
  const [meanX, meanY] = [mean((log) => log.x), mean((log) => log.y)];
  const spread = logs.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  if (!(spread > 0)) throw new RangeError('a growth exponent needs at least two different sizes');
  return logs.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread;
};

/** Cost may grow with size to the power of 1.1 at most: more is a defect. */
export const growthFigure = (name: string, points: readonly GrowthPoint[]): Figure => {
  const exponent = growthExponent(points);
  return {
    name: `${name}: growth exponent over ${points.map((point) => point.size).join(', ')}`,
    unit: '',
    ours: summarize([exponent]),
    goal: '≤ 1.1',
    met: exponent <= 1.1,
  };
};
