import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../config/credential-source.ts';
import { createCredentials } from '../credentials.ts';
import { type Misbehaviour, startHttpDouble } from '../testing/http-double.ts';
import { containing, type Failure, failureOf, load, matching, near, testHost } from '../testing/load.ts';
import { startRealVault, whyNoVault } from '../testing/real-vault.ts';
import { makeSelfSigned } from '../testing/self-signed.ts';
import { startVaultDouble, type VaultDouble, type VaultToken } from '../testing/vault-double.ts';
import { describeVault } from './vault.contract.ts';

const token = 'hvs.canary-token-of-vault';
const secret = { AWS_ACCESS_KEY_ID: 'AKIACANARY', AWS_SECRET_ACCESS_KEY: 'canary/secret' };
const path = 'secret/data/eka-ci/s3 cache';

describeVault('as other tests know it', async () => {
  const { url, state, close } = await startVaultDouble();
  let tokens = 0;
  return {
    url,
    async putVersions(name, versions) {
      state.kv2.set(`/secret/data/${name}`, { versions: [...versions], deleted: false });
    },
    async deleteVersion(name) {
      const { versions = [] } = state.kv2.get(`/secret/data/${name}`) ?? {};
      state.kv2.set(`/secret/data/${name}`, { versions, deleted: true });
    },
    put: async (name, value) => void state.kv1.set(`/kv/${name}`, value),
    async makeToken({ reads, ttlSeconds, isRenewable }) {
      const made = `hvs.${tokens++}`;
      const endsAtMs = Date.now() + ttlSeconds * 1000;
      const life = { creationTtlSeconds: ttlSeconds, endsAtMs, renewable: isRenewable };
      state.tokens.set(made, { ...life, reads, knowsItself: true });
      return made;
    },
    async ttlSecondsOf(made) {
      return Math.round(((state.tokens.get(made)?.endsAtMs ?? 0) - Date.now()) / 1000);
    },
    async seal() {
      state.sealed = true;
    },
    remove: close,
  };
});

const noVault = whyNoVault();

describe.skipIf(noVault !== null)(`Vault itself${noVault === null ? '' : ` (${noVault})`}`, () => {
  describeVault('the real one', startRealVault);
});

let vault: VaultDouble;

const tokenOf = (more: Partial<VaultToken> = {}): VaultToken => ({
  ...{ renewable: false, creationTtlSeconds: 0, endsAtMs: 0, knowsItself: true },
  reads: [path, 'kv/ci', 'kv/gone'],
  ...more,
});

beforeEach(async () => {
  vault = await startVaultDouble();
  vault.state.tokens.set(token, tokenOf());
  vault.state.kv2.set(`/${path}`, { versions: [{ OLD: 'x' }, secret], deleted: false });
  vault.state.kv1.set('team/a/kv/ci', { TOKEN: 'canary', PORT: 8080 });
});
afterEach(() => vault.close());

const vaultSource = (more: Partial<Extract<CredentialSource, { kind: 'vault' }>> = {}): CredentialSource => ({
  ...{ kind: 'vault', address: vault.url, secret_path: path, token_env: 'VAULT_TOKEN' },
  ...more,
});

const env = { VAULT_TOKEN: token };
const timeoutMs = 5000;

describe('a secret of Vault', () => {
  it('is read in its newest version, by a path with anything in it', async () => {
    expect(await load(vaultSource(), testHost(env))).toEqual({ values: secret, warnings: [], leaseMs: null });
    expect(vault.asked[0]).toMatchObject({ method: 'GET', target: '/v1/secret/data/eka-ci/s3%20cache' });
    // A slash more is a slash less.
    const spelled = vaultSource({ address: `${vault.url}/`, secret_path: `/${path}/` });
    expect((await load(spelled, testHost(env))).values).toEqual(secret);
  });

  it('is read from version 1, in a namespace, with a token of another name, for as long as it says', async () => {
    const source = vaultSource({ secret_path: 'kv/ci', namespace: 'team/a', token_env: 'MINE' });
    expect(await load(source, testHost({ MINE: `${token}\n` }))).toEqual({
      values: { TOKEN: 'canary', PORT: '8080' },
      warnings: [],
      leaseMs: near(2_764_800_000, 5),
    });
  });

  it('of version 1 may be called as the parts of version 2 are', async () => {
    vault.state.kv1.set('/kv/ci', { data: 'a', metadata: 'b' });
    expect((await load(vaultSource({ secret_path: 'kv/ci' }), testHost(env))).values).toEqual({
      data: 'a',
      metadata: 'b',
    });
  });
});

