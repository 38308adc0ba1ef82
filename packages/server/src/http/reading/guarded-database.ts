// The database and the builds that run, as a reader may see them. Each of the parts' methods is named: as one that shows
// something and is guarded, or as one that shows nothing.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeListing, Database } from '../../database/database.ts';
import type { KeptRepository } from '../../database/privacy.ts';
import { isAside } from '../../database/repositories.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import type { HttpDeps, LiveBuilds } from '../http-options.ts';
import type { Reader } from './reader.ts';

type Read = () => Reader;

/** An aggregate without the methods that show nothing of a repository. */
type Shown<Aggregate, Open extends keyof Aggregate> = Omit<Aggregate, Open>;

type Derivations = Database['derivations'];
const guardDerivations = (derivations: Derivations, read: Read): Derivations => {
  const open = <Node extends { readonly path: DrvPath }>(nodes: readonly Node[]): readonly Node[] =>
    nodes.filter(({ path }) => read().maySeeDrv(path));
  const shown: Shown<Derivations, 'save' | 'known'> = {
    async find(path) {
      // Asked for in any case: what is hidden takes as long as what is not there.
      const node = await derivations.find(path);
      return read().maySeeDrv(path) ? node : null;
    },
    findAll: async (paths) => open(await derivations.findAll(paths)),
    async *closureOf(roots) {
      for await (const nodes of derivations.closureOf(roots)) yield open(nodes);
    },
    async dependentsOf(path) {
      const dependents = await derivations.dependentsOf(path);
      return read().maySeeDrv(path) ? dependents.filter((one) => read().maySeeDrv(one)) : [];
    },
  };
  return { ...derivations, ...shown };
};

type Builds = Database['builds'];
const guardStoredBuilds = (builds: Builds, read: Read): Builds => {
  const may = ({ drv }: { readonly drv: DrvPath }): boolean => read().maySeeDrv(drv);
  const openOf = <Value>(byDrv: ReadonlyMap<DrvPath, Value>): ReadonlyMap<DrvPath, Value> =>
    new Map([...byDrv].filter(([drv]) => read().maySeeDrv(drv)));
  const shown: Shown<Builds, 'recordTransitions' | 'interruptWaiting'> = {
    statesOf: async (paths) => openOf(await builds.statesOf(paths)),
    answersOf: async (paths) => openOf(await builds.answersOf(paths)),
    async attemptsOf(path) {
      const attempts = await builds.attemptsOf(path);
      return read().maySeeDrv(path) ? attempts : [];
    },
    async historyOf(path) {
      const history = await builds.historyOf(path);
      return read().maySeeDrv(path) ? history : [];
    },
    unfinished: async () => (await builds.unfinished()).filter(may),
    startedUnfinished: async () => (await builds.startedUnfinished()).filter(may),
    endedSince: async (atMs, page) => (await builds.endedSince(atMs, page)).filter(may),
    eventsSince: async (sequence, limit) => (await builds.eventsSince(sequence, limit)).filter(may),
  };
  return { ...builds, ...shown };
};

type Changes = Database['changes'];
const guardChanges = (changes: Changes, read: Read): Changes => {
  const may = ({ repository, repositoryId }: KeptRepository): boolean =>
    read().maySee(repository, repositoryId);
  const orNull = <Change extends ChangeListing>(change: Change | null): Change | null =>
    change !== null && may(change) ? change : null;
  type ShowsNothing =
    | 'save'
    | 'apply'
    | 'claimNext'
    | 'renew'
    | 'release'
    | 'releaseAll'
    | 'finish'
    | 'retryLater'
    | 'submit'
    | 'offerChanged'
    | 'forget';
  const shown: Shown<Changes, ShowsNothing> = {
    find: async (id) => orNull(await changes.find(id)),
    // A large summary takes its time: whether there is one shows in no answer to others.
    findByNumber: async (repository, number) =>
      orNull(await changes.findByNumber(read().maySee(repository) ? repository : '', number)),
    findByHead: async (sha) => (await changes.findByHead(sha)).filter(may),
    async list(query) {
      const page = await changes.list({ ...query, notOf: [...(query.notOf ?? []), ...read().hidden()] });
      // What became private while it was read, too.
      return { ...page, changes: page.changes.filter(may) };
    },
    async cancel(id, atMs) {
      const found = orNull(await changes.find(id));
      return found === null ? null : changes.cancel(id, atMs);
    },
    async requeue(id, again) {
      const found = orNull(await changes.find(id));
      return found === null ? null : changes.requeue(id, again);
    },
    async clearFailures(which) {
      // Also where others show the same failure: only what they are is not told.
      const cleared = await changes.clearFailures(which);
      return { ...cleared, changes: cleared.changes.filter(may) };
    },
  };
  return { ...changes, ...shown };
};

