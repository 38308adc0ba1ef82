// What is not for everybody: repositories that are private at their forge, and what only they have wanted. What a forge tells
// hides at once; only a look at the forge shows again.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeListing, Database } from '../../database/database.ts';
import { drvHashOf, type PrivateRepository, type RepositoryOwner } from '../../database/privacy.ts';
import { repositoryKey } from '../../database/repositories.ts';
import type { EventRepository } from '../../forge/forge-event.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import {
  createPrivateDerivations,
  type OwnerKey,
  ownerKeyOf,
  type PrivateDerivations,
  type WantedDrv,
} from './private-derivations.ts';

export type { OwnerKey } from './private-derivations.ts';

/** Asked for each answer and each event: it reads memory. */
export interface Visible {
  /** Null where everybody may see it. @param repository under which its changes are kept: `github.com/owner/repo` */
  ownerOf(repository: string): OwnerKey | null;
  /** Null where everybody may see it; else whoever may see one of these repositories. */
  ownersOf(drv: DrvPath): readonly OwnerKey[] | null;
  /** All private repositories, each with its name of now and those that it had. */
  owners(): readonly PrivateOwner[];
  /** False: everybody may see every derivation. */
  hidesDerivations(): boolean;
}

export interface PrivateOwner {
  readonly key: OwnerKey;
  readonly host: string;
  /** `owner/repo` */
  readonly name: string;
  /** Under which its changes may be kept. */
  readonly keptNames: readonly string[];
}

/** Who wants derivations, told around their getting rows. */
export interface WantedBy {
  beforeRows(wanted: Iterable<WantedDrv>): Promise<void>;
  afterRows(wanted: Iterable<WantedDrv>): Promise<void>;
}

/** All that return promises reject with DatabaseError. */
export interface Visibility extends Visible {
  /** Before anything is answered. */
  load(): Promise<void>;
  /** Now: for `seen`. */
  mark(): number;
  /** A forge said so in passing, perhaps long ago. Private counts at once. @returns whether that is news */
  told(host: string, repository: EventRepository): boolean;
  /** What was told is on disk. */
  write(): Promise<void>;
  /** The forge was asked. @param since what was told after that mark is newer */
  seen(host: string, repository: EventRepository, since: number): Promise<void>;
  wantedBy(change: Pick<ChangeListing, 'kind' | 'repository'>): WantedBy;
}

interface Known {
  readonly owner: RepositoryOwner;
  name: string;
  readonly names: Map<string, string>;
  toldAt: number;
}

type Stored = Pick<Database, 'privacy' | 'changes' | 'jobsets' | 'derivations' | 'repositories'>;

