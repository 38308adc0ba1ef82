// Who may do what with a change: by their right in its repository as the forge says it, and as maintainers of packages.
import type { Maintains } from '@eka-ci/core/changed-packages';
import type { Database, StoredChange } from '../../database/database.ts';
import type { ForgeUser } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { mayRead, mayWrite } from '../../forge/hosted-talk.ts';
import { hostedOf } from '../change-request.ts';
import {
  type ChangePackages,
  maintainsAttr,
  maintainsChange,
  packagesLeft,
  readPackages,
} from './change-packages.ts';
import { createRightsMemory, type ForgottenRights, type RightsPlace } from './rights-memory.ts';

export type { ForgottenRights, RightsPlace } from './rights-memory.ts';

export type Person = Pick<ForgeUser, 'id' | 'login'>;

/** not-known: the change was not evaluated yet, or its files are not all told. */
export type Maintainership = 'all' | 'not-all' | 'not-known';

/** All methods reject with HostedForgeFault, DatabaseError, or the signal's reason. */
export interface ChangeRights {
  /** Write access or more in the repository, as the forge says; cached for a minute at most. */
  mayWrite(place: RightsPlace, user: Person, signal: AbortSignal): Promise<boolean>;
  /** The same of reading, believed for half as long: what was found out by it is believed for a while, too. */
  mayRead(place: RightsPlace, user: Person, signal: AbortSignal): Promise<boolean>;
  /**
   * Maintainer of every changed package of this change: there are some, and every file of the diff is theirs. False also
   * where nobody can tell yet.
   */
  maintainsAll(change: StoredChange, user: Person, signal: AbortSignal): Promise<boolean>;
  /** As maintainsAll, and tells what is not known from what is not so. */
  maintainership(change: StoredChange, user: Person, signal: AbortSignal): Promise<Maintainership>;
  /** Maintainer of each of these attributes, as the change's jobs name them. False for an empty list. */
  maintains(
    change: StoredChange,
    user: Person,
    attrs: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean>;
  /**
   * Changed packages that none of these people maintains, by attribute.
   * @returns null where nobody knows all of them @throws DatabaseError
   */
  packagesWithout(
    change: Pick<StoredChange, 'id' | 'kind' | 'repository'>,
    people: readonly number[],
  ): Promise<readonly string[] | null>;
  /** Rights have changed there: the forge is asked again. */
  forget(which: ForgottenRights): void;
  /** Another number each time something was forgotten: what was found out before may not hold any more. */
  epoch(): number;
}

export interface ChangeRightsDeps {
  readonly forges: readonly HostedForge[];
  readonly database: Pick<Database, 'maintainers'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

type PackagesDeps = Pick<ChangeRightsDeps, 'database'>;

const packagesOf = async (
  { database }: PackagesDeps,
  { id }: Pick<StoredChange, 'id'>,
): Promise<ChangePackages | null> => {
  const json = await database.maintainers.packagesOf(id);
  return json === null ? null : readPackages(json);
};

/** By `meta.maintainers`, whose ids are github.com's, and by the server's own table. */
const maintainerOf = async (
  { database }: PackagesDeps,
  { host, userId, idsCount }: { readonly host: string; readonly userId: number; readonly idsCount: boolean },
): Promise<Maintains> => {
  const granted = new Set(await database.maintainers.attrsOf(host, userId));
  return ({ attr, maintainerIds }) => granted.has(attr) || (idsCount && maintainerIds.includes(userId));
};

/** Only of what a hosted forge offers anybody can be maintainer. */
const placeOf = (
  { forges }: Pick<ChangeRightsDeps, 'forges'>,
  { kind, repository: name }: Pick<StoredChange, 'kind' | 'repository'>,
) => {
  const place = kind === 'offered' ? hostedOf({ hosted: forges }, name) : null;
  return place === null ? null : { ...place, host: place.forge.host };
};

const maintainershipOf = async (
  deps: ChangeRightsDeps,
  { change, user }: { readonly change: StoredChange; readonly user: Person },
  signal: AbortSignal,
): Promise<Maintainership> => {
  const place = placeOf(deps, change);
  if (place === null) return 'not-all';
  const packages = await packagesOf(deps, change);
  if (packages === null) return 'not-known';
  const { forge, host, repository } = place;
  const idsCount = forge.knowsGithubIds;
  const maintains = await maintainerOf(deps, { host, userId: user.id, idsCount });
  // The forge need not be asked for the files of a change that is not theirs whatever they are.
  const left = packagesLeft(packages, [maintains]);
  if (left === null) return 'not-known';
  if (left.length > 0) return 'not-all';
  const { number, baseBranch, head } = change;
  const diff = await forge.changedPaths({ repository, number, baseBranch }, signal);
  // Another head, or more files than are told.
  if (diff === null || diff.headSha !== head || !diff.isComplete) return 'not-known';
  return maintainsChange(packages, diff.paths, maintains) ? 'all' : 'not-all';
};

const writeBelievedMs = 55_000;
const readBelievedMs = 20_000;

export const createChangeRights = (deps: ChangeRightsDeps): ChangeRights => {
  const memory = createRightsMemory(deps);
  let epoch = 0;
  return {
    mayWrite: async (place, user, signal) =>
      mayWrite(await memory.rightOf(place, user, { signal, believedMs: writeBelievedMs })),
    mayRead: async (place, user, signal) =>
      mayRead(await memory.rightOf(place, user, { signal, believedMs: readBelievedMs })),
    forget(which) {
      epoch += 1;
      memory.forget(which);
    },
    epoch: () => epoch,
    maintainership: (change, user, signal) => maintainershipOf(deps, { change, user }, signal),
    maintainsAll: async (change, user, signal) =>
      (await maintainershipOf(deps, { change, user }, signal)) === 'all',
    async maintains(change, user, attrs) {
      const place = placeOf(deps, change);
      const packages = place === null ? null : await packagesOf(deps, change);
      if (place === null || packages === null || attrs.length === 0) return false;
      const idsCount = place.forge.knowsGithubIds;
      const maintains = await maintainerOf(deps, { host: place.host, userId: user.id, idsCount });
      return attrs.every((attr) => maintainsAttr(packages, attr, maintains));
    },
    async packagesWithout(change, people) {
      const place = placeOf(deps, change);
      const packages = place === null ? null : await packagesOf(deps, change);
      if (place === null || packages === null) return null;
      const { host, forge } = place;
      const idsCount = forge.knowsGithubIds;
      const all = people.map((userId) => maintainerOf(deps, { host, userId, idsCount }));
      return packagesLeft(packages, await Promise.all(all));
    },
  };
};
