// Which private repositories there are, by their numbers, and under which names anything may be kept of them. In mind: it is
// asked for each answer and each event.
import type { PrivateRepository, RepositoryOwner } from '../../database/privacy.ts';
import {
  asideName,
  isAside,
  isKeptAside,
  type NamedRepository,
  partsOfKept,
  plainNameOf,
  repositoryKey,
  type StoredRepository,
} from '../../database/repositories.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import { type OwnerKey, ownerKeyOf } from './private-derivations.ts';

export interface PrivateOwner extends RepositoryOwner {
  readonly key: OwnerKey;
  /** `owner/repo`; see `isAside`. */
  readonly name: string;
  /** Under which its changes may be kept. */
  readonly keptNames: readonly string[];
}

export interface KnownOwner {
  readonly owner: RepositoryOwner;
  name: string;
  /** In full, by what `repositoryKey` gives. */
  readonly names: Map<string, string>;
  toldAt: number;
}

/** Told by `named`, and at the start: whose each name is in the database. */
interface Holders {
  readonly byName: Map<string, OwnerKey>;
  readonly byOwner: Map<OwnerKey, string>;
}

/** What is kept of a repository whose name another one has is of nobody: none who may read it can be asked for by name. */
export const nobody: OwnerKey = '#';

export class HiddenNames {
  readonly #byOwner = new Map<OwnerKey, KnownOwner>();
  /** Of what does not say of which repository it is, by name in lower case. */
  readonly #byName = new Map<string, OwnerKey>();
  readonly #holders: Holders = { byName: new Map(), byOwner: new Map() };
  /** In full. */
  readonly #aside = new Set<string>();

  /** Names of now, of all repositories: before anything is hidden. */
  load(all: readonly StoredRepository[]): void {
    for (const { host, repositoryId, name } of all) this.#hold({ host, repositoryId }, name);
  }

  ownerOf(repository: string, repositoryId?: number): OwnerKey | null {
    if (this.#byOwner.size + this.#aside.size === 0) return null;
    if (isKeptAside(repository)) return nobody;
    const plain = repositoryKey(plainNameOf(repository));
    if (repositoryId === undefined) return this.#byName.get(plain) ?? null;
    const key = ownerKeyOf({ host: partsOfKept(plain)?.host ?? '', repositoryId });
    return this.#byOwner.has(key) ? key : null;
  }

  find(key: OwnerKey): KnownOwner | undefined {
    return this.#byOwner.get(key);
  }

  owners(): readonly PrivateOwner[] {
    return Array.from(this.#byOwner, ([key, { owner, name, names }]) => {
      return { ...owner, key, name, keptNames: [...names.values()] };
    });
  }

  aside(): readonly string[] {
    return [...this.#aside];
  }

  /**
   * @param how `isNow` false: it may have had this name before, and have another one by now; `at`: when it was told
   * @returns the name that it is to be written under; null where it is hidden under that already
   */
  hide(
    { host, repositoryId, name: told }: PrivateRepository,
    { isNow, at }: { readonly isNow: boolean; readonly at: number },
  ): string | null {
    const owner = { host, repositoryId };
    const key = ownerKeyOf(owner);
    const holder = this.#holders.byName.get(repositoryKey(hostedName(host, told)));
    // What is kept under the name of another one is not its own, whatever it is called.
    const name = holder === undefined || holder === key ? told : asideName(repositoryId);
    const known = this.#byOwner.get(key) ?? { owner, name, names: new Map<string, string>(), toldAt: 0 };
    this.#byOwner.set(key, known);
    const held = this.#holders.byOwner.get(key);
    const full = hostedName(host, name);
    const isNews = known.names.get(repositoryKey(full)) !== full;
    if (isNow || isNews) known.name = told;
    known.toldAt = at;
    this.#add(key, known, full);
    if (held !== undefined) this.#add(key, known, hostedName(host, held));
    return isNews ? name : null;
  }

  show(key: OwnerKey): void {
    const known = this.#byOwner.get(key);
    this.#byOwner.delete(key);
    for (const name of known?.names.keys() ?? []) {
      if (this.#byName.get(name) === key) this.#byName.delete(name);
    }
  }

  /** What is kept of it is under this name since now, and what was kept there of others is not. */
  named(
    { host, repositoryId, name }: RepositoryOwner & { readonly name: string },
    { aside }: Pick<NamedRepository, 'aside'>,
  ): void {
    for (const other of aside) this.#move({ host, repositoryId: other.repositoryId }, other.to);
    this.#move({ host, repositoryId }, name);
  }

  #move(owner: RepositoryOwner, name: string): void {
    this.#hold(owner, name);
    const key = ownerKeyOf(owner);
    const full = hostedName(owner.host, name);
    for (const [other, { names }] of this.#byOwner) if (other !== key) names.delete(repositoryKey(full));
    this.#byName.delete(repositoryKey(full));
    const known = this.#byOwner.get(key);
    if (known === undefined) return;
    known.name = name;
    this.#add(key, known, full);
  }

  #hold(owner: RepositoryOwner, name: string): void {
    const key = ownerKeyOf(owner);
    const before = this.#holders.byOwner.get(key);
    if (before !== undefined) {
      const full = hostedName(owner.host, before);
      if (this.#holders.byName.get(repositoryKey(full)) === key) {
        this.#holders.byName.delete(repositoryKey(full));
      }
      this.#aside.delete(full);
    }
    const full = hostedName(owner.host, name);
    this.#holders.byName.set(repositoryKey(full), key);
    this.#holders.byOwner.set(key, name);
    if (isAside(name)) this.#aside.add(full);
  }

  #add(key: OwnerKey, known: KnownOwner, full: string): void {
    known.names.set(repositoryKey(full), full);
    this.#byName.set(repositoryKey(full), key);
  }
}