/** Somebody may have submitted it by its address: `https://github.com/owner/repo.git` is `github.com/owner/repo`. */
const plainNameOf = (repository: string): string =>
  repository
    .replace(/^[a-z+]+:\/\/(?:[^/@]*@)?/i, '')
    .replace(/^[^/@:]+@([^/:]+):/, '$1/')
    .replace(/(?:\.git)?\/*$/, '');

function* asNew(wanted: Iterable<WantedDrv>): Generator<WantedDrv> {
  for (const { path } of wanted) yield { path, hasRow: false };
}

const everyKind = ['branch', 'offered', 'group', 'baseline', 'submitted'] as const;

class KnownVisibility implements Visibility {
  readonly #database: Stored;
  readonly #derivations: PrivateDerivations;
  readonly #byOwner = new Map<OwnerKey, Known>();
  /** By `host/owner/repo` in lower case. */
  readonly #byName = new Map<string, OwnerKey>();
  readonly #unwritten = new Map<string, PrivateRepository>();
  #clock = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(database: Stored) {
    this.#database = database;
    this.#derivations = createPrivateDerivations(database.privacy);
  }

  async load(): Promise<void> {
    for (const one of await this.#database.privacy.repositories()) this.#hide(one, true);
    for (const { host, repositoryId, name } of await this.#database.repositories.list()) {
      const known = this.#byOwner.get(ownerKeyOf({ host, repositoryId }));
      if (known !== undefined) known.name = name;
    }
    await this.#derivations.load();
  }

  ownerOf(repository: string): OwnerKey | null {
    if (this.#byName.size === 0) return null;
    return this.#byName.get(repositoryKey(plainNameOf(repository))) ?? null;
  }

  ownersOf(drv: DrvPath): readonly OwnerKey[] | null {
    return this.#derivations.ownersOf(drv);
  }

  hidesDerivations(): boolean {
    return this.#derivations.count() > 0;
  }

  owners(): readonly PrivateOwner[] {
    return Array.from(this.#byOwner, ([key, { owner, name, names }]) => {
      return { key, host: owner.host, name, keptNames: [...names.values()] };
    });
  }

  mark(): number {
    return this.#clock;
  }

  told(host: string, repository: EventRepository): boolean {
    return this.#told(host, repository, false);
  }

  #told(host: string, { id, name, isPrivate }: EventRepository, isNow: boolean): boolean {
    // Nobody knows which one it is.
    if (!isPrivate || id === 0) return false;
    const repository = { host, repositoryId: id, name };
    this.#clock += 1;
    const isNews = this.#hide(repository, isNow);
    if (isNews) this.#unwritten.set(repositoryKey(hostedName(host, name)), repository);
    return isNews;
  }

  /** One after the other: what is written twice at once would be looked up twice. */
  write(): Promise<void> {
    const written = this.#writing.then(() => this.#write());
    this.#writing = written.catch(() => {});
    return written;
  }

  async seen(host: string, repository: EventRepository, since: number): Promise<void> {
    const { id, name, isPrivate } = repository;
    const owner = { host, repositoryId: id };
    if (isPrivate) {
      this.#told(host, repository, true);
      return this.write();
    }
    const known = this.#byOwner.get(ownerKeyOf(owner));
    if (known !== undefined && known.toldAt <= since) await this.#show(known, since);
    await this.#forgetOther(owner, name);
  }

  wantedBy({ kind, repository }: Pick<ChangeListing, 'kind' | 'repository'>): WantedBy {
    const ownerNow = (): RepositoryOwner | null => {
      const key = this.ownerOf(repository);
      return key === null ? null : (this.#byOwner.get(key)?.owner ?? null);
    };
    let isClaimed = false;
    return {
      beforeRows: async (wanted) => {
        const owner = ownerNow();
        isClaimed = owner !== null;
        if (owner !== null) await this.#derivations.claim(owner, wanted);
      },
      afterRows: async (wanted) => {
        const owner = ownerNow();
        // It became private meanwhile, and which of these had rows before is lost: what others want is shown again by them.
        if (owner !== null && !isClaimed) await this.#derivations.claim(owner, asNew(wanted));
        // Whoever submits something by hand says nothing of who may see it elsewhere.
        if (owner === null && kind !== 'submitted') await this.#derivations.release(wanted);
      },
    };
  }

  async #write(): Promise<void> {
    for (const [key, repository] of [...this.#unwritten]) {
      // Where it ends in the middle it is all done again.
      await this.#claimWhatWasPublic(repository);
      await this.#database.privacy.hide(repository);
      this.#unwritten.delete(key);
    }
  }

  /** @param isNow false: it may have had this name before, and have another one by now */
  #hide({ host, repositoryId, name }: PrivateRepository, isNow: boolean): boolean {
    const owner = { host, repositoryId };
    const key = ownerKeyOf(owner);
    const known = this.#byOwner.get(key) ?? { owner, name, names: new Map<string, string>(), toldAt: 0 };
    this.#byOwner.set(key, known);
    const kept = hostedName(host, name);
    const isNews = known.names.get(repositoryKey(kept)) !== kept;
    if (isNow || isNews) known.name = name;
    known.toldAt = this.#clock;
    known.names.set(repositoryKey(kept), kept);
    this.#byName.set(repositoryKey(kept), key);
    return isNews;
  }

  async #show(known: Known, since: number): Promise<void> {
    const { owner, names } = known;
    await this.#database.privacy.show(owner);
    if (known.toldAt > since) {
      // It was told meanwhile that it is not so any more.
      for (const [kept, full] of names) {
        this.#unwritten.set(kept, { ...owner, name: full.slice(owner.host.length + 1) });
      }
      return this.write();
    }
    const key = ownerKeyOf(owner);
    this.#byOwner.delete(key);
    for (const name of names.keys()) {
      if (this.#byName.get(name) === key) this.#byName.delete(name);
      this.#unwritten.delete(name);
    }
    this.#derivations.disown(owner);
  }

  /** A public one has the name that a private one had. What is kept under it is not the private one's, where that has moved. */
  async #forgetOther({ host, repositoryId }: RepositoryOwner, name: string): Promise<void> {
    const kept = repositoryKey(hostedName(host, name));
    const other = this.#byOwner.get(this.#byName.get(kept) ?? '');
    if (other === undefined || other.owner.repositoryId === repositoryId) return;
    if (repositoryKey(other.name) === repositoryKey(name)) return;
    await this.#database.privacy.forgetName(host, name);
    other.names.delete(kept);
    this.#byName.delete(kept);
  }

  /**
   * What only this repository has wanted while it was public is its own now, as far as the jobsets tell that are kept.
   */
  async #claimWhatWasPublic({ host, repositoryId, name }: PrivateRepository): Promise<void> {
    const { changes, privacy } = this.#database;
    const repository = hostedName(host, name);
    const page = await changes.list({ repository, kinds: everyKind, limit: 1 });
    if (page.changes.length === 0) return;
    const jobsets = await privacy.jobsets();
    const isOpen = (one: string): boolean => this.ownerOf(one) === null;
    const own = new Set<string>();
    for (const { id, repositories } of jobsets) {
      if (!repositories.includes(repository) || repositories.some(isOpen)) continue;
      for await (const hash of this.#wantedOf(id)) own.add(hash);
    }
    if (own.size === 0) return;
    for (const { id, repositories } of jobsets) {
      if (!repositories.some(isOpen)) continue;
      for await (const hash of this.#wantedOf(id)) own.delete(hash);
    }
    await this.#derivations.claimAll({ host, repositoryId }, [...own]);
  }

  async *#wantedOf(id: Parameters<Stored['jobsets']['records']>[0]): AsyncGenerator<string> {
    const { jobsets, derivations } = this.#database;
    const roots: DrvPath[] = [];
    for await (const batch of jobsets.records(id)) {
      for (const record of batch) if (record.kind === 'derivation') roots.push(record.drvPath);
    }
    for await (const batch of derivations.closureOf(roots)) {
      for (const { path } of batch) yield drvHashOf(path);
    }
  }
}

export const createVisibility = (database: Stored): Visibility => new KnownVisibility(database);
