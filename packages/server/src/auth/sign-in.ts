// Signing in: the browser goes to its forge with a question that only it can answer for, and comes back with a code.
// What ties both together is a signed ticket in the browser, good for some minutes and for one answer.
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { StoredUser, Users } from '../database/database.ts';
import type { ForgeSignIn } from '../forge/forge-sign-in.ts';
import type { ListedAdmins } from './listed-admins.ts';
import type { Sessions } from './sessions.ts';
import type { SignedTokens } from './signed-tokens.ts';

/** GitHub's own codes are good for as long. */
export const ticketMs = 10 * 60_000;

const Ticket = z.object({ state: z.string(), verifier: z.string(), returnTo: z.string().nullable() });

export interface BegunSignIn {
  /** Where the browser is to go. */
  readonly location: string;
  /** For the browser to keep and bring back. */
  readonly ticket: string;
}

/** What the browser brought back; each is null where it is missing. */
export interface SignInReturn {
  readonly ticket: string | null;
  readonly state: string | null;
  readonly code: string | null;
  /** The forge's word for why there is no code. */
  readonly error: string | null;
}

export type SignInOutcome =
  | {
      readonly kind: 'signed-in';
      readonly user: StoredUser;
      readonly session: { readonly token: string; readonly expiresAtMs: number };
      /** A path of this server; null where none was asked for. */
      readonly returnTo: string | null;
    }
  /**
   * stale: no ticket, or one that has expired. foreign: the answer is to another question. used: it was answered before.
   * denied: they said no.
   */
  | { readonly kind: 'stale' | 'foreign' | 'used' | 'denied' }
  /** The forge does not take the code, or gave none; `says` is its word for why, where it has one. */
  | { readonly kind: 'refused'; readonly says: string | null };

export interface SignIn {
  readonly host: string;
  /** @param returnTo as `parseReturnPath` gave it */
  begin(returnTo: string | null): Promise<BegunSignIn>;
  /** @throws HostedForgeFault, DatabaseError */
  finish(brought: SignInReturn, signal: AbortSignal): Promise<SignInOutcome>;
}

export interface SignInDeps {
  readonly forge: ForgeSignIn;
  readonly tokens: SignedTokens;
  readonly sessions: Pick<Sessions, 'begin'>;
  readonly users: Pick<Users, 'signIn' | 'revoke'>;
  readonly admins: ListedAdmins;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const secretText = (): string => randomBytes(32).toString('base64url');
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
/** Takes the same time whatever is compared. */
const isSame = (one: string, other: string): boolean => timingSafeEqual(sha256(one), sha256(other));

export const createSignIn = ({ forge, tokens, sessions, users, admins, clock }: SignInDeps): SignIn => ({
  host: forge.host,
  async begin(returnTo) {
    const [state, verifier] = [secretText(), secretText()];
    const claims = { state, verifier, returnTo };
    const ticket = await tokens.sign('sign-in', {
      id: randomUUID(),
      expiresAtMs: clock() + ticketMs,
      claims,
    });
    const location = forge.addressOf({ state, challenge: sha256(verifier).toString('base64url') });
    return { location, ticket };
  },
  async finish({ ticket, state, code, error }, signal) {
    const verified = ticket === null ? null : await tokens.verify('sign-in', ticket);
    const claims = Ticket.safeParse(verified?.claims);
    if (verified === null || !claims.success) return { kind: 'stale' };
    if (state === null || !isSame(state, claims.data.state)) return { kind: 'foreign' };
    // Before the forge is asked: of two at the same time one goes on.
    if (!(await users.revoke(verified.id, verified.expiresAtMs))) return { kind: 'used' };
    if (error === 'access_denied') return { kind: 'denied' };
    if (error !== null) return { kind: 'refused', says: /^[a-z_]{1,60}$/.test(error) ? error : null };
    if (code === null) return { kind: 'foreign' };
    const identified = await forge.identify({ code, verifier: claims.data.verifier }, signal);
    if (identified.kind === 'refused') return { kind: 'refused', says: null };
    const { id, login } = identified.user;
    const key = { host: forge.host, id };
    const isListed = admins.isListed(forge.host, login);
    const user = await users.signIn({ ...key, login, atMs: clock(), isListed });
    return { kind: 'signed-in', user, session: await sessions.begin(key), returnTo: claims.data.returnTo };
  },
});
