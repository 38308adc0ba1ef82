// Brings mirrors up to date beside the judging, each repository by itself.
//
// Why not in the judgement: only so many changes are judged at once. A remote that stalls, or a first fetch that takes
// half an hour, would take the seats of other repositories' changes for as long as a fetch may take; and a bound short
// enough not to be felt would end first fetches for ever. So a change is judged when its commits are in the mirror, and while its repository is being fetched others go first.
import type { CommitSha } from '@eka-ci/core/ids';
import { type Git, GitError, type GitSource, type Mirror } from '../git/git.ts';

export interface MirrorNeed {
  /** As changes name it. */
  readonly repository: string;
  readonly source: GitSource;
  readonly folder: string;
  /** Cannot be judged without it. */
  readonly head: CommitSha;
  /** Fetched for, but not required: it may have been replaced on the remote since. */
  readonly base: CommitSha | null;
  /** Milliseconds since 1970: what was fetched before says nothing of it. */
  readonly sinceMs: number;
  /** What its host wants to see at each fetch: it is good for some minutes only. @default nothing */
  readonly authorization?: (signal: AbortSignal) => Promise<string | null>;
}

export interface Mirrors {
  /**
   * Whether the mirror has what is needed. False: it is being fetched, and `onSettled` is called at its end. Where a
   * fetch since then failed, or did not bring it, that is thrown.
   * @throws GitError
   */
  prepare(need: MirrorNeed, signal: AbortSignal): Promise<boolean>;
  /** There is something new: fetches, also once more after a fetch that runs. */
  refresh(mirror: MirrorToFetch): void;
  /** Repositories that are being fetched. */
  fetching(): readonly string[];
  /** Ends all fetches; resolves when nothing runs any more. */
  stop(): Promise<void>;
}

export interface MirrorsDeps {
  readonly git: Git;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** A fetch has ended, one way or the other. */
  readonly onSettled: () => void;
  /** How long a failed fetch counts for other changes of the same repository. @default 20000 */
  readonly failureCountsMs?: number;
}

type MirrorToFetch = Pick<MirrorNeed, 'repository' | 'source' | 'folder' | 'authorization'>;

interface Fetched {
  readonly source: GitSource;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Null: it went well. */
  readonly failure: { readonly error: unknown } | null;
}

interface Lane {
  /** Names of all whose changes wait for it. */
  readonly repositories: Set<string>;
  running: Promise<void> | null;
  /** What is to be fetched next, after the fetch that runs. */
  next: Pick<MirrorNeed, 'source' | 'authorization'> | null;
  last: Fetched | null;
  /** Tips of the mirror's branches when it was looked at last. Nothing is ever removed from a mirror. */
  tips: ReadonlySet<string> | null;
}

/** What a fetch may mend is no fault yet; an abort and a bug are. */
const missing = (error: unknown): void => {
  if (!(error instanceof GitError)) throw error;
};

const readTips = async (mirror: Mirror): Promise<ReadonlySet<string>> =>
  new Set((await mirror.branches()).map(({ sha }) => sha));

const refsOf = (source: GitSource): readonly string[] => (source.kind === 'local' ? [] : (source.refs ?? []));

/** @throws what the host's forge throws */
const authorize = async (
  source: GitSource,
  authorization: MirrorNeed['authorization'],
  signal: AbortSignal,
): Promise<GitSource> => {
  const header = source.kind === 'local' ? null : ((await authorization?.(signal)) ?? null);
  return header === null || source.kind === 'local' ? source : { ...source, authorization: header };
};

/** A fetch for the one brings all that the other asks for. */
const covers = (fetched: GitSource, wanted: GitSource): boolean =>
  refsOf(wanted).every((ref) => refsOf(fetched).includes(ref));

class FetchLanes implements Mirrors {
  readonly #deps: MirrorsDeps;
  /** By folder. */
  readonly #lanes = new Map<string, Lane>();
  readonly #ending = new AbortController();

  constructor(deps: MirrorsDeps) {
    this.#deps = deps;
  }

