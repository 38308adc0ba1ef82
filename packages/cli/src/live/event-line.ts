// A live event as one line for people.
import type { Change } from '@eka-ci/protocol/change';
import type { LiveEvent } from '@eka-ci/protocol/live';
import { progressLine } from '../progress/line-view.ts';
import { formatDuration, plural, printable, shortenStorePaths } from '../progress/progress-view.ts';

const changeName = ({ repository, number, branch, headSha }: Change): string =>
  `${repository} ${number === 0 ? '' : `${number} `}${branch} (${headSha.slice(0, 12)})`;

/** What a change came to, or how it stands. */
const changeLine = (change: Change): string => {
  const { state, conclusion, fault } = change;
  const said = state === 'failed' ? (fault?.split('\n')[0] ?? null) : state === 'judged' ? conclusion : null;
  return printable(`${changeName(change)} ${state}${said === null ? '' : `: ${said}`}`);
};

/** Null for what is worth no line. */
export const eventLine = (event: LiveEvent): string | null => {
  switch (event.type) {
    case 'build_state_change': {
      const { drvPath, to, cause, attempt, message } = event;
      const because = cause === null ? '' : ` (${cause})`;
      const again = attempt > 1 ? `, attempt ${attempt}` : '';
      const said = message === null ? '' : `: ${message}`;
      return printable(shortenStorePaths(`${to} ${drvPath}${because}${again}${said}`));
    }
    case 'change_update':
      return changeLine(event.change);
    case 'change_progress':
      return progressLine(event.event);
    case 'job_complete':
      return printable(`${event.job} ${event.conclusion}: ${event.headline}`);
    case 'job_stats_update': {
      const { finished, total, failed, etaS } = event;
      // What comes before the first build is told step by step.
      if (total === 0) return null;
      const left =
        etaS === undefined || finished === total ? '' : `, about ${formatDuration(etaS * 1000)} left`;
      return `${finished} of ${plural(total, 'build')}, ${failed} not succeeded${left}`;
    }
    case 'skipped':
      return `${plural(event.events, 'event')} left out: they come faster than they are read`;
    case 'log_line':
      return printable(event.text);
    case 'subscribed':
    case 'unsubscribed':
    case 'error':
      return null;
  }
};
