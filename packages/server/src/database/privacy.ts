// The port's privacy: repositories that are private at their forge, and derivations that only such ones have wanted.
// Part of database.ts.
import type { DrvPath } from '@eka-ci/core/ids';
import type { JobsetId } from './jobset-id.ts';

/** Told apart by host and the forge's number: that stays when it is renamed. */
export interface RepositoryOwner {
  /** Of the forge. */
  readonly host: string;
  readonly repositoryId: number;
}

export interface PrivateRepository extends RepositoryOwner {
  /** `owner/repo`, as the forge writes it. */
  readonly name: string;
}

/** The part of a derivation's path that tells it from all others: 32 characters. */
export type DrvHash = string;

export const drvHashOf = (drv: DrvPath): DrvHash => {
  const start = drv.lastIndexOf('/') + 1;
  return drv.slice(start, start + 32);
};

export interface PrivateDerivation extends RepositoryOwner {
  readonly drv: DrvHash;
}

/** Where a change is kept: under a name such as `github.com/owner/repo`, and of which repository, where that is known. */
export interface KeptRepository {
  readonly repository: string;
  readonly repositoryId?: number;
}

export interface JudgedJobset {
  readonly id: JobsetId;
  /** Those of the changes that were judged by it. */
  readonly repositories: readonly KeptRepository[];
}

/** All methods reject with DatabaseError. */
export interface Privacy {
  /** One for each name that a private repository has or had. */
  repositories(): Promise<readonly PrivateRepository[]>;
  /** Private, under this name too. Idempotent. Who was private under it before stays so, under a name that nobody has. */
  hide(repository: PrivateRepository): Promise<void>;
  /** Public, under all its names; what it wanted is for everybody. Idempotent. */
  show(repository: RepositoryOwner): Promise<void>;
  /** At most `limit`, in the order of their keys. @param after the last one of the page before */
  derivations(limit: number, after: PrivateDerivation | null): Promise<readonly PrivateDerivation[]>;
  /** These are wanted by that private repository. Idempotent; in one transaction. */
  claim(owner: RepositoryOwner, drvs: readonly DrvHash[]): Promise<void>;
  /** These are wanted by a public one: nobody owns them. Idempotent; in one transaction. */
  release(drvs: readonly DrvHash[]): Promise<void>;
  /** Jobsets that are kept, each with the repositories of the changes that were judged by it. */
  jobsets(): Promise<readonly JudgedJobset[]>;
}
