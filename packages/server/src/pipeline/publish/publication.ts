// What a judgement hands on to caches and hooks: the roots of each job that names some in the configuration that decides
// trust, and how they ended. Decides from its arguments alone, in turns: there may be a hundred thousand of them.
import { endingOf, type OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { isBuildRow, type RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { z } from 'zod';
import { isPermitted, type Permissions, type Place } from '../../config/permissions.ts';
import type { RepositoryConfig } from '../../config/repository-config.ts';
import type { StoredPublication } from '../../database/database.ts';
import { isAside, plainNameNow } from '../../database/repositories.ts';
import { createBreath, eachBreathing } from '../../lib/breathe.ts';

const PublishedRoot = z.object({
  // The cast is the edge: this program wrote it, from the same type.
  drv: z.string().transform((text) => text as DrvPath),
  /** Those whose paths are known before the build. */
  outputs: z.array(z.string()).readonly(),
  /** As `endingOf` has it. `open`: this judgement did not ask; it may be in the store all the same. */
  ending: z.enum(['succeeded', 'failed', 'timed-out', 'cancelled', 'not-built', 'open']),
});

const JobBuild = z.object({
  // The cast is the edge, as above.
  drv: z.string().transform((text) => text as DrvPath),
  attempt: z.int().positive(),
  state: z.enum(['succeeded', 'failed']),
  fixedOutput: z.boolean(),
});

const PublishedJob = z.object({
  name: z.string(),
  /** Ids that the server knows and whose permissions let this place through. */
  caches: z.array(z.string()).readonly(),
  hooks: z.array(z.string()).readonly(),
  /** Each once. What was judged against something: added and changed ones; of a branch itself the unchanged ones, too. */
  roots: z.array(PublishedRoot).readonly(),
  /** Where there are hooks: what was built here on behalf of the job, what its roots need included. */
  builds: z.array(JobBuild).readonly().default([]),
});

export const Publication = z.object({
  schemaVersion: z.literal(1),
  /** The head of what was judged. */
  commit: z.string().default(''),
  place: z.object({ repository: z.string(), branch: z.string(), isOnBranch: z.boolean() }),
  jobs: z.array(PublishedJob).readonly(),
});
export type Publication = z.output<typeof Publication>;
export type PublishedJob = Publication['jobs'][number];
export type JobBuild = z.output<typeof JobBuild>;
export type PublishedRoot = PublishedJob['roots'][number];

/** As `placeOf` has it. */
export interface PublishingPlace extends Place {
  readonly branch: string;
  /** True: it is a branch as its forge has it. False: it waits to be merged into one. */
  readonly isOnBranch: boolean;
}

/** By id, as ekaci.toml has them. */
export interface PublishRules {
  readonly caches: ReadonlyMap<string, Permissions>;
  readonly hooks: ReadonlyMap<string, Permissions>;
}

export interface JudgedRoots {
  readonly place: PublishingPlace;
  readonly commit: CommitSha;
  /** Decides: of a branch its own, of what is to be merged its base's. Null: nobody has said anything. */
  readonly config: RepositoryConfig | null;
  readonly plans: readonly RebuildPlan[];
  readonly outcomes: Pick<OutcomeLookup, 'judged'>;
  readonly graph: DrvGraph;
}

const permitted = (
  ids: readonly string[],
  rules: ReadonlyMap<string, Permissions>,
  place: PublishingPlace,
): string[] =>
  [...new Set(ids)].filter((id) => {
    const permissions = rules.get(id);
    return permissions !== undefined && isPermitted(permissions, place);
  });

const rootsOf = async (
  plan: RebuildPlan,
  { place, outcomes, graph }: JudgedRoots,
): Promise<PublishedRoot[]> => {
  const roots = new Map<DrvPath, PublishedRoot>();
  await eachBreathing(plan.rows, createBreath(), (row) => {
    if (row.judged?.kind !== 'derivation') return;
    const asked = isBuildRow(row);
    if (!asked && !(place.isOnBranch && row.change === 'unchanged')) return;
    const drv = row.judged.drvPath;
    const node = graph.find(drv);
    if (node === undefined || (roots.has(drv) && !asked)) return;
    const outputs = graph.outputsOf(node).flatMap(({ path }) => (path === '' ? [] : [path]));
    roots.set(drv, { drv, outputs, ending: asked ? endingOf(outcomes.judged(drv)) : 'open' });
  });
  return [...roots.values()];
};

/** Null where no job names a cache or a hook that may have something of it. */
export const publicationOf = async (
  judged: JudgedRoots,
  rules: PublishRules,
): Promise<Publication | null> => {
  const { place, config, plans } = judged;
  const jobs: PublishedJob[] = [];
  for (const plan of plans) {
    // Of its own: a job may be called as anything that objects have by nature.
    const named = config !== null && Object.hasOwn(config.jobs, plan.job) ? config.jobs[plan.job] : undefined;
    const caches = permitted(named?.caches ?? [], rules.caches, place);
    const hooks = permitted(named?.hooks ?? [], rules.hooks, place);
    if (caches.length + hooks.length === 0) continue;
    const roots = await rootsOf(plan, judged);
    if (roots.length > 0) jobs.push({ name: plan.job, caches, hooks, roots, builds: [] });
  }
  if (jobs.length === 0) return null;
  return {
    schemaVersion: 1,
    commit: judged.commit,
    place: { repository: place.repository, branch: place.branch, isOnBranch: place.isOnBranch },
    jobs,
  };
};

/**
 * One that was written, or a part of it, with its place as it is called by now. Null for what another version wrote.
 */
export const readPublication = ({
  json,
  repository: kept,
}: Pick<StoredPublication, 'json' | 'repository'>): Publication | null => {
  const read = Publication.safeParse(parseJson(json));
  if (!read.success) return null;
  const { place } = read.data;
  return { ...read.data, place: { ...place, repository: plainNameNow(place.repository, kept) } };
};

const parseJson = (json: string): unknown => {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
};

/**
 * Whether a cache or a hook may have it still: by the configuration that holds now, and by the name that its repository has
 * now. What was judged under a name that was kept out was never handed on.
 */
export const isStillPermitted = (permissions: Permissions, place: Place): boolean =>
  !isAside(place.repository) && isPermitted(permissions, place);

const quoted = (ids: Iterable<string>): string => [...new Set(ids)].map((id) => `"${id}"`).join(', ');

/** What a configuration names and this server does not have; one sentence each, for the summary. */
export const unknownNames = (config: RepositoryConfig, rules: PublishRules): string[] =>
  Object.entries(config.jobs).flatMap(([job, { caches, hooks }]) => {
    const unknown = {
      cache: caches.filter((id) => !rules.caches.has(id)),
      hook: hooks.filter((id) => !rules.hooks.has(id)),
    };
    return (['cache', 'hook'] as const).flatMap((kind) =>
      unknown[kind].length === 0
        ? []
        : [`${job} names a ${kind} that this server does not have: ${quoted(unknown[kind])}.`],
    );
  });

/** What the deciding configuration names and ekaci.toml keeps from this place; one sentence each. */
export const refusedNames = ({ place, config }: JudgedRoots, rules: PublishRules): string[] =>
  Object.entries(config?.jobs ?? {}).flatMap(([job, named]) =>
    (['caches', 'hooks'] as const).flatMap((kind) => {
      const known = named[kind].filter((id) => rules[kind].has(id));
      const allowed = permitted(known, rules[kind], place);
      const refused = known.filter((id) => !allowed.includes(id));
      if (refused.length === 0) return [];
      return [
        `The server's permissions keep ${place.branch} of ${place.repository} from ${kind} that ${job} names: ${quoted(refused)}.`,
      ];
    }),
  );
