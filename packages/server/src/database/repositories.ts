// The port's repositories of hosted forges: which name each of them has, and which ones it had. Part of database.ts.

/** Told apart by host and the forge's number: that stays when it is renamed or given to another owner. */
export interface StoredRepository {
  /** Of the forge. */
  readonly host: string;
  readonly repositoryId: number;
  /** `owner/repo`, as the forge writes it. */
  readonly name: string;
  /** Those that it had before, and that nobody else has now. */
  readonly formerNames: readonly string[];
}

/** A sight of one. */
export interface SeenRepository extends Pick<StoredRepository, 'host' | 'repositoryId' | 'name'> {
  /** What it was called until now, by who told; counts where it was never seen. */
  readonly oldName: string | null;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface Repositories {
  /** In no order. */
  list(): Promise<readonly StoredRepository[]>;
  /**
   * It has this name now, and whoever else had it has none. Where it had another before, all that is kept under that goes
   * on under this one, in the same transaction: changes, gates, merges, reviews. Names differ by case, too.
   * @returns the name that it had; null where nothing moved
   */
  seen(repository: SeenRepository): Promise<string | null>;
}

/** Forges take `Owner/Repo` and `owner/repo` for one: what shares this is the same name. */
export const repositoryKey = (name: string): string => name.toLowerCase();
