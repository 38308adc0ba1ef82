// What the routes are given: the parts of the server as the caller of the request at hand may see them. A route reads what it
// likes, and finds nothing that is private to others; a part that is added has to be named here before anything compiles.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Repository } from '@eka-ci/protocol/repository';
import { hostedName } from '../../forge/hosted-forge.ts';
import type { HttpDeps } from '../http-options.ts';
import { guardBuilds, guardDatabase } from './guarded-database.ts';
import type { Reader } from './reader.ts';

/** Whoever asks at the moment. */
export interface ReaderAtHand {
  /** Outside of a request, whoever sees least. */
  now(): Reader;
  run<Result>(reader: Reader, work: () => Result): Result;
}

export const createReaderAtHand = (anybody: Reader): ReaderAtHand => {
  const storage = new AsyncLocalStorage<Reader>();
  return {
    now: () => storage.getStore() ?? anybody,
    run: (reader, work) => storage.run(reader, work),
  };
};

/** Parts that tell nothing of a repository, or have asked who it is themselves. */
type Open =
  | 'access'
  | 'auth'
  | 'builderCounts'
  | 'builders'
  | 'clock'
  | 'graphMetrics'
  | 'isReady'
  // By a connection of its own: live-reader.ts.
  | 'live'
  | 'logsDir'
  | 'mayShow'
  // Of changes that were found.
  | 'merges'
  | 'metricSets'
  | 'onFault'
  | 'options'
  | 'rights'
  | 'storeDir'
  // For admins.
  | 'submitReview'
  | 'version'
  // Forges prove who they are.
  | 'webhooks'
  | 'workMetrics';

type Guarded = Omit<HttpDeps, Open>;

/** Whether a sentence names something that is hidden from them: `owner/repo`, in any case. */
const namesHidden = (text: string, hidden: readonly string[]): boolean => {
  const lower = text.toLowerCase();
  return hidden.some((kept) => lower.includes(kept.slice(kept.indexOf('/') + 1).toLowerCase()));
};

const guardRepositories = ({ repositories, findRepository }: HttpDeps, reader: Reader): Repository[] => {
  const hidden = reader.hidden();
  const fault = 'FORGE_AWAY: the forge cannot be asked now; the operator sees why';
  return repositories().flatMap((one) => {
    const [owner = '', name = ''] = one.name.split('/');
    const kept = findRepository({ forge: one.forge, owner, name });
    if (kept !== null && !reader.maySee(kept)) return [];
    return [one.fault !== null && namesHidden(one.fault, hidden) ? { ...one, fault } : one];
  });
};

export const guardReads = (deps: HttpDeps, atHand: ReaderAtHand): HttpDeps => {
  const { builds, running, storeLogs, actions, upkeep, leftOut, pushes } = deps;
  const reader = (): Reader => atHand.now();
  const openOnly = (sentences: readonly string[]): readonly string[] => {
    const hidden = reader().hidden();
    return hidden.length === 0 ? sentences : sentences.filter((one) => !namesHidden(one, hidden));
  };
  const guarded: Guarded = {
    database: guardDatabase(deps.database, reader),
    builds: guardBuilds(builds, reader),
    running: {
      async of(drvs) {
        // It forgets what it is not asked for.
        const facts = await running.of(builds.active().map(({ drv }) => drv));
        const asked = new Set(drvs);
        return new Map([...facts].filter(([drv]) => asked.has(drv) && reader().maySeeDrv(drv)));
      },
    },
    status: (maySee = (repository, repositoryId) => reader().maySee(repository, repositoryId)) =>
      deps.status(maySee),
    storeLogs: {
      ...storeLogs,
      fetch: async (drv) => reader().maySeeDrv(drv) && (await storeLogs.fetch(drv)),
    },
    progressOf: (changeId) => deps.progressOf(changeId),
    findRepository(address) {
      const kept = deps.findRepository(address);
      if (kept === null || reader().maySee(kept)) return kept;
      // As one that there is not: under the name that was asked for, whatever it is called now.
      const host = kept.slice(0, kept.indexOf('/'));
      return hostedName(host, `${address.owner}/${address.name}`);
    },
    repositories: () => guardRepositories(deps, reader()),
    ...(leftOut !== undefined && { leftOut: () => openOnly(leftOut()) }),
    actions: {
      ...actions,
      findOrder(id) {
        const order = actions.findOrder(id);
        return order === null || reader().maySeeDrv(order.drvPath as Parameters<Reader['maySeeDrv']>[0])
          ? order
          : null;
      },
    },
    upkeep: { ...upkeep, warnings: async () => openOnly(await upkeep.warnings()) },
    pushes: {
      ...pushes,
      async queues() {
        // How much waits is of all repositories, and a tool's own words may name whatever it was at.
        return reader().seesAll() ? await pushes.queues() : [];
      },
    },
  };
  return { ...deps, ...guarded };
};
