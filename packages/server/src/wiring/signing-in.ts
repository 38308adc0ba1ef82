// Who may do what over HTTP: people who sign in, their tokens, and what a forge says of their rights.
import { type Auth, createAuth } from '../auth/auth.ts';
import { type Access, createAccess } from '../http/access.ts';
import { defaultLimits } from '../http/rate-limit.ts';
import { createReaders } from '../http/reading/reader.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import type { Opened, ServerParts } from './server-parts.ts';

/** How many tokens that are none an address may show in a minute, before it is told to wait. */
const tokenFailuresPerMinute = 20;

export interface SigningIn {
  readonly auth: Auth;
  readonly access: Access;
  readonly rights: ChangeRights;
}

/** `auth.start` is the caller's to call. */
export const openSigningIn = (
  { database, visibility }: Pick<ServerParts, 'database' | 'visibility'>,
  { options, signIn }: Pick<Opened, 'options' | 'signIn'>,
  rights: ChangeRights,
): SigningIn => {
  const { secret, admins } = options.signIn;
  const auth = createAuth({ users: database.users, forge: signIn, secret, admins, clock: Date.now });
  const { origins, behindTls, rateLimits = defaultLimits } = options.http;
  const { writesPerMinute } = rateLimits;
  const limits = { tokenFailuresPerMinute, writesPerMinute };
  const readers = createReaders({ visible: visibility, rights, clock: Date.now });
  const access = createAccess({ auth, rights, readers, origins, behindTls, ...limits, clock: Date.now });
  return { auth, access, rights };
};
