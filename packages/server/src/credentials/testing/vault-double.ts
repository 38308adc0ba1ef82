// A Vault with KV engines of both versions, tokens that end, and namespaces: as much of it as is asked.
// https://developer.hashicorp.com/vault/api-docs
import { type Asked, type Given, type HttpDouble, startHttpDouble } from './http-double.ts';

export interface VaultToken {
  readonly renewable: boolean;
  readonly creationTtlSeconds: number;
  /** Epoch. */
  endsAtMs: number;
  /** Paths that its policy lets it read. */
  readonly reads: readonly string[];
  /** Whether it may look itself up and renew itself, as by the policy `default`. */
  readonly knowsItself: boolean;
}

export interface VaultState {
  sealed: boolean;
  readonly tokens: Map<string, VaultToken>;
  /** By `namespace/path`, the namespace `` for none; what version 1 has at a path, or all versions of version 2. */
  readonly kv1: Map<string, unknown>;
  readonly kv2: Map<string, { readonly versions: unknown[]; deleted: boolean }>;
  renewals: number;
}

export type VaultDouble = HttpDouble & { readonly state: VaultState };

const errors = (status: number, ...said: string[]): Given => ({ status, body: { errors: said } });

const secret = (data: unknown, leaseSeconds: number): Given => ({
  status: 200,
  body: {
    ...{ request_id: 'r', lease_id: '', renewable: false, lease_duration: leaseSeconds },
    ...{ data, wrap_info: null, warnings: null, auth: null },
  },
});

const readKv2 = ({ versions, deleted }: { readonly versions: unknown[]; deleted: boolean }): Given => {
  const time = '2026-01-02T03:04:05.6Z';
  const metadata = {
    ...{ created_time: time, custom_metadata: null, deletion_time: deleted ? time : '' },
    ...{ destroyed: false, version: versions.length },
  };
  const body = secret({ data: deleted ? null : versions.at(-1), metadata }, 0);
  return deleted ? { ...body, status: 404 } : body;
};

const ofToken = (state: VaultState, id: string, token: VaultToken, { method, target }: Asked): Given => {
  const ttl = Math.max(0, Math.round((token.endsAtMs - Date.now()) / 1000));
  if (!token.knowsItself) return errors(403, 'permission denied');
  if (target === '/v1/auth/token/lookup-self') {
    const { creationTtlSeconds: creation, renewable } = token;
    return secret(
      { id, creation_ttl: creation, ttl: creation === 0 ? 0 : ttl, renewable, type: 'service' },
      0,
    );
  }
  if (target !== '/v1/auth/token/renew-self' || method === 'GET') return errors(405);
  if (!token.renewable) return errors(400, 'token is not renewable');
  state.renewals += 1;
  token.endsAtMs = Date.now() + token.creationTtlSeconds * 1000;
  return {
    status: 200,
    body: { auth: { client_token: id, lease_duration: token.creationTtlSeconds, renewable: true } },
  };
};

const answer = (state: VaultState, asked: Asked): Given => {
  if (state.sealed) return errors(503, 'Vault is sealed');
  const { target, headers } = asked;
  const id = String(headers['x-vault-token'] ?? '');
  const token = state.tokens.get(id);
  if (token === undefined || (token.creationTtlSeconds > 0 && token.endsAtMs <= Date.now())) {
    return errors(403, `permission denied for ${id}`);
  }
  if (target.startsWith('/v1/auth/token/')) return ofToken(state, id, token, asked);
  const path = decodeURIComponent(target.replace('/v1/', ''));
  if (!token.reads.includes(path)) return errors(403, `permission denied for ${id}`);
  const key = `${String(headers['x-vault-namespace'] ?? '')}/${path}`;
  const second = state.kv2.get(key);
  if (second !== undefined) return readKv2(second);
  return state.kv1.has(key) ? secret(state.kv1.get(key), 2_764_800) : errors(404);
};

export const startVaultDouble = async (tls?: Parameters<typeof startHttpDouble>[1]): Promise<VaultDouble> => {
  const state: VaultState = {
    sealed: false,
    tokens: new Map(),
    kv1: new Map(),
    kv2: new Map(),
    renewals: 0,
  };
  const double = await startHttpDouble((asked) => answer(state, asked), tls);
  return Object.assign(double, { state });
};
