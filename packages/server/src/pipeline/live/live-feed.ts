// Tells those who follow it what is on disk by now, and what a build says. Costs next to nothing where nobody does.
//
// Nothing waits here: a reader takes a message at once or leaves it out, and tells its client so.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeProgress } from '@eka-ci/protocol/change';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { ChangeListing, RecordedTransition } from '../../database/database.ts';
import { changeOnWire } from '../change-on-wire.ts';
import { createJobStats } from './job-stats.ts';
import {
  firstProgress,
  type JudgementProgress,
  progressAfter,
  progressOnWire,
} from './judgement-progress.ts';
import { FollowedLines, LineReader } from './live-lines.ts';
import { createLiveLogs, type LiveLogs } from './live-logs.ts';
import { LiveMessage } from './live-message.ts';
import {
  everything,
  type LiveTopic,
  LiveTopics,
  topicOfChange,
  topicOfCommit,
  topicOfDrv,
  topicOfJob,
  topicOfJobs,
} from './live-topics.ts';

/** Neither may throw or keep the caller waiting. */
export interface LiveListener {
  /** Asked for each event of a change of that repository, as changes hold it: its name, and its number where it is known. */
  maySee(repository: string, repositoryId?: number): boolean;
  /** Asked for each event of that derivation, and for the lines of its log. */
  maySeeDrv(drv: DrvPath): boolean;
  /** Called for each event but lines of logs, in order: the lines that can be read by then came before it. */
  take(message: LiveMessage): void;
  /** Lines can be read, where there were none. */
  onLines(): void;
}

/** One who listens; at first to nothing. */
export interface LiveReader {
  /** Lines of the logs that are followed. They wait here, within a bound, for all who follow the same. */
  readonly lines: Pick<LineReader, 'read' | 'skip'>;
  /** Each resource once. */
  follow(topic: LiveTopic): void;
  /** Only what is followed. Lines of it that were not read are gone. */
  unfollow(topic: LiveTopic): void;
}

export interface JudgedJob {
  readonly job: string;
  readonly conclusion: string;
  readonly headline: string;
}

/** What is told of one change while it is judged. */
export interface LiveJudgement {
  progress(event: ReviewEvent): void;
  /** Nothing more comes. */
  end(): void;
}

type ChangesOf = (drv: DrvPath) => readonly ChangeListing[];

export interface LiveFeed {
  readonly logs: LiveLogs;
  join(listener: LiveListener): LiveReader;
  /** False: nobody follows anything, and changes that have moved need not be looked up. */
  isFollowed(): boolean;
  /** True where somebody would hear of this change's jobs. */
  followsJobsOf(change: ChangeListing): boolean;
  /** Transitions that are on disk, with the changes that wait for each. */
  readonly recorded: (transitions: readonly RecordedTransition[], changesOf?: ChangesOf) => void;
  judging(change: ChangeListing): LiveJudgement;
  /** Null for a change that is not being judged. */
  progressOf(changeId: string): ChangeProgress | null;
  /** A change came into another state, which is on disk. */
  changeMoved(change: ChangeListing): void;
  /** The jobs of a change that was judged, in the order of its summary. */
  jobsJudged(change: ChangeListing, jobs: readonly JudgedJob[]): void;
}

const stateChange = (transition: RecordedTransition): LiveMessage => {
  const { drv: drvPath, attempt, from, to, cause, message, atMs } = transition;
  return new LiveMessage({
    type: 'build_state_change',
    drvPath,
    attempt,
    from,
    to,
    cause,
    message,
    atMs,
  });
};

const nobody: ChangesOf = () => [];

const topicsOfChange = ({ id, head }: ChangeListing): string[] => [
  topicOfChange(id),
  topicOfCommit(head),
  topicOfJobs(id),
];

