// How far one judgement is, from the events it tells: its stage, its builds, and when they are expected to end.
import type { ChangeProgress, JudgementStage } from '@eka-ci/protocol/change';
import type { ReviewEvent } from '@eka-ci/protocol/review';

export interface JudgementProgress {
  readonly stage: JudgementStage;
  /** Builds that have ended, of `total` that are wanted so far. */
  readonly finished: number;
  readonly total: number;
  readonly failed: number;
  /** When those are expected to have ended, milliseconds since 1970; null: nobody knows. */
  readonly endsAtMs: number | null;
}

/** Of a judgement that has told nothing yet. */
export const firstProgress: JudgementProgress = {
  stage: 'checking-out',
  finished: 0,
  total: 0,
  failed: 0,
  endsAtMs: null,
};

const endsAtMs = (etaS: number | undefined, nowMs: number): number | null =>
  etaS === undefined ? null : nowMs + etaS * 1000;

/** The same object where the event says nothing of it. */
export const progressAfter = (
  progress: JudgementProgress,
  event: ReviewEvent,
  nowMs: number,
): JudgementProgress => {
  switch (event.type) {
    case 'checked-out':
    case 'evaluating':
    case 'planned':
      // A base that is evaluated beside builds is no step back.
      return progress.stage === 'checking-out' ? { ...progress, stage: 'evaluating' } : progress;
    case 'building': {
      const total = progress.total + event.toBuild;
      // What was expected before says nothing of what came to it.
      return { ...progress, stage: 'building', total, endsAtMs: null };
    }
    case 'build-finished': {
      const { finished, total, outcome, etaS } = event;
      const failed = progress.failed + (outcome === 'succeeded' ? 0 : 1);
      return { stage: 'building', finished, total, failed, endsAtMs: endsAtMs(etaS, nowMs) };
    }
    case 'build-started':
      return event.etaS === undefined ? progress : { ...progress, endsAtMs: endsAtMs(event.etaS, nowMs) };
    case 'build-phase':
    case 'check-queued':
    case 'check-started':
    case 'check-output':
    case 'check-finished':
    case 'notice':
      return progress;
  }
};

export const progressOnWire = (
  { endsAtMs: endMs, ...progress }: JudgementProgress,
  nowMs: number,
): ChangeProgress => ({
  ...progress,
  etaSeconds: endMs === null ? null : Math.max(0, Math.round((endMs - nowMs) / 1000)),
});
