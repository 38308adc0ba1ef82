// Metrics of webhooks: what came, what was refused and why, and what became of it.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { HostedIntakeEvent } from '../pipeline/hosted/hosted-event.ts';
import type { HostedIntakeCounts } from '../pipeline/hosted-intake.ts';

/** How a webhook was answered. */
export type WebhookOutcome = 'accepted' | 'repeated' | 'ignored' | 'not-permitted' | 'refused' | 'busy';

export interface WebhookMetrics {
  answered(
    forge: string,
    answer: { readonly event: string; readonly outcome: WebhookOutcome; readonly durationMs: number },
  ): void;
  /** @param reason a word */
  unproven(forge: string, reason: string): void;
  /** What the intake tells. */
  told(event: HostedIntakeEvent): void;
  registerIn(registry: Registry): void;
}

const prefix = 'eka_ci_';
const answerBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];
const processingBuckets = [0.01, 0.1, 0.5, 2.5, 10, 60, 600, 3600];

/** Names come from outside, proven or not: of more than so many the rest is one. */
const mostNames = 200;

/** Letters, digits, dots, dashes and underscores alone, and few of them. */
const createNames = () => {
  const known = new Set<string>();
  return (name: string): string => {
    if (known.has(name)) return name;
    if (known.size >= mostNames || !/^[\w.-]{1,80}$/.test(name)) return 'other';
    known.add(name);
    return name;
  };
};

const createMetrics = () => {
  const registers: Registry[] = [];
  return {
    webhooks: new Counter({
      name: `${prefix}webhooks_total`,
      help: 'Webhooks that forges sent, by the event and how they were answered; `none` where it was not read so far.',
      labelNames: ['forge', 'event', 'outcome'],
      registers,
    }),
    unproven: new Counter({
      name: `${prefix}webhook_verification_failures_total`,
      help: 'Webhooks that did not prove where they come from, by what was wrong.',
      labelNames: ['forge', 'reason'],
      registers,
    }),
    answerSeconds: new Histogram({
      name: `${prefix}webhook_answer_duration_seconds`,
      help: 'From the whole body of a webhook to its answer, on disk by then.',
      labelNames: ['forge'],
      buckets: answerBuckets,
      registers,
    }),
    processed: new Counter({
      name: `${prefix}webhooks_processed_total`,
      help: 'Deliveries that are done, by what our word for the event is and what became of it.',
      labelNames: ['forge', 'event', 'outcome'],
      registers,
    }),
    processingSeconds: new Histogram({
      name: `${prefix}webhook_processing_duration_seconds`,
      help: 'From receiving a delivery until it is done.',
      labelNames: ['forge'],
      buckets: processingBuckets,
      registers,
    }),
    faults: new Counter({
      name: `${prefix}forge_intake_faults_total`,
      help: 'What could not be learnt from a forge; passing: it is tried again.',
      labelNames: ['forge', 'passing'],
      registers,
    }),
    sweeps: new Counter({
      name: `${prefix}forge_sweeps_total`,
      help: 'How often a forge was asked for everything, by how it ended.',
      labelNames: ['forge', 'outcome'],
      registers,
    }),
    missed: new Counter({
      name: `${prefix}forge_sweep_differences_total`,
      help: 'What a sweep found that no webhook had told in time.',
      labelNames: ['forge'],
      registers,
    }),
  };
};

type Metrics = ReturnType<typeof createMetrics>;

const take = (metrics: Metrics, event: HostedIntakeEvent): void => {
  switch (event.kind) {
    case 'processed': {
      const { host: forge, outcome, tookMs } = event;
      metrics.processed.inc({ forge, event: event.event, outcome });
      return metrics.processingSeconds.observe({ forge }, tookMs / 1000);
    }
    case 'passing-fault':
    case 'given-up':
      return metrics.faults.inc({ forge: event.host, passing: String(event.kind === 'passing-fault') });
    case 'swept':
      metrics.sweeps.inc({ forge: event.host, outcome: 'done' });
      return metrics.missed.inc({ forge: event.host }, event.differences);
    case 'sweep-failed':
      return metrics.sweeps.inc({ forge: event.host, outcome: 'failed' });
    case 'renamed':
    case 'set-aside':
    case 'unreadable':
    case 'not-served':
    case 'retold':
    case 'not-retold':
    case 'database-fault':
      return;
  }
};

/** @param counts read for each answer */
export const createWebhookMetrics = (counts: () => HostedIntakeCounts): WebhookMetrics => {
  const metrics = createMetrics();
  const nameOf = createNames();
  return {
    answered(forge, { event, outcome, durationMs }) {
      metrics.webhooks.inc({ forge, event: nameOf(event), outcome });
      metrics.answerSeconds.observe({ forge }, durationMs / 1000);
    },
    unproven: (forge, reason) => metrics.unproven.inc({ forge, reason }),
    told: (event) => take(metrics, event),
    registerIn(registry) {
      for (const metric of Object.values(metrics)) registry.registerMetric(metric);
      new Gauge({
        name: `${prefix}webhooks_waiting`,
        help: 'Deliveries that are received and not done, as far as they are in memory.',
        registers: [registry],
        collect() {
          this.set(counts().deliveries);
        },
      });
    },
  };
};
