// What this server relies on a Vault for. Held by the double, which other tests know alone, and by Vault itself where it is
// at hand.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../config/credential-source.ts';
import { containing, failureOf, load, near, testHost } from '../testing/load.ts';

export interface NewToken {
  /** Paths below `/v1/` that it may read. */
  readonly reads: readonly string[];
  readonly ttlSeconds: number;
  readonly isRenewable: boolean;
}

export interface VaultSubject {
  readonly url: string;
  /** Each a newer version. The mount of version 2 is `secret`. */
  putVersions(name: string, versions: readonly Readonly<Record<string, unknown>>[]): Promise<void>;
  /** The newest version. */
  deleteVersion(name: string): Promise<void>;
  /** The mount of version 1 is `kv`. */
  put(name: string, value: Readonly<Record<string, unknown>>): Promise<void>;
  makeToken(token: NewToken): Promise<string>;
  /** How long it has left. */
  ttlSecondsOf(token: string): Promise<number>;
  /** From now on it answers nothing. */
  seal(): Promise<void>;
  remove(): Promise<void>;
}

export const describeVault = (name: string, open: () => Promise<VaultSubject>): void => {
  describe(`a Vault, ${name}`, () => {
    let vault: VaultSubject;
    let token: string;
    const path = 'secret/data/eka-ci/s3 cache';
    const keys = { AWS_ACCESS_KEY_ID: 'AKIACANARY', AWS_SECRET_ACCESS_KEY: 'canary/secret' };
    const hour = { ttlSeconds: 3600, isRenewable: true };
    beforeAll(async () => {
      vault = await open();
      const reads = [path, 'secret/data/gone', 'secret/data/absent', 'kv/ci', 'kv/odd', 'kv/absent'];
      token = await vault.makeToken({ ...hour, reads });
    }, 60_000);
    afterAll(() => vault?.remove());

    const ask = (secretPath: string, with_ = token) => {
      const source: CredentialSource = {
        ...{ kind: 'vault', address: vault.url, secret_path: secretPath, token_env: 'VAULT_TOKEN' },
      };
      return load(source, testHost({ VAULT_TOKEN: with_ }));
    };

    it('gives the newest version', async () => {
      await vault.putVersions('eka-ci/s3 cache', [{ OLD: 'x' }, keys]);
      expect(await ask(path)).toEqual({ values: keys, warnings: [], leaseMs: null });
    });

    it('gives what version 1 of its engine has, for as long as it says', async () => {
      await vault.put('ci', { TOKEN: 'canary', PORT: 8080 });
      expect(await ask('kv/ci')).toEqual({
        values: { TOKEN: 'canary', PORT: '8080' },
        warnings: [],
        leaseMs: near(2_764_800_000, 5),
      });
      // Called as the parts of version 2 are.
      await vault.put('odd', { data: 'a', metadata: 'b' });
      expect((await ask('kv/odd')).values).toEqual({ data: 'a', metadata: 'b' });
    });

    it('says that a version was deleted', async () => {
      await vault.putVersions('gone', [{ A: 'b' }]);
      await vault.deleteVersion('gone');
      expect(await failureOf(ask('secret/data/gone'))).toMatchObject({
        code: 'CREDENTIAL_NOT_FOUND',
        message: containing('its newest version was deleted'),
      });
    });

    it.each(['secret/data/absent', 'kv/absent'])('has nothing at %s', async (absent) => {
      const code = 'CREDENTIAL_NOT_FOUND';
      expect(await failureOf(ask(absent))).toMatchObject({
        code,
        message: containing('data/ after the mount'),
      });
    });

    it('keeps to what the policy says, and to tokens that it knows', async () => {
      const code = 'CREDENTIAL_FORBIDDEN';
      expect(await failureOf(ask('secret/data/other'))).toMatchObject({ code });
      expect(await failureOf(ask(path, 'hvs.canary-of-nobody'))).toMatchObject({ code });
    });

    it('tells when a token ends that cannot be renewed', async () => {
      const fixed = await vault.makeToken({ reads: [path], ttlSeconds: 3600, isRenewable: false });
      expect((await ask(path, fixed)).warnings).toEqual([containing('cannot be renewed: give another')]);
    });

    it('ends a token when its time has come', async () => {
      const short = await vault.makeToken({ reads: [path], ttlSeconds: 2, isRenewable: false });
      const end = async (): Promise<unknown> => (await failureOf(ask(path, short)).catch(() => null))?.code;
      await expect.poll(end, { timeout: 10_000 }).toBe('CREDENTIAL_FORBIDDEN');
    });

    it('renews a token that it is asked with', async () => {
      const renewed = await vault.makeToken({ reads: [path], ttlSeconds: 9, isRenewable: true });
      let least = Number.POSITIVE_INFINITY;
      const hasGrownSince = async (): Promise<boolean> => {
        expect((await ask(path, renewed)).warnings).toEqual([]);
        const left = await vault.ttlSecondsOf(renewed);
        const hasGrown = left > least;
        least = Math.min(least, left);
        return hasGrown;
      };
      await expect.poll(hasGrownSince, { interval: 250, timeout: 20_000 }).toBe(true);
    });

    it('says nothing while it is sealed', async () => {
      await vault.seal();
      expect(await failureOf(ask(path))).toMatchObject({
        code: 'CREDENTIAL_UNAVAILABLE',
        message: containing('is sealed: unseal it'),
      });
    });
  });
};
