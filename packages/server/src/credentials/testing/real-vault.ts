// Vault itself, in memory, where EKA_CI_TEST_VAULT names its program (`vault`, 1.x).
// https://developer.hashicorp.com/vault/docs/commands/server#dev-options
import { serveProgram } from '@eka-ci/process/testing/program-server';
import { freePort } from '../../lib/testing/free-port.ts';
import type { NewToken, VaultSubject } from '../sources/vault.contract.ts';

const program = process.env['EKA_CI_TEST_VAULT'];

export const whyNoVault = (): string | null =>
  program === undefined ? 'EKA_CI_TEST_VAULT names no program' : null;

const rootToken = 'root-of-this-test';

/** As much of an answer as is looked at. */
interface Said {
  readonly auth?: { readonly client_token: string };
  readonly data?: { readonly ttl?: number };
}

const createAsk = (url: string) => async (method: string, path: string, body?: unknown) => {
  const answer = await fetch(`${url}/v1/${encodeURI(path)}`, {
    ...{ method, headers: { 'x-vault-token': rootToken } },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!answer.ok)
    throw new Error(`Vault answered ${method} ${path} with ${answer.status}: ${await answer.text()}`);
  const text = await answer.text();
  return text === '' ? null : (JSON.parse(text) as Said);
};

export const startRealVault = async (): Promise<VaultSubject> => {
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  const ask = createAsk(url);
  const server = await serveProgram({
    command: program ?? 'vault',
    args: () => ['server', '-dev', `-dev-root-token-id=${rootToken}`, `-dev-listen-address=${address}`],
    async isReady() {
      // The last that a server for development does before it can be used.
      await ask('GET', 'secret/config');
      await ask('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '1' } });
      return true;
    },
  });
  let policies = 0;
  return {
    url,
    async putVersions(name, versions) {
      for (const data of versions) await ask('POST', `secret/data/${name}`, { data });
    },
    deleteVersion: async (name) => void (await ask('DELETE', `secret/data/${name}`)),
    put: async (name, value) => void (await ask('POST', `kv/${name}`, value)),
    async makeToken({ reads, ttlSeconds, isRenewable }: NewToken) {
      const policy = `of-this-test-${policies++}`;
      const rules = reads.map((path) => `path "${path}" { capabilities = ["read"] }`);
      await ask('PUT', `sys/policies/acl/${policy}`, { policy: rules.join('\n') });
      const made = await ask('POST', 'auth/token/create', {
        ...{ policies: [policy], ttl: `${ttlSeconds}s`, renewable: isRenewable },
      });
      return made?.auth?.client_token ?? '';
    },
    async ttlSecondsOf(token) {
      const known = await ask('POST', 'auth/token/lookup', { token });
      return known?.data?.ttl ?? 0;
    },
    seal: async () => void (await ask('PUT', 'sys/seal')),
    remove: () => server.stop(),
  };
};
