// What somebody may hear over a live connection, which outlives what a forge said when it was opened.
import type { DrvPath } from '@eka-ci/core/ids';
import type { Reader } from './reader.ts';

/** Cheap: asked for each event. */
export interface LiveReading {
  maySee(repository: string, repositoryId?: number): boolean;
  maySeeDrv(drv: DrvPath): boolean;
  /** Asks again, as the connection itself is asked for a sign of life: often enough that nothing is believed for long. */
  renew(): void;
}

export interface LiveReadingDeps {
  readonly anybody: Reader;
  /** Who they are and what they may read, as of now. */
  readonly ask: () => Promise<Reader>;
  readonly epoch: () => number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** Until then it has been asked for again, or nothing private is told any more: with what was believed then, a minute. */
const believedMs = 33_000;

export const createLiveReading = (first: Reader, deps: LiveReadingDeps): LiveReading => {
  const { anybody, ask, epoch, clock } = deps;
  let known = { reader: first, epoch: epoch(), atMs: clock() };
  let asking: Promise<void> | null = null;
  const renew = (): void => {
    const asked = { epoch: epoch(), atMs: clock() };
    asking ??= ask()
      .then((reader) => {
        known = { reader, ...asked };
      })
      // Whoever cannot be known any more hears what everybody may hear.
      .catch(() => {
        known = { reader: anybody, ...asked };
      })
      .finally(() => {
        asking = null;
      });
  };
  const now = (): Reader => {
    const ageMs = clock() - known.atMs;
    if (known.epoch === epoch() && ageMs >= 0 && ageMs < believedMs) return known.reader;
    renew();
    return anybody;
  };
  return {
    maySee: (repository, repositoryId) =>
      anybody.maySee(repository, repositoryId) || now().maySee(repository, repositoryId),
    maySeeDrv: (drv) => anybody.maySeeDrv(drv) || now().maySeeDrv(drv),
    renew,
  };
};

/** Of a test, or of who may hear all. */
export const hearsAll: LiveReading = { maySee: () => true, maySeeDrv: () => true, renew: () => {} };
