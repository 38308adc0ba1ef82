// How far one judgement is, told a few times a second however many of its builds end.
import type { JudgementProgress } from './judgement-progress.ts';

const intervalMs = 250;

export interface JobStatsTeller {
  /** It is as far as that by now. The same object as before says nothing new. */
  take(progress: JudgementProgress): void;
  /** Tells at once what was not told yet, and nothing after it. */
  end(): void;
}

export const createJobStats = (tell: (progress: JudgementProgress) => void): JobStatsTeller => {
  let progress: JudgementProgress | null = null;
  let told: JudgementProgress | null = null;
  let timer: NodeJS.Timeout | null = null;
  const tellNow = (): void => {
    if (progress === null || told === progress) return;
    told = progress;
    tell(progress);
  };
  const wait = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      if (told === progress) return;
      tellNow();
      wait();
    }, intervalMs).unref();
  };
  return {
    take(next) {
      if (progress === next) return;
      progress = next;
      if (timer === null) tellNow();
      wait();
    },
    end() {
      if (timer !== null) clearTimeout(timer);
      tellNow();
    },
  };
};
