// Progress for a pipe or a log file: one plain line for each thing that happened, nothing that moves.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { formatDuration, type ProgressView, plural, printable, shortenStorePaths } from './progress-view.ts';

/** The line for an event, or null where a log reader would only be kept from the rest. */
export const progressLine = (event: ReviewEvent): string | null => {
  switch (event.type) {
    case 'checked-out': {
      const head = `${event.head.revision} (${event.head.sha.slice(0, 12)})`;
      const base =
        event.base === null ? 'nothing' : `${event.base.revision} (${event.base.sha.slice(0, 12)})`;
      const what = event.merged ? `${head} merged into ${base}` : `${head} against ${base}, as it is`;
      return `checked out ${printable(what)}; Nix ${event.nixVersion}, evaluator ${event.evaluator}`;
    }
    case 'evaluating':
      if (!event.done) return null;
      return `evaluated ${event.side} of ${printable(event.job)}: ${plural(event.evaluated, 'attribute')}, ${event.failed} failing`;
    case 'planned':
      return (
        `planned ${printable(event.job)}: ${event.added} added, ${event.removed} removed, ${event.changed} changed, ` +
        `${event.unchanged} unchanged; ${plural(event.rebuilds, 'rebuild')}`
      );
    case 'building':
      if (event.side === 'base' && event.toBuild + event.toSubstitute === 0) return null;
      return (
        `${event.side === 'base' ? 'the base, to know which failures are new' : 'the change'}: ` +
        `${event.toBuild} to build, ${event.toSubstitute} to fetch`
      );
    case 'build-started':
      return `building ${printable(event.name)}${event.attempt > 1 ? ` (attempt ${event.attempt})` : ''}`;
    case 'build-phase':
      return null;
    case 'build-finished': {
      const took = event.durationMs === 0 ? '' : ` after ${formatDuration(event.durationMs)}`;
      const said = event.message === null ? '' : `: ${printable(shortenStorePaths(event.message))}`;
      return `[${event.finished}/${event.total}] ${event.outcome} ${printable(event.name)}${took}${said}`;
    }
    case 'check-queued':
    case 'check-output':
      return null;
    case 'check-started':
      return `running the check ${printable(event.check)}`;
    case 'check-finished': {
      const took = event.durationMs === null ? '' : ` after ${formatDuration(event.durationMs)}`;
      const said = event.reason === null ? '' : `: ${printable(shortenStorePaths(event.reason))}`;
      return `${event.outcome} check ${printable(event.check)}${event.kept ? ', run before' : took}${said}`;
    }
    case 'notice':
      return `${event.level}: ${printable(event.message)}`;
  }
};

/** @param write takes whole lines, line feed included */
export const createLineView = (write: (text: string) => void): ProgressView => ({
  show: (event) => {
    const line = progressLine(event);
    if (line !== null) write(`${line}\n`);
  },
  end: () => {},
});
