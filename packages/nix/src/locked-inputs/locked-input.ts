// What a lock file names by its hash, in one form for all lock files: where to get it, and where it lies in the store.
import type { StorePath } from '@eka-ci/core/ids';
import { type FixedOutput, fixedOutputPath, formatSri, parseSha256 } from '../nix-hash.ts';

export interface LockedInput {
  /** As its lock file calls it. Written by strangers. */
  readonly name: string;
  /** Written by strangers: nothing says where it leads. */
  readonly url: string;
  /** Null: the URL is that of a file. Else it is a git repository's, and this the sha of the commit. */
  readonly commit: string | null;
  /** Of a commit alone: what lies in its submodules is part of it. */
  readonly submodules: boolean;
  /** It is locked over ssh, for which nobody here has a key: the URL is the same place over https. */
  readonly isOverSsh: boolean;
  /** `tree`: what an archive holds, in its one folder; `file`: the file itself. */
  readonly of: FixedOutput['of'];
  readonly storeName: string;
  /** SRI. */
  readonly sha256: string;
  readonly storePath: StorePath;
}

/** What a lock file locks, and this cannot fetch. */
export interface PassedOver {
  readonly name: string;
  /** Continues a sentence that begins with the name. */
  readonly why: string;
}

export type ReadLockFile =
  | {
      readonly kind: 'read';
      readonly inputs: readonly LockedInput[];
      readonly passedOver: readonly PassedOver[];
    }
  | { readonly kind: 'unreadable'; readonly why: string };

export type LockEntry =
  | { readonly kind: 'input'; readonly input: LockedInput }
  | { readonly kind: 'passed-over'; readonly passedOver: PassedOver }
  /** It names nothing that would have to be fetched. */
  | { readonly kind: 'nothing' };

export const nothing: LockEntry = { kind: 'nothing' };

export const passOver = (name: string, why: string): LockEntry => ({
  kind: 'passed-over',
  passedOver: { name, why },
});

/** A word of the lock file's own. */
export const shownType = (type: unknown): string =>
  typeof type === 'string' && /^[\w-]{1,40}$/.test(type) ? `of the type ${type}` : 'of no known type';

type Found = Pick<LockedInput, 'name' | 'url' | 'of' | 'storeName'> &
  Partial<Pick<LockedInput, 'commit' | 'submodules' | 'isOverSsh'>> & { readonly hash: string };

export const lockedInput = (
  storeDir: string,
  { hash, commit = null, submodules = false, isOverSsh = false, ...found }: Found,
): LockEntry => {
  const sha256 = parseSha256(hash);
  const { name, of, storeName } = found;
  if (sha256 === null) return passOver(name, 'is locked by something else than a SHA-256 hash');
  try {
    const storePath = fixedOutputPath({ storeDir, name: storeName, of, sha256 });
    return {
      kind: 'input',
      input: { ...found, commit, submodules, isOverSsh, sha256: formatSri(sha256), storePath },
    };
  } catch {
    return passOver(name, 'has a name that no store path can have');
  }
};

export const collectEntries = (entries: readonly LockEntry[]): ReadLockFile => ({
  kind: 'read',
  // Many nodes of a flake's lock lock the same.
  inputs: [
    ...new Map(
      entries.flatMap((one) => (one.kind === 'input' ? [[one.input.storePath, one.input]] : [])),
    ).values(),
  ],
  passedOver: entries.flatMap((one) => (one.kind === 'passed-over' ? [one.passedOver] : [])),
});

/** Undefined for what is no JSON. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
