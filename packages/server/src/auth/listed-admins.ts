// The admins that the operator listed. A login is only how they were named: who is listed is told by the forge's id,
// from their first sign-in on. Pure.
import type { StoredUser } from '../database/database.ts';

export interface ListedAdmins {
  isListed(host: string, login: string): boolean;
  /** Promoted by another admin, or recognised as one who is listed, and still is. */
  isAdmin(user: StoredUser): boolean;
  /** In lower case. */
  loginsOf(host: string): readonly string[];
}

export interface ListedAdminsDeps {
  /** `forge:login`, as in `github:octocat`. */
  readonly listed: readonly string[];
  /** Hosts of the forges that people sign in with, by their kind. */
  readonly hostOf: (forge: string) => string | null;
}

export const createListedAdmins = ({ listed, hostOf }: ListedAdminsDeps): ListedAdmins => {
  const byHost = new Map<string, Set<string>>();
  for (const entry of listed) {
    const colon = entry.indexOf(':');
    const host = hostOf(entry.slice(0, colon));
    if (host === null) continue;
    const logins = byHost.get(host) ?? new Set<string>();
    byHost.set(host, logins.add(entry.slice(colon + 1).toLowerCase()));
  }
  const isListed = (host: string, login: string): boolean =>
    byHost.get(host)?.has(login.toLowerCase()) ?? false;
  return {
    isListed,
    isAdmin: ({ host, promoted, listedAs }) => promoted || (listedAs !== null && isListed(host, listedAs)),
    loginsOf: (host) => [...(byHost.get(host) ?? [])],
  };
};
