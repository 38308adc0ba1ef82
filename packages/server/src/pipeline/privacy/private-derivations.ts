// Which derivations only private repositories have wanted, in mind: it is asked for each step of each build. About 75 bytes
// for each of them; what everybody may see costs nothing.
import type { DrvPath } from '@eka-ci/core/ids';
import type { Database } from '../../database/database.ts';
import {
  type DrvHash,
  drvHashOf,
  type PrivateDerivation,
  type RepositoryOwner,
} from '../../database/privacy.ts';

/** Names a private repository, whatever it is called now. */
export type OwnerKey = string;

export const ownerKeyOf = ({ host, repositoryId }: RepositoryOwner): OwnerKey => `${host}#${repositoryId}`;

/** One derivation of those that somebody wants. */
export interface WantedDrv {
  readonly path: DrvPath;
  /** It was wanted before, by whomever. */
  readonly hasRow: boolean;
}

export interface PrivateDerivations {
  /** Before anything is answered. @throws DatabaseError */
  load(): Promise<void>;
  /** Null where everybody may see it. */
  ownersOf(drv: DrvPath): readonly OwnerKey[] | null;
  count(): number;
  /**
   * A private repository wants them. What others wanted before, in public, stays for everybody. To be called before they
   * get rows. @throws DatabaseError
   */
  claim(owner: RepositoryOwner, wanted: Iterable<WantedDrv>): Promise<void>;
  /** The same of what nobody public wants any more. @throws DatabaseError */
  claimAll(owner: RepositoryOwner, drvs: readonly DrvHash[]): Promise<void>;
  /** A public one wants them: they are for everybody. To be called when they have rows. @throws DatabaseError */
  release(wanted: Iterable<WantedDrv>): Promise<void>;
  /** That repository is public now; its rows are gone. */
  disown(owner: RepositoryOwner): void;
}

/** Rows of one transaction. */
const rowsAtOnce = 2000;
const pageSize = 10_000;

type Stored = Pick<Database, 'privacy'>['privacy'];

class KnownDerivations implements PrivateDerivations {
  readonly #stored: Stored;
  /** Numbers of sets of owners, of which there are few. */
  readonly #byHash = new Map<DrvHash, number>();
  readonly #sets: (readonly OwnerKey[])[] = [];
  readonly #numbers = new Map<string, number>();
  /** Of these the rows are not written yet, by key of the owner: whoever claims them once more has to. */
  readonly #unwritten = new Map<OwnerKey, Set<DrvHash>>();

  constructor(stored: Stored) {
    this.#stored = stored;
  }

  async load(): Promise<void> {
    let last: PrivateDerivation | null = null;
    do {
      const page: readonly PrivateDerivation[] = await this.#stored.derivations(pageSize, last);
      for (const one of page) this.#own(ownerKeyOf(one), one.drv);
      last = page.at(-1) ?? null;
    } while (last !== null);
  }

  ownersOf(drv: DrvPath): readonly OwnerKey[] | null {
    if (this.#byHash.size === 0) return null;
    const number = this.#byHash.get(drvHashOf(drv));
    return number === undefined ? null : (this.#sets[number] ?? null);
  }

  count(): number {
    return this.#byHash.size;
  }

  async claim(owner: RepositoryOwner, wanted: Iterable<WantedDrv>): Promise<void> {
    const key = ownerKeyOf(owner);
    const lacking: DrvHash[] = [];
    const unwritten = this.#unwritten.get(key);
    for (const { path, hasRow } of wanted) {
      const owners = this.ownersOf(path);
      const isOpen = owners === null && hasRow;
      const hash = drvHashOf(path);
      if (unwritten?.has(hash) === true || (!isOpen && owners?.includes(key) !== true)) lacking.push(hash);
    }
    await this.claimAll(owner, lacking);
  }

  async claimAll(owner: RepositoryOwner, drvs: readonly DrvHash[]): Promise<void> {
    const key = ownerKeyOf(owner);
    // In the order of their keys: each transaction then writes few pages, which are next to each other.
    const sorted = drvs.toSorted();
    for (let at = 0; at < sorted.length; at += rowsAtOnce) {
      const some = sorted.slice(at, at + rowsAtOnce);
      // Hidden first: what is not written for a fault is asked for again, and is not shown meanwhile.
      for (const drv of some) this.#own(key, drv);
      const unwritten = this.#unwritten.get(key) ?? new Set();
      this.#unwritten.set(key, unwritten);
      for (const drv of some) unwritten.add(drv);
      await this.#stored.claim(owner, some);
      for (const drv of some) unwritten.delete(drv);
      if (unwritten.size === 0) this.#unwritten.delete(key);
    }
  }

  async release(wanted: Iterable<WantedDrv>): Promise<void> {
    if (this.#byHash.size === 0) return;
    const owned: DrvHash[] = [];
    for (const { path } of wanted) {
      const hash = drvHashOf(path);
      if (this.#byHash.has(hash)) owned.push(hash);
    }
    owned.sort();
    for (let at = 0; at < owned.length; at += rowsAtOnce) {
      const some = owned.slice(at, at + rowsAtOnce);
      await this.#stored.release(some);
      for (const hash of some) this.#byHash.delete(hash);
    }
  }

  disown(owner: RepositoryOwner): void {
    const key = ownerKeyOf(owner);
    for (const [hash, number] of this.#byHash) {
      const owners = this.#sets[number] ?? [];
      if (!owners.includes(key)) continue;
      // Everybody may see what one of those who wanted it shows to everybody.
      this.#byHash.delete(hash);
    }
  }

  #own(key: OwnerKey, hash: DrvHash): void {
    const number = this.#byHash.get(hash);
    const owners = number === undefined ? [] : (this.#sets[number] ?? []);
    if (!owners.includes(key)) this.#byHash.set(hash, this.#numberOf([...owners, key].toSorted()));
  }

  #numberOf(owners: readonly OwnerKey[]): number {
    const text = owners.join(' ');
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#sets.push(owners) - 1;
    this.#numbers.set(text, number);
    return number;
  }
}

export const createPrivateDerivations = (stored: Stored): PrivateDerivations => new KnownDerivations(stored);
