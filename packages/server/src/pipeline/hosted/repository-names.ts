// How the repositories of one hosted forge are called now, however somebody writes them: by number, by a name that they
// had, in any case. In mind, and in the database.
import type { Database } from '../../database/database.ts';
import { asideName, isAside, type NamedRepository, repositoryKey } from '../../database/repositories.ts';
import type { EventRepository, ForgeRepositoryId } from '../../forge/forge-event.ts';

export interface RepositoryNamesDeps {
  readonly host: string;
  readonly database: Pick<Database, 'repositories'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface RepositoryNames {
  /** What is kept of them. To be called before anything else. @throws DatabaseError */
  load(): Promise<void>;
  /** The same under its name of now; as it is where it was never seen. */
  now<Repository extends ForgeRepositoryId>(repository: Repository): Repository;
  /** `owner/repo` of now; null for a name that nobody has or had here. */
  find(name: string): string | null;
  /** The forge's number of it; 0 where it was never seen. */
  idOf(name: string): number;
  /** Whether it is known by a name, and has this one or had it. */
  isKnownAs(repository: ForgeRepositoryId): boolean;
  /** Another one, by what is known here, that has this name now; null where there is none. */
  otherOf(repository: ForgeRepositoryId): ForgeRepositoryId | null;
  /**
   * The forge shows it under this name: all that is kept of it is moved there, and what is kept there of others is set
   * aside.
   * @param oldName as somebody told; counts where it was never seen @throws DatabaseError
   */
  seen(repository: ForgeRepositoryId, oldName?: string): Promise<NamedRepository>;
}

export const createRepositoryNames = ({ host, database, clock }: RepositoryNamesDeps): RepositoryNames => {
  const byId = new Map<number, string>();
  /** Of now, and former ones. */
  const byKey = new Map<string, number>();
  const remember = ({ id, name }: ForgeRepositoryId): void => {
    byId.set(id, name);
    byKey.set(repositoryKey(name), id);
  };
  return {
    async load() {
      for (const one of await database.repositories.list()) {
        if (one.host !== host) continue;
        for (const former of one.formerNames) byKey.set(repositoryKey(former), one.repositoryId);
        remember({ id: one.repositoryId, name: one.name });
      }
    },
    now: (repository) => ({ ...repository, name: byId.get(repository.id) ?? repository.name }),
    find: (name) => byId.get(byKey.get(repositoryKey(name)) ?? 0) ?? null,
    idOf: (name) => byKey.get(repositoryKey(name)) ?? 0,
    isKnownAs: ({ id, name }) =>
      byKey.get(repositoryKey(name)) === id && !isAside(byId.get(id) ?? asideName(id)),
    otherOf({ id, name }) {
      const other = byKey.get(repositoryKey(name)) ?? id;
      const itsName = byId.get(other);
      const isIts = other !== id && itsName !== undefined && repositoryKey(itsName) === repositoryKey(name);
      return isIts ? { id: other, name: itsName } : null;
    },
    async seen(repository, oldName) {
      const { id, name } = repository;
      if (byId.get(id) === name) return { from: null, aside: [] };
      const seen = { host, repositoryId: id, name, oldName: oldName ?? null, atMs: clock() };
      const named = await database.repositories.seen(seen);
      for (const { repositoryId, to } of named.aside) remember({ id: repositoryId, name: to });
      remember(repository);
      const { from } = named;
      if (from !== null && !byKey.has(repositoryKey(from))) byKey.set(repositoryKey(from), id);
      return named;
    },
  };
};

/** What shares one is done one after the other: a repository keeps it when it is renamed. */
export const laneOf = ({ id, name }: Pick<EventRepository, 'id' | 'name'>): string =>
  id === 0 ? repositoryKey(name) : `#${id}`;
