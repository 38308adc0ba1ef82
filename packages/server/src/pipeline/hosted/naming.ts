// Which repository is meant, and what it is called now: nothing is looked at or written under a name before it is known whose
// that is. Whoever makes a repository under the name of another one finds nothing there.
import { repositoryKey, type SetAside } from '../../database/repositories.ts';
import type { EventRepository, ForgeRepositoryId } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { ForgottenRights } from '../people/rights-memory.ts';
import type { Visibility } from '../privacy/visibility.ts';
import { mayPass } from './hosted-fault.ts';
import type { RepositoryNames } from './repository-names.ts';

export interface NamingDeps {
  readonly forge: Pick<HostedForge, 'host' | 'findRepository'>;
  readonly names: RepositoryNames;
  readonly visibility?: Pick<Visibility, 'mark' | 'seen' | 'named'>;
  readonly onRightsChanged?: (whose: ForgottenRights) => void;
  readonly onRenamed: (repository: string, oldName: string) => void;
  readonly onSetAside: (aside: SetAside) => void;
  readonly signal: AbortSignal;
}

/** All methods reject with HostedForgeFault that may pass, DatabaseError, or the signal's reason. */
export interface Naming {
  /**
   * As it is called now. The forge is asked where it was not known by that name.
   * @returns null where the forge shows none of that number
   */
  placeOf<Repository extends EventRepository>(told: Repository): Promise<Repository | null>;
  /** Asks the forge what it is called. @returns whether rows have moved for it */
  renamed(told: EventRepository, oldName: string): Promise<boolean>;
  /** The forge shows it so. @param mark of the visibility, from before it was asked */
  take(shown: EventRepository, mark: number): Promise<void>;
}

const accountOf = (name: string): string => name.split('/')[0] ?? '';

export const createNaming = (deps: NamingDeps): Naming => {
  const { forge, names, visibility, onRightsChanged, signal } = deps;
  const { host } = forge;
  const find = async (repository: ForgeRepositoryId): Promise<EventRepository | null> => {
    const found = await forge.findRepository(repository, signal);
    return found?.id === repository.id ? found : null;
  };
  /** One after the other, whatever lane wants it: what is in mind is then as what is written. */
  let naming: Promise<unknown> = Promise.resolve();
  const name = (shown: EventRepository, mark: number, oldName?: string): Promise<boolean> => {
    const named = naming.then(() => nameNow(shown, mark, oldName));
    naming = named.catch(() => {});
    return named;
  };
  const nameNow = async (shown: EventRepository, mark: number, oldName?: string): Promise<boolean> => {
    // Hidden before anything is kept under its name.
    await visibility?.seen(host, shown, mark);
    const named = await names.seen(shown, oldName);
    visibility?.named(host, shown, named);
    for (const aside of named.aside) deps.onSetAside(aside);
    if (named.from !== null) deps.onRenamed(shown.name, named.from);
    if (named.from === null && named.aside.length === 0) return false;
    // Whoever might read what had the name before has no right for that.
    const repository = shown.name;
    onRightsChanged?.({ host, account: accountOf(repository), repository, userId: null });
    return named.from !== null;
  };
  /** Where whoever had the name before has another one by now, what is theirs goes there, and is never set aside. */
  const moveAway = async (other: ForgeRepositoryId, mark: number): Promise<void> => {
    let found: EventRepository | null = null;
    try {
      found = await find(other);
    } catch (error) {
      if (mayPass(error) || signal.aborted) throw error;
    }
    if (found !== null && repositoryKey(found.name) !== repositoryKey(other.name)) await name(found, mark);
  };
  const take = async (shown: EventRepository, mark: number, oldName?: string): Promise<boolean> => {
    const other = names.otherOf(shown);
    if (other !== null) await moveAway(other, mark);
    return name(shown, mark, oldName);
  };
  return {
    async placeOf(told) {
      if (told.id === 0) return told;
      if (names.isKnownAs(told)) return names.now(told);
      const mark = visibility?.mark() ?? 0;
      const found = await find(told);
      if (found === null) return null;
      await take(found, mark);
      return { ...told, name: found.name };
    },
    async renamed(told, oldName) {
      const mark = visibility?.mark() ?? 0;
      const found = told.id === 0 ? null : await find(told);
      return found === null ? false : take(found, mark, oldName);
    },
    take: async (shown, mark) => void (await take(shown, mark)),
  };
};