const fails = (source = vaultSource(), given: Readonly<Record<string, string>> = env): Promise<Failure> =>
  failureOf(load(source, testHost(given, { timeoutMs })));

describe('what Vault does not give', () => {
  it.each<[string, () => unknown, string, RegExp]>([
    [
      'a token that ended',
      () => vault.state.tokens.clear(),
      'CREDENTIAL_FORBIDDEN',
      /token of VAULT_TOKEN.*policy allow "read"/,
    ],
    [
      'a path that the policy leaves out',
      () => vault.state.tokens.set(token, tokenOf({ reads: [] })),
      'CREDENTIAL_FORBIDDEN',
      /read secret\/data\/eka-ci\/s3 cache/,
    ],
    [
      'a secret that is not there',
      () => vault.state.kv2.clear(),
      'CREDENTIAL_NOT_FOUND',
      /has data\/ after the mount/,
    ],
    [
      'a secret that was deleted',
      () => vault.state.kv2.set(`/${path}`, { versions: [secret], deleted: true }),
      'CREDENTIAL_NOT_FOUND',
      /its newest version was deleted/,
    ],
    ['a sealed Vault', () => (vault.state.sealed = true), 'CREDENTIAL_UNAVAILABLE', /is sealed: unseal it$/],
    [
      'an empty secret',
      () => vault.state.kv2.set(`/${path}`, { versions: [{}], deleted: false }),
      'CREDENTIAL_ANSWER_INVALID',
      / is empty: /,
    ],
    [
      'a nested secret',
      () => vault.state.kv2.set(`/${path}`, { versions: [{ A: { b: 'canary' } }], deleted: false }),
      'CREDENTIAL_ANSWER_INVALID',
      /has no text under "A"/,
    ],
    [
      'a value that no variable can have',
      () => vault.state.kv2.set(`/${path}`, { versions: [{ A: 'canary\0' }], deleted: false }),
      'CREDENTIAL_ANSWER_INVALID',
      /value of "A" holds a NUL/,
    ],
  ])('%s', async (_, arrange, code, message) => {
    arrange();
    const failure = await fails();
    expect(failure).toMatchObject({ code, message: matching(message) });
    expect(failure.shown).not.toContain('canary');
  });

  it.each<[Misbehaviour, string, RegExp]>([
    ['silent', 'CREDENTIAL_TIMEOUT', /source vault gave nothing within 0\.5 s/],
    ['endless', 'CREDENTIAL_ANSWER_INVALID', /more than 1 MiB/],
    ['deep', 'CREDENTIAL_ANSWER_INVALID', /is no secret of its KV engine/],
    ['no-json', 'CREDENTIAL_ANSWER_INVALID', /is no secret of its KV engine/],
    ['list', 'CREDENTIAL_ANSWER_INVALID', /is no secret of its KV engine/],
    ['breaks-off', 'CREDENTIAL_UNREACHABLE', /was not reached \(ECONNRESET\)/],
    ['echo', 'CREDENTIAL_SETTING_INVALID', /mend path and namespace/],
    [{ status: 500 }, 'CREDENTIAL_UNAVAILABLE', /fails with 500/],
    [{ status: 503 }, 'CREDENTIAL_UNAVAILABLE', /under maintenance, or sealed/],
    [{ status: 429 }, 'CREDENTIAL_UNAVAILABLE', /cannot answer now \(429\)/],
    [{ status: 418 }, 'CREDENTIAL_ANSWER_INVALID', /answers with 418: is it a Vault/],
    [{ redirectTo: 'http://169.254.169.254/latest/' }, 'CREDENTIAL_REDIRECT_REFUSED', /no place for a Vault/],
    [
      { redirectTo: 'http://[::ffff:169.254.169.254]/' },
      'CREDENTIAL_REDIRECT_REFUSED',
      /no place for a Vault/,
    ],
    [{ redirectTo: 'http://0xa9fea9fe/' }, 'CREDENTIAL_REDIRECT_REFUSED', /no place for a Vault/],
    [{ redirectTo: 'http://[fd00:ec2::254]/' }, 'CREDENTIAL_REDIRECT_REFUSED', /no place for a Vault/],
    [{ redirectTo: 'http://0.0.0.0/' }, 'CREDENTIAL_REDIRECT_REFUSED', /no place for a Vault/],
    [{ redirectTo: 'file:///etc/passwd' }, 'CREDENTIAL_REDIRECT_REFUSED', /without TLS/],
    [{ redirectTo: '/v1/again' }, 'CREDENTIAL_REDIRECT_REFUSED', /elsewhere again/],
    [{ redirectTo: 'http://' }, 'CREDENTIAL_REDIRECT_REFUSED', /does not say where to/],
  ])('when it answers %j', async (how, code, message) => {
    vault.misbehaves = how;
    const failure = await failureOf(
      load(vaultSource(), testHost(env, { timeoutMs: how === 'silent' ? 500 : timeoutMs })),
    );
    expect(failure).toMatchObject({ code, message: matching(message) });
    expect(failure.shown).not.toContain('canary');
    // What is in flight on loopback is a few MiB; it is not read to any end.
    expect(vault.sentBytes()).toBeLessThan(64 * 1024 * 1024);
  });

  it('where it is not, shows no certificate, or is asked for nonsense', async () => {
    const asks = vault.asked.length;
    expect(await fails(vaultSource(), {})).toMatchObject({ code: 'CREDENTIAL_VARIABLE_UNSET' });
    const odd = await fails(vaultSource(), { VAULT_TOKEN: 'canary\r\nX-Other: 1' });
    expect(odd).toMatchObject({ code: 'CREDENTIAL_SETTING_INVALID' });
    expect(odd.shown).not.toContain('canary');
    expect(await fails(vaultSource({ namespace: 'a\nb' }))).toMatchObject({
      code: 'CREDENTIAL_SETTING_INVALID',
    });
    for (const wrong of ['..', 'secret/../sys/raw', 'secret//x', '/', '.']) {
      expect(await fails(vaultSource({ secret_path: wrong }))).toMatchObject({
        code: 'CREDENTIAL_SETTING_INVALID',
        message: containing('is no path of a secret'),
      });
    }
    expect(vault.asked).toHaveLength(asks);
    const plain = vault.url.replace('http:', 'https:');
    expect(await fails(vaultSource({ address: plain }))).toMatchObject({
      code: 'CREDENTIAL_TLS',
      message: matching(/does not speak TLS as this server does \(EPROTO\): .*http:/),
    });
    // As Vault 1.21 answers.
    const tls = await startHttpDouble(() => ({
      status: 400,
      body: 'Client sent an HTTP request to an HTTPS server.',
    }));
    expect(await fails(vaultSource({ address: tls.url }))).toMatchObject({
      code: 'CREDENTIAL_TLS',
      message: containing('speaks TLS alone: write its address with https://'),
    });
    await tls.close();
    const gone = await startHttpDouble(() => ({ status: 200 }));
    await gone.close();
    expect(await fails(vaultSource({ address: gone.url }))).toMatchObject({
      code: 'CREDENTIAL_UNREACHABLE',
      message: containing('ECONNREFUSED'),
    });
    expect(await fails(vaultSource({ address: 'http://169.254.169.254' }))).toMatchObject({
      code: 'CREDENTIAL_REDIRECT_REFUSED',
    });
    expect(await fails(vaultSource(), { ...env, VAULT_CACERT: '/gone.pem' })).toMatchObject({
      code: 'CREDENTIAL_FILE_UNREADABLE',
    });
  });

  it('is followed where a standby sends to the active server, with TLS as before', async () => {
    const standby = await startHttpDouble(({ target }) => ({
      status: 307,
      headers: { location: `${vault.url}${target.slice(1)}` },
    }));
    try {
      expect((await load(vaultSource({ address: standby.url }), testHost(env))).values).toEqual(secret);
    } finally {
      await standby.close();
    }
  });

  it('is asked over TLS with the certificate of its authority, and by no other', async () => {
    const made = makeSelfSigned();
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-vault-'));
    const guarded = await startVaultDouble(made);
    guarded.state.tokens.set(token, tokenOf());
    guarded.state.kv2.set(`/${path}`, { versions: [secret], deleted: false });
    const source = vaultSource({ address: guarded.url });
    try {
      const file = join(folder, 'ca.pem');
      await writeFile(file, made.cert, { mode: 0o600 });
      expect((await load(source, testHost({ ...env, VAULT_CACERT: file }))).values).toEqual(secret);
      const asks = guarded.asked.length;
      expect(await fails(source)).toMatchObject({
        code: 'CREDENTIAL_TLS',
        message: matching(/not trusted here \(DEPTH_ZERO_SELF_SIGNED_CERT\): .*VAULT_CACERT/),
      });
      await writeFile(file, makeSelfSigned().cert);
      expect(await fails(source, { ...env, VAULT_CACERT: file })).toMatchObject({ code: 'CREDENTIAL_TLS' });
      // Without TLS the token does not go on.
      guarded.misbehaves = { redirectTo: vault.url };
      await writeFile(file, made.cert);
      expect(await fails(source, { ...env, VAULT_CACERT: file })).toMatchObject({
        code: 'CREDENTIAL_REDIRECT_REFUSED',
        message: containing('without TLS'),
      });
      expect(guarded.asked).toHaveLength(asks + 1);
      expect(vault.asked).toEqual([]);
    } finally {
      await guarded.close();
      await rm(folder, { recursive: true });
    }
  });
});

