// Keeps a Vault token from ending while it can be renewed.
// https://developer.hashicorp.com/vault/api-docs/auth/token

import { asTable, countAt, readTable } from '../answer-text.ts';
import { CredentialError } from '../credential-error.ts';
import { askVault, type VaultAccess, type VaultAnswer } from './vault-http.ts';

export interface TokenState {
  readonly warnings: readonly string[];
  /** By when the token wants to be used, and renewed, again; null: it needs no care, or can have none. */
  readonly askAgainMs: number | null;
}

const dayMs = 24 * 60 * 60_000;
const leastPauseMs = 1000;
const carefree: TokenState = { warnings: [], askAgainMs: null };

/** The same sentence at each load. */
const minuteOf = (ttlMs: number): string => `${new Date(Date.now() + ttlMs).toISOString().slice(0, 16)}Z`;

const caredFor = (ttlMs: number): TokenState => ({
  warnings: [],
  askAgainMs: Math.min(dayMs, Math.max(leastPauseMs, ttlMs / 2)),
});

const ending = ({ tokenVariable }: VaultAccess, ttlMs: number, why: string): TokenState => ({
  warnings: [
    `the Vault token of ${tokenVariable} ends at ${minuteOf(ttlMs)} and ${why}: give another before then`,
  ],
  askAgainMs: null,
});

interface KnownToken {
  readonly ttlMs: number;
  readonly wholeMs: number;
  readonly isRenewable: boolean;
}

/** Null where it never ends, or says nothing of itself: not every policy lets a token look itself up. */
const readToken = (answer: VaultAnswer): KnownToken | null => {
  const data = asTable(readTable(answer.text)?.['data']);
  if (answer.status !== 200 || data === null) return null;
  const ttlMs = (countAt(data, 'ttl') ?? 0) * 1000;
  const wholeMs = Math.max(ttlMs, (countAt(data, 'period') ?? countAt(data, 'creation_ttl') ?? 0) * 1000);
  return ttlMs === 0 ? null : { ttlMs, wholeMs, isRenewable: data['renewable'] === true };
};

/**
 * Renews it when a third of its time has gone, so that one which is used every now and then never ends.
 * @throws the signal's reason
 */
export const keepVaultToken = async (access: VaultAccess, signal: AbortSignal): Promise<TokenState> => {
  try {
    const token = readToken(await askVault(access, { path: 'auth/token/lookup-self' }, signal));
    if (token === null) return carefree;
    const { ttlMs, wholeMs, isRenewable } = token;
    if (!isRenewable) return ttlMs < dayMs ? ending(access, ttlMs, 'cannot be renewed') : carefree;
    if (ttlMs * 3 > wholeMs * 2) return caredFor(ttlMs);
    const renewed = await askVault(access, { path: 'auth/token/renew-self', method: 'PUT' }, signal);
    const auth = asTable(readTable(renewed.text)?.['auth']);
    if (renewed.status === 403) return ending(access, ttlMs, 'its policy does not let it renew itself');
    if (renewed.status !== 200 || auth === null) return caredFor(ttlMs);
    const newTtlMs = (countAt(auth, 'lease_duration') ?? 0) * 1000;
    // At the end of its longest life a renewal adds nothing.
    return newTtlMs > ttlMs ? caredFor(newTtlMs) : ending(access, ttlMs, 'cannot be renewed any further');
  } catch (error) {
    // The secret is there already: what becomes of the token is told when it matters.
    if (error instanceof CredentialError) return carefree;
    throw error;
  }
};
