// Parsed summaries of late, as many as their size allows: a reader pages through one, and then opens the next.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';

export interface HeldSummaries {
  /** Undefined where it is not held; null for one that was found to be unreadable. */
  find(key: string): ChangeSummary | null | undefined;
  /** The least lately used go, so that all together stay within the bound; the one just kept always stays. */
  keep(key: string, summary: ChangeSummary | null, sizeBytes: number): void;
}

/** Of JSON text; parsed it takes some six times as much. */
const defaultMaxBytes = 32 * 1024 * 1024;

/** What even an unreadable one costs, so that their number is bounded too. */
const leastBytes = 1024;

export const createHeldSummaries = (maxBytes = defaultMaxBytes): HeldSummaries => {
  /** Least lately used first. */
  const held = new Map<string, { readonly summary: ChangeSummary | null; readonly sizeBytes: number }>();
  let total = 0;
  const drop = (key: string): void => {
    total -= held.get(key)?.sizeBytes ?? 0;
    held.delete(key);
  };
  return {
    find(key) {
      const found = held.get(key);
      if (found === undefined) return undefined;
      held.delete(key);
      held.set(key, found);
      return found.summary;
    },
    keep(key, summary, size) {
      drop(key);
      const sizeBytes = Math.max(size, leastBytes);
      for (const oldest of held.keys()) {
        if (total + sizeBytes <= maxBytes) break;
        drop(oldest);
      }
      held.set(key, { summary, sizeBytes });
      total += sizeBytes;
    },
  };
};
