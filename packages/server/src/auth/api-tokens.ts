// Tokens for programs: 256 random bits that are shown once, and of which only a hash is kept.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { StoredApiToken, StoredUser, UserKey, Users } from '../database/database.ts';

/** By it a token is known for ours, also by who searches for tokens that somebody published. */
export const tokenPrefix = 'ekaci_';
const form = /^ekaci_[A-Za-z0-9_-]{43}$/;
const mostTokens = 100;
const dayMs = 24 * 60 * 60_000;

export interface MadeApiToken {
  /** Not to be had again. */
  readonly text: string;
  readonly stored: StoredApiToken;
}

export interface ApiTokens {
  /** Null where they have too many. */
  make(
    user: UserKey,
    asked: { readonly name: string; readonly expiresInDays: number | null },
  ): Promise<MadeApiToken | null>;
  /** Null for what is no token of anybody's, and for one that has expired. @throws DatabaseError */
  holderOf(text: string): Promise<StoredUser | null>;
}

/** A secret of 256 bits needs no slow hash: nobody tries all of them. */
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export const createApiTokens = (deps: {
  readonly users: Pick<Users, 'addToken' | 'useToken'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}): ApiTokens => {
  const { users, clock } = deps;
  return {
    async make(user, { name, expiresInDays }) {
      const text = `${tokenPrefix}${randomBytes(32).toString('base64url')}`;
      const createdAtMs = clock();
      const expiresAtMs = expiresInDays === null ? null : createdAtMs + expiresInDays * dayMs;
      const stored = { id: randomUUID(), name, createdAtMs, expiresAtMs };
      const isKept = await users.addToken({ ...stored, user, hash: hashOf(text) }, mostTokens);
      return isKept ? { text, stored: { ...stored, usedAtMs: null } } : null;
    },
    holderOf: async (text) => (form.test(text) ? await users.useToken(hashOf(text), clock()) : null),
  };
};
