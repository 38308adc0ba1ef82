// How the repositories of one hosted forge are called now, however somebody writes them: by number, by a name that they
// had, in any case. In mind, and in the database.
import type { Database } from '../../database/database.ts';
import { repositoryKey } from '../../database/repositories.ts';
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
  /**
   * The forge shows it under this name: all that is kept of it is moved there.
   * @returns the name that it had; null where nothing moved @throws DatabaseError
   */
  seen(repository: ForgeRepositoryId): Promise<string | null>;
  /**
   * The forge told of it: the same, but where it has yet another name by now. Then a look at the forge tells which.
   * @throws DatabaseError
   */
  told(repository: ForgeRepositoryId, oldName: string): Promise<string | null>;
}

export const createRepositoryNames = ({ host, database, clock }: RepositoryNamesDeps): RepositoryNames => {
  const byId = new Map<number, string>();
  /** Of now, and former ones. */
  const byKey = new Map<string, number>();
  const remember = ({ id, name }: ForgeRepositoryId): void => {
    const key = repositoryKey(name);
    const other = byKey.get(key);
    if (other !== undefined && other !== id && repositoryKey(byId.get(other) ?? '') === key)
      byId.delete(other);
    byId.set(id, name);
    byKey.set(key, id);
  };
  const move = async (repository: ForgeRepositoryId, oldName: string | null): Promise<string | null> => {
    const { id, name } = repository;
    if (byId.get(id) === name) return null;
    const seen = { host, repositoryId: id, name, oldName, atMs: clock() };
    const moved = await database.repositories.seen(seen);
    remember(repository);
    if (moved !== null && !byKey.has(repositoryKey(moved))) byKey.set(repositoryKey(moved), id);
    return moved;
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
    seen: (repository) => move(repository, null),
    async told(repository, oldName) {
      const known = byId.get(repository.id);
      const isNews = known === undefined || repositoryKey(known) === repositoryKey(oldName);
      return isNews ? move(repository, oldName) : null;
    },
  };
};

/** What shares one is done one after the other: a repository keeps it when it is renamed. */
export const laneOf = ({ id, name }: Pick<EventRepository, 'id' | 'name'>): string =>
  id === 0 ? repositoryKey(name) : `#${id}`;
