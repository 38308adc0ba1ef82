// The port's repositories of hosted forges: which name each of them has, and which ones it had. Part of database.ts.

/** Told apart by host and the forge's number: that stays when it is renamed or given to another owner. */
export interface StoredRepository {
  /** Of the forge. */
  readonly host: string;
  readonly repositoryId: number;
  /** `owner/repo`, as the forge writes it; see `isAside` for one whose name another one has now. */
  readonly name: string;
  /** Those that it had before, and that nobody else has now. */
  readonly formerNames: readonly string[];
}

/** A sight of one. */
export interface SeenRepository extends Pick<StoredRepository, 'host' | 'repositoryId' | 'name'> {
  /** What it was called until now, by who told; counts where it was never seen, and nobody is known by that name. */
  readonly oldName: string | null;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface SetAside {
  readonly repositoryId: number;
  /** The name that it had. */
  readonly from: string;
  /** As `asideName` gives it. */
  readonly to: string;
}

export interface NamedRepository {
  /** The name under which its rows were until now; null where nothing moved. */
  readonly from: string | null;
  /** Others, of which rows were kept under the name that it has now. */
  readonly aside: readonly SetAside[];
}

export interface Repositories {
  /** In no order. */
  list(): Promise<readonly StoredRepository[]>;
  /**
   * It has this name now. All in one transaction: what is kept of whoever else had it goes on under a name that nobody can
   * have, until that one is seen again; and where it had another name before itself, all that is kept under that goes on
   * under this one: changes, gates, merges, reviews. Names differ by case, too.
   */
  seen(repository: SeenRepository): Promise<NamedRepository>;
}

/** Forges take `Owner/Repo` and `owner/repo` for one: what shares this is the same name. */
export const repositoryKey = (name: string): string => name.toLowerCase();

/** A name for what is kept of a repository whose own name another one has: no forge takes such a one. */
export const asideName = (repositoryId: number): string => `#${repositoryId}/set-aside`;

/** @param name `owner/repo` */
export const isAside = (name: string): boolean => name.startsWith('#');

/** @param repository under which changes are kept: `github.com/owner/repo` */
export const isKeptAside = (repository: string): boolean => /^[^/]*\/#/.test(repository);

/** A forge is known by the host of its web address: other protocols' ports say nothing, nor does the usual one of the web. */
const plainHost = (scheme: string, host: string): string => {
  const usual = new Map([
    ['http', '80'],
    ['https', '443'],
  ]).get(scheme.toLowerCase());
  return host.replace(usual === undefined ? /:\d*$/ : new RegExp(`:(?:${usual})?$`), '').replace(/\.$/, '');
};

/**
 * Somebody may have submitted it by its address: `https://github.com/owner/repo.git` is `github.com/owner/repo`, and so is
 * whatever else git takes for it.
 */
export const plainNameOf = (repository: string): string =>
  repository
    .replace(/^(?:git\+)?([a-z+]+):\/\/(?:[^/@]*@)?([^/]*)/i, (_, scheme: string, host: string) =>
      plainHost(scheme, host),
    )
    .replace(
      /^(?:[^/@:]+@([^/:]+):|([^/@:]+):(?!\d+(?:\/|$)))/,
      (_, ...hosts: string[]) => `${hosts[0] ?? hosts[1] ?? ''}/`,
    )
    .replace(/\/{2,}/g, '/')
    .replace(/(?:\.git)?\/*$/, '');

/**
 * The same repository as it is called now, of what was written down without its host.
 * @param kept under which its change is kept; null where nobody knows any more
 */
export const plainNameNow = (name: string, kept: string | null): string => {
  const parts = kept === null || kept === name ? null : partsOfKept(kept);
  // Without a host in front nobody gives it another name.
  return parts?.name.includes('/') === true ? parts.name : name;
};

/** `github.com/owner/repo` as host and name; null for what has not both. */
export const partsOfKept = (repository: string): { readonly host: string; readonly name: string } | null => {
  const at = repository.indexOf('/');
  return at <= 0 ? null : { host: repository.slice(0, at), name: repository.slice(at + 1) };
};
