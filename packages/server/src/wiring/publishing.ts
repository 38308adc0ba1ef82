// What is pushed to caches, counted and told.

import { buildTimePaths } from '../cache/build-time-paths.ts';
import { later } from '../lib/later.ts';
import type { PublishRules } from '../pipeline/publish/publication.ts';
import { createPushLog } from '../pipeline/publish/push-log.ts';
import { type BuildTimePathsOf, createPushQueue, type PushQueue } from '../pipeline/publish/push-queue.ts';
import { createPushRoots } from '../pipeline/publish/push-roots.ts';
import { stateFolders } from '../pipeline/upkeep/upkeep.ts';
import type { ServerOptions } from './server-options.ts';
import type { Opened, ServerParts } from './server-parts.ts';

/** Who may have what, for judgements; undefined where nobody publishes anything. */
export const publishRulesOf = ({ publishing }: ServerOptions): PublishRules | undefined => {
  if (publishing === null) return undefined;
  const byId = (entries: typeof publishing.caches | typeof publishing.hooks) =>
    new Map(entries.map(({ id, permissions }) => [id, permissions]));
  return { caches: byId(publishing.caches), hooks: byId(publishing.hooks) };
};

/** @param owner this server's name in the rows that it claims */
export const openPublishing = (
  { database, nix, queries, rootPaths, pushMetrics }: ServerParts,
  { options, deps, openCaches }: Opened,
  owner: string,
): PushQueue => {
  const say = createPushLog(deps.loggerFor('cache_push'), { audits: options.publishing?.audits ?? false });
  const buildTimePathsOf: BuildTimePathsOf = (drvs, signal) => buildTimePaths(nix, drvs, signal);
  return createPushQueue({
    database,
    caches: openCaches(queries),
    store: queries(),
    buildTimePathsOf,
    roots: createPushRoots(rootPaths, stateFolders(options.dbPath).outputRoots),
    owner,
    clock: Date.now,
    random: Math.random,
    later,
    onEvent(event) {
      pushMetrics.told(event);
      say(event);
    },
  });
};
