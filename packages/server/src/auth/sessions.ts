// Sessions of browsers: a signed token says whose it is, and a row where it was ended before its time.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { StoredUser, UserKey, Users } from '../database/database.ts';
import type { SignedTokens } from './signed-tokens.ts';

export const sessionMs = 12 * 60 * 60_000;

const Claims = z.object({ host: z.string().min(1), user: z.int().nonnegative() });

export interface SessionHolder {
  readonly sessionId: string;
  readonly user: StoredUser;
}

export interface Sessions {
  /** @returns the token, for the browser alone */
  begin(user: UserKey): Promise<{ readonly token: string; readonly expiresAtMs: number }>;
  /** Null for what is no session, and for one that has expired or was ended. @throws DatabaseError */
  holderOf(token: string): Promise<SessionHolder | null>;
  /** It is refused from now on, also after a restart. Idempotent; what is no session is none already. */
  end(token: string): Promise<void>;
}

export interface SessionsDeps {
  readonly tokens: SignedTokens;
  readonly users: Pick<Users, 'ofSession' | 'revoke'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export const createSessions = ({ tokens, users, clock }: SessionsDeps): Sessions => ({
  async begin({ host, id }) {
    const expiresAtMs = clock() + sessionMs;
    const signed = { id: randomUUID(), expiresAtMs, claims: { host, user: id } };
    return { token: await tokens.sign('session', signed), expiresAtMs };
  },
  async holderOf(token) {
    const verified = await tokens.verify('session', token);
    const claims = Claims.safeParse(verified?.claims);
    if (verified === null || !claims.success) return null;
    const { host, user: id } = claims.data;
    const user = await users.ofSession({ host, id }, verified.id);
    return user === null ? null : { sessionId: verified.id, user };
  },
  async end(token) {
    const verified = await tokens.verify('session', token);
    if (verified !== null) await users.revoke(verified.id, verified.expiresAtMs);
  },
});
