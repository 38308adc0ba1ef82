// Part of the database port: who signed in, the tokens they made, and what was ended before its time.

/** Who somebody is, for good: a login can be given up and taken by somebody else. */
export interface UserKey {
  /** Of the forge that knows them: `github.com`. */
  readonly host: string;
  /** Unique in that forge. */
  readonly id: number;
}

export interface StoredUser extends UserKey {
  /** As of their last sign-in. */
  readonly login: string;
  /** Made an admin by another one. */
  readonly promoted: boolean;
  /**
   * The entry of the configured admins by which they were recognised, in lower case; null where none was. It stays with
   * them: whoever takes their login later is not that admin.
   */
  readonly listedAs: string | null;
  /** Milliseconds since 1970, both. */
  readonly createdAtMs: number;
  readonly signedInAtMs: number;
}

export interface SignedInUser extends UserKey {
  readonly login: string;
  readonly atMs: number;
  /** Whether the configured admins name this login. */
  readonly isListed: boolean;
}

export interface StoredApiToken {
  /** No secret: names the token where it is listed and removed. */
  readonly id: string;
  /** By whoever made it. */
  readonly name: string;
  readonly createdAtMs: number;
  /** Null: never. */
  readonly expiresAtMs: number | null;
  /** To the minute; null where it never was. */
  readonly usedAtMs: number | null;
}

export interface NewApiToken extends Pick<StoredApiToken, 'id' | 'name' | 'createdAtMs' | 'expiresAtMs'> {
  readonly user: UserKey;
  /** SHA-256 of the token in hexadecimal digits: the token itself is nowhere. */
  readonly hash: string;
}

export interface UserPage {
  /** The last of the page before; null begins. */
  readonly after: UserKey | null;
  readonly limit: number;
}

export interface Users {
  /** Keeps them as their forge has them now; a login that is listed is theirs from the first sign-in on. */
  signIn(user: SignedInUser): Promise<StoredUser>;
  find(key: UserKey): Promise<StoredUser | null>;
  /** Whoever signed in with it last, in whatever case it is spelled. */
  findByLogin(host: string, login: string): Promise<StoredUser | null>;
  /** By host and id. */
  list(page: UserPage): Promise<readonly StoredUser[]>;
  /** Idempotent. Null where nobody is there. */
  setPromoted(key: UserKey, promoted: boolean): Promise<StoredUser | null>;
  /** Gives each of these logins that nobody is listed as to whoever signed in with it last. Idempotent. */
  recogniseListed(host: string, logins: readonly string[]): Promise<void>;
  /** Null where they are not there, or the session was revoked. */
  ofSession(key: UserKey, sessionId: string): Promise<StoredUser | null>;
  /** False, and nothing is kept, where they have `most` already or are not there. */
  addToken(token: NewApiToken, most: number): Promise<boolean>;
  /** Newest first, those that have expired included. */
  tokensOf(key: UserKey): Promise<readonly StoredApiToken[]>;
  /** Whose it is, noting that it was used; null for one that is unknown or has expired. */
  useToken(hash: string, nowMs: number): Promise<StoredUser | null>;
  /** False where they have none of that id. */
  removeToken(key: UserKey, id: string): Promise<boolean>;
  /**
   * Of a session that was ended, or a sign-in that was carried out: neither is believed again.
   * @returns false where it was revoked before
   */
  revoke(id: string, expiresAtMs: number): Promise<boolean>;
  /** Removes what was revoked or made a token and expired before: nobody would believe it anyway. @returns how many */
  forget(expiredBeforeMs: number): Promise<number>;
}
