// Signing in and what follows from it, put together: sessions, tokens, admins.
import type { Secret } from '../config/secret.ts';
import type { StoredUser, Users } from '../database/database.ts';
import type { ForgeSignIn } from '../forge/forge-sign-in.ts';
import { type ApiTokens, createApiTokens } from './api-tokens.ts';
import type { UserCaller } from './caller.ts';
import { createListedAdmins, type ListedAdmins } from './listed-admins.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createSignIn, type SignIn } from './sign-in.ts';
import { createSignedTokens } from './signed-tokens.ts';

export interface Auth {
  readonly users: Users;
  readonly admins: ListedAdmins;
  readonly sessions: Sessions;
  readonly apiTokens: ApiTokens;
  /** Null where nobody can sign in. */
  readonly signIn: SignIn | null;
  /** The host behind the name of a kind of forges, `github`; hosts name themselves. */
  hostOf(forge: string): string | null;
  callerOf(user: StoredUser, by: UserCaller['by']): UserCaller;
  /** Before the first request: those who are listed now are recognised. @throws DatabaseError */
  start(): Promise<void>;
}

export interface AuthDeps {
  readonly users: Users;
  /** Null where nobody can sign in. */
  readonly forge: ForgeSignIn | null;
  /** Signs sessions; null: random. */
  readonly secret: Secret | null;
  /** `forge:login` */
  readonly admins: readonly string[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export const createAuth = ({ users, forge, secret, admins: listed, clock }: AuthDeps): Auth => {
  const hostOf = (name: string): string | null => {
    if (forge === null) return null;
    const wanted = name.toLowerCase();
    return wanted === forge.kind || wanted === forge.host ? forge.host : null;
  };
  const tokens = createSignedTokens({ secret, clock });
  const admins = createListedAdmins({ listed, hostOf });
  const sessions = createSessions({ tokens, users, clock });
  return {
    users,
    admins,
    sessions,
    apiTokens: createApiTokens({ users, clock }),
    signIn: forge === null ? null : createSignIn({ forge, tokens, sessions, users, admins, clock }),
    hostOf,
    callerOf: (user, by) => ({
      ...{ kind: 'user', by, isAdmin: admins.isAdmin(user) },
      ...{ host: user.host, id: user.id, login: user.login },
    }),
    async start() {
      if (forge !== null) await users.recogniseListed(forge.host, admins.loginsOf(forge.host));
    },
  };
};