class Feed implements LiveFeed {
  readonly logs: LiveLogs;
  readonly #topics = new LiveTopics<LiveListener>();
  /** Of the derivations that are followed. */
  readonly #lines = new Map<DrvPath, FollowedLines>();
  /** By the ids of changes. */
  readonly #judgements = new Map<string, { progress: JudgementProgress }>();
  readonly #clock: () => number;
  /** Resources that are followed, of all readers. */
  #follows = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.logs = createLiveLogs(({ drv, attempt }) => ({
      isFollowed: () => this.#lines.has(drv),
      tell: ({ number, text, cut }) => this.#lines.get(drv)?.append({ attempt, number, text, cut }),
    }));
  }

  join(listener: LiveListener): LiveReader {
    const lines = new LineReader({
      onNews: () => listener.onLines(),
      mayRead: (drv) => listener.maySeeDrv(drv),
    });
    return {
      lines,
      follow: (topic) => {
        this.#topics.follow(listener, topic);
        this.#follows += 1;
        if (topic.resource === 'drv') lines.follow(this.#linesOf(topic.id));
      },
      unfollow: (topic) => {
        this.#topics.unfollow(listener, topic);
        this.#follows -= 1;
        if (topic.resource === 'drv') this.#leaveLines(lines, topic.id);
      },
    };
  }

  isFollowed(): boolean {
    return this.#follows > 0;
  }

  followsJobsOf(change: ChangeListing): boolean {
    return topicsOfChange(change).some((topic) => this.#topics.isFollowed(topic));
  }

  readonly recorded = (transitions: readonly RecordedTransition[], changesOf: ChangesOf = nobody): void => {
    if (this.#follows === 0) return;
    for (const transition of transitions) {
      const { drv } = transition;
      const waiting = changesOf(drv);
      const topics = waiting.flatMap(topicsOfChange);
      const message = stateChange(transition);
      const own = new Set(this.#topics.readersOf([everything, topicOfDrv(drv)]));
      for (const reader of this.#topics.readersOf([everything, topicOfDrv(drv), ...topics])) {
        if (!reader.maySeeDrv(drv)) continue;
        // Nor that a change which they may not see waits for it.
        const isTold =
          own.has(reader) || waiting.some((one) => reader.maySee(one.repository, one.repositoryId));
        if (isTold) reader.take(message);
      }
    }
  };

  judging(change: ChangeListing): LiveJudgement {
    const changeId = change.id;
    const topics = topicsOfChange(change);
    const judgement = { progress: firstProgress };
    this.#judgements.set(changeId, judgement);
    const stats = createJobStats((progress) => {
      const { etaSeconds: etaS, ...counts } = progressOnWire(progress, this.#clock());
      this.#tell(change, topics, {
        type: 'job_stats_update',
        changeId,
        ...counts,
        ...(etaS === null ? {} : { etaS }),
      });
    });
    return {
      progress: (event) => {
        this.#tell(change, [topicOfChange(changeId)], { type: 'change_progress', changeId, event });
        judgement.progress = progressAfter(judgement.progress, event, this.#clock());
        stats.take(judgement.progress);
      },
      end: () => {
        stats.end();
        // Where it is judged again already, that one is not over.
        if (this.#judgements.get(changeId) === judgement) this.#judgements.delete(changeId);
      },
    };
  }

  progressOf(changeId: string): ChangeProgress | null {
    const judgement = this.#judgements.get(changeId);
    return judgement === undefined ? null : progressOnWire(judgement.progress, this.#clock());
  }

  changeMoved(change: ChangeListing): void {
    const topics = [everything, ...topicsOfChange(change)];
    this.#tell(change, topics, { type: 'change_update', change: changeOnWire(change) });
  }

  jobsJudged(change: ChangeListing, jobs: readonly JudgedJob[]): void {
    const { id, head } = change;
    jobs.forEach(({ job, conclusion, headline }, position) => {
      const topics = [topicOfChange(id), topicOfCommit(head), topicOfJob(id, position)];
      const jobId = `${id}.${position}`;
      this.#tell(change, topics, {
        type: 'job_complete',
        changeId: id,
        jobId,
        job,
        conclusion,
        headline,
      });
    });
  }

  #linesOf(drv: DrvPath): FollowedLines {
    const lines = this.#lines.get(drv) ?? new FollowedLines(drv);
    this.#lines.set(drv, lines);
    return lines;
  }

  #leaveLines(reader: LineReader, drv: DrvPath): void {
    const lines = this.#linesOf(drv);
    reader.unfollow(lines);
    if (!lines.isFollowed) this.#lines.delete(drv);
  }

  #tell(
    { repository, repositoryId }: Pick<ChangeListing, 'repository' | 'repositoryId'>,
    topics: readonly string[],
    event: LiveMessage['event'],
  ): void {
    if (this.#follows === 0) return;
    const message = new LiveMessage(event);
    for (const reader of this.#topics.readersOf(topics)) {
      if (reader.maySee(repository, repositoryId)) reader.take(message);
    }
  }
}

/** @param clock milliseconds since 1970 */
export const createLiveFeed = (clock: () => number = Date.now): LiveFeed => new Feed(clock);
