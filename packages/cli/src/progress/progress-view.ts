// What a review's progress looks like, independent of where it is shown.
import type { ReviewEvent } from '@eka-ci/protocol/review';

/** Shows events as they come. `end` leaves the terminal as it was found; after it nothing is shown. */
export interface ProgressView {
  show(event: ReviewEvent): void;
  end(): void;
}

/** Elapsed time as people read it: `340ms`, `2.1s`, `3m04s`, `1h02m`. */
export const formatDuration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
};

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** Text from outside made safe for a terminal: what controls or cannot be seen becomes visible, never acted on. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) =>
    char === '\t' ? ' ' : `\\x${char.codePointAt(0)?.toString(16).padStart(2, '0')}`,
  );

/** The same for several lines. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** `/nix/store/<hash>-fetcher-2.0.0.drv` as `fetcher-2.0.0`: what people know a derivation by. */
export const shortenStorePaths = (text: string): string =>
  text.replace(/\/[^\s'"]*\/[0-9a-z]{32}-([\w+.?=-]*[\w+?=-])/g, (_path, name: string) =>
    name.replace(/\.drv$/, ''),
  );
