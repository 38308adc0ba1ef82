// Metrics of the work: evaluations, builds and judgements, counted as they are told of.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { Counter, Histogram, type Registry } from 'prom-client';
import type { RecordedTransition, StoredChange } from '../database/database.ts';
import type { JudgeEvent } from '../pipeline/judge-loop.ts';

export interface WorkMetrics {
  judging(event: JudgeEvent): void;
  progress(change: StoredChange, event: ReviewEvent): void;
  /** Transitions that are on disk. */
  recorded(transitions: readonly RecordedTransition[]): void;
  /** So many derivations were found runnable but idle. */
  repaired(count: number): void;
  registerIn(registry: Registry): void;
}

const prefix = 'eka_ci_';
const buildBuckets = [1, 5, 15, 60, 300, 900, 3600, 10_800, 36_000];
const waitBuckets = [0.1, 1, 10, 60, 300, 900, 3600, 10_800, 36_000];

/** Of no registry so far: they are made before there is one. */
const createMetrics = () => {
  const registers: Registry[] = [];
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter({ name: `${prefix}${name}`, help, labelNames: [...labelNames], registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    { labelNames = [], buckets }: { labelNames?: readonly Label[]; buckets: readonly number[] },
  ) =>
    new Histogram({
      name: `${prefix}${name}`,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers,
    });
  return {
    builds: counter('builds_finished_total', 'Builds that came to rest, by how and why.', [
      'outcome',
      'cause',
    ]),
    buildSeconds: histogram('build_duration_seconds', 'From the start of a build to its end.', {
      labelNames: ['outcome'],
      buckets: buildBuckets,
    }),
    waitSeconds: histogram(
      'build_queue_wait_seconds',
      'How long a build whose inputs were there waited for a slot.',
      { buckets: waitBuckets },
    ),
    attributes: counter('evaluation_records_total', 'Attributes that were evaluated, failures among them.', [
      'side',
    ]),
    failures: counter('evaluation_failures_total', 'Attributes that failed to evaluate.', ['side']),
    evaluationSeconds: histogram(
      'evaluation_duration_seconds',
      'From the begin of a job in one tree to its last attribute.',
      { labelNames: ['side'], buckets: waitBuckets },
    ),
    rebuilds: counter(
      'rebuilds_planned_total',
      'Derivations of packages that changes were found to rebuild.',
    ),
    judged: counter('changes_judged_total', 'Judgements that ended, by what they came to.', [
      'kind',
      'conclusion',
    ]),
    judgeSeconds: histogram('change_duration_seconds', 'From the begin of a judgement to its end.', {
      labelNames: ['kind'],
      buckets: buildBuckets,
    }),
    repairs: counter(
      'invariant_repairs_total',
      'Derivations that could run, did not, and were started by the sweep: bugs.',
    ),
    retries: counter('changes_retried_total', 'Judgements that failed by a fault that may pass.'),
    stopped: counter('changes_stopped_total', 'Judgements that were cut short, by the reason.', ['reason']),
  };
};

const isAtRest = ({ to }: RecordedTransition): boolean =>
  to === 'succeeded' ||
  to === 'failed' ||
  to === 'dependency-failed' ||
  to === 'interrupted' ||
  to === 'unsatisfiable';

type Metrics = ReturnType<typeof createMetrics>;

const createBuildMetrics = ({ builds, buildSeconds, waitSeconds }: Metrics) => {
  /** Since when a build is buildable, or runs. */
  const since = new Map<string, Pick<RecordedTransition, 'to' | 'atMs'>>();
  const take = (transition: RecordedTransition): void => {
    const { drv, to, cause, atMs } = transition;
    const before = since.get(drv);
    const seconds = before === undefined ? 0 : Math.max(0, atMs - before.atMs) / 1000;
    if (before?.to === 'buildable' && to === 'building') waitSeconds.observe(seconds);
    if (before?.to === 'building' && isAtRest(transition)) buildSeconds.observe({ outcome: to }, seconds);
    if (isAtRest(transition)) builds.inc({ outcome: to, cause: cause ?? 'none' });
    since.delete(drv);
    if (to === 'buildable' || to === 'building') since.set(drv, { to, atMs });
  };
  return { take };
};

const createEvaluationMetrics = (
  { attributes, failures, evaluationSeconds }: Metrics,
  clock: () => number,
) => {
  /** By change, then by side and job: since when. */
  const begunOf = new Map<string, Map<string, number>>();
  return {
    take: (
      { id }: StoredChange,
      { job, side, evaluated, failed, known, done }: Extract<ReviewEvent, { type: 'evaluating' }>,
    ): void => {
      const key = `${side} ${job}`;
      const begun = begunOf.get(id) ?? new Map<string, number>();
      begunOf.set(id, begun);
      const last = begun.get(key);
      // It is done again, too, where there was no room for what it said.
      const atMs = known === 0 && !done ? clock() : (last ?? clock());
      begun.set(key, atMs);
      if (!done) return;
      begun.delete(key);
      attributes.inc({ side }, evaluated);
      failures.inc({ side }, failed);
      evaluationSeconds.observe({ side }, (clock() - atMs) / 1000);
    },
    /** Its judgement is over. */
    forget: ({ id }: StoredChange): void => void begunOf.delete(id),
  };
};

const createJudgeMetrics = ({ judged, judgeSeconds, retries, stopped }: Metrics, clock: () => number) => {
  const startedAtMs = new Map<string, number>();
  return (event: JudgeEvent): void => {
    switch (event.kind) {
      case 'started':
        startedAtMs.set(event.change.id, clock());
        return;
      case 'finished': {
        const { kind, id } = event.change;
        judged.inc({ kind, conclusion: event.result.conclusion });
        const tookMs = clock() - (startedAtMs.get(id) ?? clock());
        // A clock that was set back meanwhile must not take from what was counted.
        judgeSeconds.observe({ kind }, Math.max(0, tookMs) / 1000);
        startedAtMs.delete(id);
        return;
      }
      case 'retries':
        startedAtMs.delete(event.change.id);
        return retries.inc();
      case 'stopped':
        startedAtMs.delete(event.change.id);
        return stopped.inc({ reason: event.reason });
      case 'bug':
      case 'database-fault':
        return;
    }
  };
};

/** @param clock milliseconds, of which only differences count */
export const createWorkMetrics = (clock: () => number): WorkMetrics => {
  const metrics = createMetrics();
  const builds = createBuildMetrics(metrics);
  const evaluations = createEvaluationMetrics(metrics, clock);
  const judge = createJudgeMetrics(metrics, clock);
  return {
    judging(event) {
      judge(event);
      if (event.kind === 'bug' || event.kind === 'database-fault') return;
      if (event.kind !== 'started') evaluations.forget(event.change);
    },
    progress(change, event) {
      if (event.type === 'evaluating') evaluations.take(change, event);
      if (event.type === 'planned') metrics.rebuilds.inc(event.rebuilds);
    },
    recorded: (transitions) => transitions.forEach(builds.take),
    repaired: (count) => metrics.repairs.inc(count),
    registerIn(registry) {
      for (const metric of Object.values(metrics)) registry.registerMetric(metric);
    },
  };
};