  async prepare(need: MirrorNeed, signal: AbortSignal): Promise<boolean> {
    // A repository of this machine is read where it is.
    if (need.source.kind === 'local') return true;
    const lane = this.#laneOf(need);
    if (lane.running !== null) return false;
    const hasHead = await this.#has(lane, need, { sha: need.head, signal });
    if (hasHead && (need.base === null || (await this.#has(lane, need, { sha: need.base, signal }))))
      return true;
    const since = this.#since(lane, need);
    if (since === 'not-yet') {
      this.refresh(need);
      return false;
    }
    if (hasHead) return true;
    if (since.failure !== null) throw since.failure.error;
    throw new GitError(
      'GIT_REVISION_NOT_FOUND',
      `the repository does not have commit ${need.head} any more: was it force-pushed or deleted?`,
    );
  }

  refresh(mirror: MirrorToFetch): void {
    if (mirror.source.kind === 'local' || this.#ending.signal.aborted) return;
    const lane = this.#laneOf(mirror);
    lane.next = mirror;
    lane.running ??= this.#fetch(lane, mirror.folder).finally(() => {
      lane.running = null;
      this.#deps.onSettled();
    });
  }

  fetching(): readonly string[] {
    return [...this.#lanes.values()].flatMap(({ running, repositories }) =>
      running === null ? [] : [...repositories],
    );
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('the server ends'));
    await Promise.all(
      [...this.#lanes.values()].flatMap(({ running }) => (running === null ? [] : [running])),
    );
  }

  #laneOf({ folder, repository }: Pick<MirrorNeed, 'folder' | 'repository'>): Lane {
    const lane = this.#lanes.get(folder) ?? {
      repositories: new Set(),
      running: null,
      next: null,
      last: null,
      tips: null,
    };
    lane.repositories.add(repository);
    this.#lanes.set(folder, lane);
    return lane;
  }

  async #has(
    lane: Lane,
    { source, folder }: MirrorNeed,
    { sha, signal }: { readonly sha: CommitSha; readonly signal: AbortSignal },
  ): Promise<boolean> {
    if (source.kind === 'local' || lane.tips?.has(sha) === true) return true;
    try {
      const mirror = await this.#deps.git.openMirror({ ...source, fetch: false }, folder, signal);
      lane.tips ??= await readTips(mirror);
      if (!lane.tips.has(sha)) await mirror.resolve(sha);
      return true;
    } catch (error) {
      missing(error);
      return false;
    }
  }

  /** The last fetch, where it says something of the need. */
  #since({ last }: Lane, { sinceMs, source }: MirrorNeed): Fetched | 'not-yet' {
    if (last === null || last.startedAtMs < sinceMs || !covers(last.source, source)) return 'not-yet';
    // Five hundred changes of one repository fail by one fetch, and not by one each.
    const countsMs = this.#deps.failureCountsMs ?? 20_000;
    return last.failure !== null && this.#deps.clock() - last.endedAtMs > countsMs ? 'not-yet' : last;
  }

  async #fetch(lane: Lane, folder: string): Promise<void> {
    const { git, clock } = this.#deps;
    while (lane.next !== null && !this.#ending.signal.aborted) {
      const { source, authorization } = lane.next;
      lane.next = null;
      const startedAtMs = clock();
      const { signal } = this.#ending;
      const opened = authorize(source, authorization, signal).then((asked) =>
        git.openMirror(asked, folder, signal),
      );
      const failure = await opened.then(
        async (mirror) => {
          lane.tips = await readTips(mirror).catch(() => null);
          return null;
        },
        (error: unknown) => ({ error }),
      );
      lane.last = { source, startedAtMs, endedAtMs: clock(), failure };
    }
  }
}

export const createMirrors = (deps: MirrorsDeps): Mirrors => {
  const lanes = new FetchLanes(deps);
  return {
    prepare: (need, signal) => lanes.prepare(need, signal),
    refresh: (mirror) => lanes.refresh(mirror),
    fetching: () => lanes.fetching(),
    stop: () => lanes.stop(),
  };
};
