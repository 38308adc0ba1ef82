// How far the builds of one judgement are, told a few times a second however many end.
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { ReviewEvent } from '@eka-ci/protocol/review';

export type JobStats = Omit<Extract<LiveEvent, { type: 'job_stats_update' }>, 'type' | 'changeId'>;

const intervalMs = 250;

const afterEvent = (stats: JobStats, event: ReviewEvent): JobStats => {
  if (event.type === 'building') {
    const { finished, total, failed } = stats;
    return { finished, total: total + event.toBuild, failed };
  }
  if (event.type !== 'build-finished') return stats;
  const { finished, total, outcome, etaS } = event;
  const failed = stats.failed + (outcome === 'succeeded' ? 0 : 1);
  return { finished, total, failed, ...(etaS === undefined ? {} : { etaS }) };
};

export interface JobStatsTeller {
  take(event: ReviewEvent): void;
  /** Tells at once what was not told yet, and nothing after it. */
  end(): void;
}

export const createJobStats = (tell: (stats: JobStats) => void): JobStatsTeller => {
  let stats: JobStats = { finished: 0, total: 0, failed: 0 };
  let told = stats;
  let timer: NodeJS.Timeout | null = null;
  const tellNow = (): void => {
    if (told === stats) return;
    told = stats;
    tell(stats);
  };
  const wait = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      if (told === stats) return;
      tellNow();
      wait();
    }, intervalMs).unref();
  };
  return {
    take(event) {
      stats = afterEvent(stats, event);
      if (told === stats) return;
      if (timer === null) tellNow();
      wait();
    },
    end() {
      if (timer !== null) clearTimeout(timer);
      tellNow();
    },
  };
};
