// What is not for everybody: repositories that are private at their forge, and what only they have wanted. What a forge tells
// hides at once; only a look at the forge shows again.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeListing, Database } from '../../database/database.ts';
import {
  drvHashOf,
  type KeptRepository,
  type PrivateRepository,
  type RepositoryOwner,
} from '../../database/privacy.ts';
import { type NamedRepository, partsOfKept, repositoryKey } from '../../database/repositories.ts';
import type { EventRepository, ForgeRepositoryId } from '../../forge/forge-event.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import { HiddenNames, type KnownOwner, nobody, type PrivateOwner } from './hidden-names.ts';
import {
  createPrivateDerivations,
  type OwnerKey,
  ownerKeyOf,
  type PrivateDerivations,
  type WantedDrv,
} from './private-derivations.ts';

export type { PrivateOwner } from './hidden-names.ts';
export type { OwnerKey } from './private-derivations.ts';

/** Asked for each answer and each event: it reads memory. */
export interface Visible {
  /**
   * Null where everybody may see it.
   * @param repository under which its changes are kept: `github.com/owner/repo`
   * @param repositoryId whose they are, where they say so: names are taken by others
   */
  ownerOf(repository: string, repositoryId?: number): OwnerKey | null;
  /** Null where everybody may see it; else whoever may see one of these repositories. */
  ownersOf(drv: DrvPath): readonly OwnerKey[] | null;
  /** All private repositories, each with its name of now and those that it had. */
  owners(): readonly PrivateOwner[];
  /** Under which that is kept whose repository has no name any more: nobody sees it. */
  aside(): readonly string[];
  /** False: everybody may see every derivation. */
  hidesDerivations(): boolean;
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
  /** Rows have moved: what is kept under that name is of this one since now. */
  named(host: string, repository: ForgeRepositoryId, moved: Pick<NamedRepository, 'aside'>): void;
  wantedBy(change: Pick<ChangeListing, 'kind' | 'repository' | 'repositoryId'>): WantedBy;
}

type Stored = Pick<Database, 'privacy' | 'changes' | 'jobsets' | 'derivations' | 'repositories'>;

function* asNew(wanted: Iterable<WantedDrv>): Generator<WantedDrv> {
  for (const { path } of wanted) yield { path, hasRow: false };
}

const everyKind = ['branch', 'offered', 'group', 'baseline', 'submitted'] as const;

class KnownVisibility implements Visibility {
  readonly #database: Stored;
  readonly #derivations: PrivateDerivations;
  readonly #names = new HiddenNames();
  readonly #unwritten = new Map<string, PrivateRepository>();
  #clock = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(database: Stored) {
    this.#database = database;
    this.#derivations = createPrivateDerivations(database.privacy);
  }

  async load(): Promise<void> {
    const all = await this.#database.repositories.list();
    this.#names.load(all);
    for (const one of await this.#database.privacy.repositories()) this.#hide(one, true);
    for (const { host, repositoryId, name } of all) {
      const known = this.#names.find(ownerKeyOf({ host, repositoryId }));
      if (known !== undefined) known.name = name;
    }
    await this.#derivations.load();
  }

  ownerOf(repository: string, repositoryId?: number): OwnerKey | null {
    return this.#names.ownerOf(repository, repositoryId);
  }

  ownersOf(drv: DrvPath): readonly OwnerKey[] | null {
    return this.#derivations.ownersOf(drv);
  }

  hidesDerivations(): boolean {
    return this.#derivations.count() > 0;
  }

  owners(): readonly PrivateOwner[] {
    return this.#names.owners();
  }

  aside(): readonly string[] {
    return this.#names.aside();
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
    this.#clock += 1;
    const written = this.#hide({ host, repositoryId: id, name }, isNow);
    if (written === null) return false;
    const repository = { host, repositoryId: id, name: written };
    this.#unwritten.set(repositoryKey(hostedName(host, written)), repository);
    return true;
  }

  /** One after the other: what is written twice at once would be looked up twice. */
  write(): Promise<void> {
    const written = this.#writing.then(() => this.#write());
    this.#writing = written.catch(() => {});
    return written;
  }

  async seen(host: string, repository: EventRepository, since: number): Promise<void> {
    const { id, isPrivate } = repository;
    if (isPrivate) {
      this.#told(host, repository, true);
      return this.write();
    }
    const known = this.#names.find(ownerKeyOf({ host, repositoryId: id }));
    if (known !== undefined && known.toldAt <= since) await this.#show(known, since);
  }

  named(host: string, { id, name }: ForgeRepositoryId, moved: Pick<NamedRepository, 'aside'>): void {
    this.#names.named({ host, repositoryId: id, name }, moved);
  }

  wantedBy({ kind, ...kept }: Pick<ChangeListing, 'kind' | 'repository' | 'repositoryId'>): WantedBy {
    const itself = ownerKeyOf({
      host: partsOfKept(kept.repository)?.host ?? '',
      repositoryId: kept.repositoryId ?? 0,
    });
    const ownerNow = (): RepositoryOwner | null => {
      const key = this.#ownerOf(kept);
      return key === null ? null : (this.#names.find(key === nobody ? itself : key)?.owner ?? null);
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
        if (this.#ownerOf(kept) === null && kind !== 'submitted') await this.#derivations.release(wanted);
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

  #hide(repository: PrivateRepository, isNow: boolean): string | null {
    return this.#names.hide(repository, { isNow, at: this.#clock });
  }

  #ownerOf({ repository, repositoryId }: KeptRepository): OwnerKey | null {
    return this.#names.ownerOf(repository, repositoryId);
  }

  async #show(known: KnownOwner, since: number): Promise<void> {
    const { owner, names } = known;
    await this.#database.privacy.show(owner);
    if (known.toldAt > since) {
      // It was told meanwhile that it is not so any more.
      for (const [kept, full] of names) {
        this.#unwritten.set(kept, { ...owner, name: full.slice(owner.host.length + 1) });
      }
      return this.write();
    }
    this.#names.show(ownerKeyOf(owner));
    for (const name of names.keys()) this.#unwritten.delete(name);
    this.#derivations.disown(owner);
  }

  /**
   * What only this repository has wanted while it was public is its own now, as far as the jobsets tell that are kept.
   */
  async #claimWhatWasPublic({ host, repositoryId }: PrivateRepository): Promise<void> {
    const { privacy } = this.#database;
    const key = ownerKeyOf({ host, repositoryId });
    if (!(await this.#hasChanges(key))) return;
    const jobsets = await privacy.jobsets();
    const isOpen = (one: KeptRepository): boolean => this.#ownerOf(one) === null;
    const isOwn = (one: KeptRepository): boolean => this.#ownerOf(one) === key;
    const own = new Set<string>();
    for (const { id, repositories } of jobsets) {
      if (!repositories.some(isOwn) || repositories.some(isOpen)) continue;
      for await (const hash of this.#wantedOf(id)) own.add(hash);
    }
    if (own.size === 0) return;
    for (const { id, repositories } of jobsets) {
      if (!repositories.some(isOpen)) continue;
      for await (const hash of this.#wantedOf(id)) own.delete(hash);
    }
    await this.#derivations.claimAll({ host, repositoryId }, [...own]);
  }

  async #hasChanges(key: OwnerKey): Promise<boolean> {
    for (const repository of this.#names.find(key)?.names.values() ?? []) {
      const page = await this.#database.changes.list({ repository, kinds: everyKind, limit: 1 });
      if (page.changes.length > 0) return true;
    }
    return false;
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