describe('the token of Vault', () => {
  const ending = (leftSeconds: number, more: Partial<VaultToken> = {}): VaultToken => {
    const made = tokenOf({
      ...{ renewable: true, creationTtlSeconds: 3600, endsAtMs: Date.now() + leftSeconds * 1000 },
      ...more,
    });
    vault.state.tokens.set(token, made);
    return made;
  };
  const read = () => load(vaultSource(), testHost(env));

  it('is renewed when a third of its time has gone, and not before', async () => {
    ending(3000);
    expect((await read()).warnings).toEqual([]);
    expect(vault.state.renewals).toBe(0);
    const held = ending(2000);
    expect((await read()).warnings).toEqual([]);
    expect(vault.state.renewals).toBe(1);
    expect(held.endsAtMs).toBeGreaterThan(Date.now() + 3500_000);
  });

  it('is told of where it ends and cannot be renewed', async () => {
    ending(2000, { renewable: false });
    expect((await read()).warnings).toEqual([
      matching(/^the Vault token of VAULT_TOKEN ends at \d{4}-\d\d-\d\dT\d\d:\d\dZ and cannot be renewed: /),
    ]);
    expect(vault.state.renewals).toBe(0);
  });

  it('may know nothing of itself: what it reads is given', async () => {
    ending(2000, { knowsItself: false });
    expect(await read()).toMatchObject({ values: secret, warnings: [] });
  });

  it('does not end while nobody loads', async () => {
    ending(2, { creationTtlSeconds: 2 });
    const credentials = createCredentials(testHost(env));
    await credentials.load(vaultSource(), new AbortController().signal);
    await expect.poll(() => vault.state.renewals, { timeout: 10_000 }).toBeGreaterThan(1);
    vault.state.tokens.clear();
  });
});
