// The logs that are being written, as those see them who read while a build speaks.
import type { DrvPath } from '@eka-ci/core/ids';
import type { LogFile } from '../../lib/log-file.ts';

/** Where an attempt tells what its build says. Never throws, and keeps nobody waiting. */
export interface LogFeed {
  /** The log of an attempt is opened; called before its first line. */
  open(attempt: LogAttempt, log: Pick<LogFile, 'written'>): FollowedLog;
}

export interface LogAttempt {
  readonly drv: DrvPath;
  readonly attempt: number;
}

export interface FollowedLog {
  /** What was just given to the log's `write`. */
  line(text: string): void;
  /** The log is closed: its file is whole. */
  close(): void;
}

/** A line as it is told: `number` is counted from 1 in the lines of the log. */
export interface LoggedLine {
  readonly number: number;
  readonly text: string;
  /** True: the line is longer, and the rest of it only in the log. */
  readonly cut: boolean;
}

export interface LiveLogs extends LogFeed {
  /** Resolves when every line that was told before the call is in the log's file, but for what its bound leaves out. */
  written(drv: DrvPath): Promise<void>;
}

/** In UTF-16 units. */
const longestLine = 16 * 1024;

const cutLine = (text: string, number: number): LoggedLine => {
  if (text.length <= longestLine) return { number, text, cut: false };
  // A surrogate pair cut in two would be no text any more.
  // Through bytes: a slice would keep all of the line in memory.
  const copy = Buffer.from(text.slice(0, longestLine).toWellFormed()).toString();
  return { number, text: copy, cut: true };
};

/** Those who follow one log. */
export interface LogListeners {
  /** Asked for each line: only where it is true the line is told. */
  isFollowed(): boolean;
  tell(line: LoggedLine): void;
}

export const createLiveLogs = (listenersOf: (attempt: LogAttempt) => LogListeners): LiveLogs => {
  const open = new Map<DrvPath, Set<Pick<LogFile, 'written'>>>();
  return {
    open(attempt, log) {
      const { drv } = attempt;
      const logs = open.get(drv) ?? new Set();
      open.set(drv, logs.add(log));
      const listeners = listenersOf(attempt);
      // Counted whether or not somebody listens: who comes late is told the same numbers.
      let number = 0;
      return {
        line(text) {
          const parts = text.includes('\n') ? text.split('\n') : null;
          number += parts?.length ?? 1;
          if (!listeners.isFollowed()) return;
          if (parts === null) return listeners.tell(cutLine(text, number));
          const first = number - parts.length + 1;
          parts.forEach((part, index) => listeners.tell(cutLine(part, first + index)));
        },
        close() {
          logs.delete(log);
          if (logs.size === 0 && open.get(drv) === logs) open.delete(drv);
        },
      };
    },
    async written(drv) {
      await Promise.all([...(open.get(drv) ?? [])].map((log) => log.written()));
    },
  };
};
