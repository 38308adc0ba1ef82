// Repositories of which something is open here, and which their forge does not list any more.
import type { ChangeListing } from '../../database/database.ts';
import { mayPass } from './hosted-fault.ts';
import type { LookDeps } from './look.ts';
import { hostedKinds, openHere } from './open-here.ts';
import { laneOf, type RepositoryNames } from './repository-names.ts';

export interface UnlistedDeps extends Pick<LookDeps, 'forge' | 'database'> {
  readonly names: Pick<RepositoryNames, 'idOf'>;
}

export interface Unlisted {
  /** `owner/repo`, under which its changes are kept. */
  readonly name: string;
  readonly lane: string;
  /** What is open of it. */
  readonly changes: readonly ChangeListing[];
  /**
   * It is not served any more: deleted, hidden, or under a name that is not permitted. A forge leads from an old name to
   * the new one, so that each change by itself would look as if nothing had happened.
   */
  readonly isGone: boolean;
}

const readOpen = async (deps: UnlistedDeps, listed: ReadonlySet<string>) => {
  const open = new Map<string, ChangeListing[]>();
  for (const kind of hostedKinds) {
    for (const [name, change] of await openHere(deps, kind)) {
      if (!listed.has(name)) open.set(name, [...(open.get(name) ?? []), change]);
    }
  }
  return open;
};

/** False also where the forge does not say: then each change tells for itself. */
const isGone = async (
  { forge }: UnlistedDeps,
  repository: { readonly id: number; readonly name: string },
  signal: AbortSignal,
): Promise<boolean> => {
  if (!forge.isPermitted(repository.name, null)) return true;
  try {
    return (await forge.findRepository(repository, signal)) === null;
  } catch (error) {
    if (mayPass(error) || signal.aborted) throw error;
    return false;
  }
};

/** @param listed names of repositories @throws HostedForgeFault that may pass, DatabaseError */
export async function* findUnlisted(
  deps: UnlistedDeps,
  listed: ReadonlySet<string>,
  signal: AbortSignal,
): AsyncGenerator<Unlisted> {
  for (const [name, changes] of await readOpen(deps, listed)) {
    const repository = { id: deps.names.idOf(name), name };
    yield { name, lane: laneOf(repository), changes, isGone: await isGone(deps, repository, signal) };
  }
}