type Merges = Database['merges'];
const guardMerges = (merges: Merges, read: Read): Merges => {
  const orNull = <Merge extends { readonly repository: string }>(merge: Merge | null): Merge | null =>
    merge !== null && read().maySee(merge.repository) ? merge : null;
  const shown: Shown<Merges, 'ask' | 'step' | 'end' | 'putOff' | 'told' | 'forget'> = {
    unfinished: async () => (await merges.unfinished()).filter(({ repository }) => read().maySee(repository)),
    find: async (id) => orNull(await merges.find(id)),
    findByComment: async (repository, id) => orNull(await merges.findByComment(repository, id)),
    findOpen: async (repository, number) => orNull(await merges.findOpen(repository, number)),
    newestOf: async (repository, number) => orNull(await merges.newestOf(repository, number)),
  };
  return { ...merges, ...shown };
};

type Reviews = Database['reviews'];
const guardReviews = (reviews: Reviews, read: Read): Reviews => {
  const shown: Shown<Reviews, 'save' | 'dismiss'> = {
    of: async (repository, number) => (read().maySee(repository) ? reviews.of(repository, number) : []),
  };
  return { ...reviews, ...shown };
};

type CheckRuns = Database['checkRuns'];
const guardCheckRuns = ({ checkRuns }: HttpDatabase, changes: Changes): CheckRuns => {
  type ShowsNothing =
    | 'queue'
    | 'start'
    | 'end'
    | 'findAnswer'
    | 'keepAnswer'
    | 'forgetAnswers'
    | 'interruptAll'
    | 'forget';
  const shown: Shown<CheckRuns, ShowsNothing> = {
    async find(id) {
      const run = await checkRuns.find(id);
      return run !== null && (await changes.find(run.changeId)) !== null ? run : null;
    },
    async ofChange(id) {
      const runs = await checkRuns.ofChange(id);
      return runs.length > 0 && (await changes.find(id)) !== null ? runs : [];
    },
  };
  return { ...checkRuns, ...shown };
};

type HookRuns = HttpDatabase['hookRuns'];
const guardHookRuns = ({ hookRuns, changes }: HttpDatabase, read: Read): HookRuns => {
  /** Its change may be forgotten before it; then only the name of its repository is left, without the host. */
  const may = async ({
    changeId,
    repository,
  }: {
    readonly changeId: string;
    readonly repository: string;
  }) => {
    const change = await changes.find(changeId);
    if (change !== null) return read().maySee(change.repository, change.repositoryId);
    if (isAside(repository)) return read().maySee(hostedName('', repository));
    return !read()
      .hidden()
      .some((kept) => `/${kept}`.toLowerCase().endsWith(`/${repository}`.toLowerCase()));
  };
  return {
    async of(drv) {
      const runs = await hookRuns.of(drv);
      if (!read().maySeeDrv(drv)) return [];
      const shown = await Promise.all(runs.map(may));
      return runs.filter((_, index) => shown[index]);
    },
  };
};

type HttpDatabase = HttpDeps['database'];

/** Of the schema, of people, and of what is asked for by admins or is one's own. */
type Open = 'meta' | 'approvals' | 'maintainers';

export const guardDatabase = (database: HttpDatabase, read: Read): HttpDatabase => {
  const changes = guardChanges(database.changes, read);
  const shown: Shown<HttpDatabase, Open> = {
    derivations: guardDerivations(database.derivations, read),
    builds: guardStoredBuilds(database.builds, read),
    changes,
    checkRuns: guardCheckRuns(database, changes),
    hookRuns: guardHookRuns(database, read),
    merges: guardMerges(database.merges, read),
    reviews: guardReviews(database.reviews, read),
  };
  const { meta, approvals, maintainers } = database;
  return { meta, approvals, maintainers, ...shown };
};

/** All that waits is looked through where something is hidden: some milliseconds for a hundred thousand. */
export const guardBuilds = (builds: LiveBuilds, read: Read): LiveBuilds => {
  const openQueue = (): readonly DrvPath[] =>
    builds.queued(0, builds.queuedCount()).filter((drv) => read().maySeeDrv(drv));
  return {
    active: () => builds.active().filter(({ drv }) => read().maySeeDrv(drv)),
    queued: (start, limit) =>
      read().seesAll() ? builds.queued(start, limit) : openQueue().slice(start, start + limit),
    queuedCount: () => (read().seesAll() ? builds.queuedCount() : openQueue().length),
    why: (drv) => (read().maySeeDrv(drv) ? builds.why(drv) : null),
  };
};
