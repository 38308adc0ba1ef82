// Keeps mirrors and verdicts up to date with what the forges show: fetches beside the judging, and judges again what a
// moved base concerns.
import type { ChangeListing, Database, StoredChange } from '../database/database.ts';
import type { ForgeRepository } from '../forge/forge.ts';
import type { Git } from '../git/git.ts';
import { type ChangeRequestDeps, mirrorOf } from './change-request.ts';
import type { JudgeEvent } from './judge-loop.ts';
import { mirrorNeedOf } from './judge-stored-change.ts';
import { createMirrors } from './mirrors.ts';
import { createMovedBases } from './moved-base.ts';
import { sourceOf } from './repository-source.ts';

export interface FreshnessDeps extends ChangeRequestDeps {
  readonly database: Pick<Database, 'changes'>;
  readonly git: Git;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** There may be something to judge. */
  readonly wake: () => void;
  /** Told of changes that wait to be judged again, because their base has moved. */
  readonly onRequeued: (changes: readonly ChangeListing[]) => void;
  readonly onFault: (error: unknown) => void;
}

export interface Freshness {
  /** See `JudgeLoopDeps.prepare`. */
  prepare(change: StoredChange, signal: AbortSignal): Promise<boolean>;
  /** See `JudgeLoopDeps.onHold`. */
  onHold(): readonly string[];
  /** Branches of a repository have moved: it is fetched while others are judged. */
  moved(repository: ForgeRepository): void;
  onJudgeEvent(event: JudgeEvent): void;
  /** What an earlier server may have left undone. */
  resume(): void;
  /** Ends all fetches; resolves when nothing runs any more. */
  stop(): Promise<void>;
}

export const createFreshness = (deps: FreshnessDeps): Freshness => {
  const mirrors = createMirrors({ git: deps.git, clock: deps.clock, onSettled: deps.wake });
  const movedBases = createMovedBases({
    ...deps,
    onRequeued: (changes) => {
      deps.onRequeued(changes);
      deps.wake();
    },
  });
  return {
    async prepare(change, signal) {
      const need = mirrorNeedOf(deps, change);
      return need === null || mirrors.prepare(need, signal);
    },
    onHold: () => mirrors.fetching(),
    moved(repository) {
      const { name, url } = repository;
      mirrors.refresh({ repository: name, source: sourceOf(url), folder: mirrorOf(deps, repository) });
    },
    onJudgeEvent(event) {
      if (event.kind !== 'finished' || event.result.state !== 'judged') return;
      if (event.change.kind === 'baseline') movedBases.judged(event.change);
    },
    resume: () => movedBases.resume(),
    async stop() {
      await Promise.all([mirrors.stop(), movedBases.settled()]);
    },
  };
};
