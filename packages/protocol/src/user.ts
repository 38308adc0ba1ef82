// Who asks, the tokens they made, and who is an admin.
import { z } from 'zod';
import { nextCursor } from './page.ts';

/** Milliseconds since 1970. */
const moment = z.number();

const User = z
  .object({
    /** The host of the forge that knows them: `github.com`. */
    forge: z.string(),
    /** The forge's; it stays when the login changes. */
    id: z.int().nonnegative(),
    /** As of their last sign-in. */
    login: z.string(),
    isAdmin: z.boolean(),
  })
  .meta({ id: 'User' });

export const Me = z
  .object({
    /** socket: whoever opened the unix socket of the server, which is an admin. */
    caller: z.enum(['socket', 'user', 'anonymous']),
    /** Null unless the caller is a user. */
    user: User.nullable(),
    /** Where a browser signs in; null where nobody can. */
    signIn: z.string().nullable(),
  })
  .meta({ id: 'Me' });
export type Me = z.infer<typeof Me>;

const ApiToken = z
  .object({
    /** Names it, and opens nothing. */
    id: z.uuid(),
    name: z.string(),
    createdAtMs: moment,
    /** Null: never. */
    expiresAtMs: moment.nullable(),
    /** To the minute; null where it never was. */
    usedAtMs: moment.nullable(),
  })
  .meta({ id: 'ApiToken' });

/** Shown this one time. */
export const NewApiToken = z.object({ token: z.string(), ...ApiToken.shape }).meta({ id: 'NewApiToken' });
export type NewApiToken = z.infer<typeof NewApiToken>;

export const ApiTokens = z.object({ tokens: z.array(ApiToken) }).meta({ id: 'ApiTokens' });
export type ApiTokens = z.infer<typeof ApiTokens>;

export const ApiTokenRequest = z.strictObject({
  /** What it is for, as it is listed. */
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(/^\P{C}*$/u, 'must be printable'),
  /** Absent or null: it lives until it is removed. */
  expiresInDays: z.int().min(1).max(3650).nullish(),
});
export type ApiTokenRequest = z.infer<typeof ApiTokenRequest>;

export const ApiTokenParams = z.object({ id: z.uuid() });

export const KnownUser = z
  .object({
    ...User.shape,
    /** promoted: by another admin. listed: by the server's configuration. Null for those who are no admins. */
    adminBy: z.enum(['promoted', 'listed']).nullable(),
    createdAtMs: moment,
    signedInAtMs: moment,
  })
  .meta({ id: 'KnownUser' });
export type KnownUser = z.infer<typeof KnownUser>;

export const UserPage = z.object({ users: z.array(KnownUser), nextCursor }).meta({ id: 'UserPage' });
export type UserPage = z.infer<typeof UserPage>;

export const UserParams = z.object({
  /** `github`, or the host of the forge. */
  forge: z.string().min(1).max(255),
  login: z.string().min(1).max(255),
});
