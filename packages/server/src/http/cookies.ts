// Cookies that only this server reads: no script sees them, no other site's form brings them along.
import type { FastifyReply, FastifyRequest } from 'fastify';

/** `session`: who somebody is. `sign-in`: between going to the forge and coming back. */
export type CookieName = 'session' | 'sign-in';

interface Wanted {
  readonly name: CookieName;
  readonly secure: boolean;
}

/** With `__Host-` a browser takes it from this very host alone, and by TLS (RFC 6265bis, 4.1.3.2). */
const nameOf = ({ name, secure }: Wanted): string => `${secure ? '__Host-' : ''}ekaci-${name}`;

/** True where the browser came by TLS, or a proxy before us says that people do. */
export const isSecure = ({ protocol }: FastifyRequest, behindTls: boolean): boolean =>
  behindTls || protocol === 'https';

/** Null where there is none, or where it comes twice: one of them is somebody else's. */
export const readCookie = ({ headers }: FastifyRequest, wanted: Wanted): string | null => {
  const prefix = `${nameOf(wanted)}=`;
  const found = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
  const [value, ...others] = found.filter((pair) => pair.startsWith(prefix));
  return value === undefined || others.length > 0 ? null : value.slice(prefix.length);
};

const attributes = (secure: boolean): string => `; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;

/** @param value without anything that a cookie may not hold, as tokens are */
export const setCookie = (
  reply: FastifyReply,
  wanted: Wanted,
  { value, lifeMs }: { readonly value: string; readonly lifeMs: number },
): void => {
  const life = `; Max-Age=${Math.max(0, Math.floor(lifeMs / 1000))}`;
  reply.header('set-cookie', `${nameOf(wanted)}=${value}${attributes(wanted.secure)}${life}`);
};

export const clearCookie = (reply: FastifyReply, wanted: Wanted): void =>
  setCookie(reply, wanted, { value: '', lifeMs: 0 });
