// What this server relies on AWS Secrets Manager for. Held by the double, which other tests know alone, and by moto, which
// many test against, where it is at hand.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { awsFailure, awsHost } from '../testing/aws-scene.ts';
import { load } from '../testing/load.ts';

export interface SecretsManagerSubject {
  /** Sets the variables that lead AWS's own library there, with keys that it knows. */
  lead(): void;
  put(name: string, secret: string | Uint8Array): Promise<void>;
  /** It can be brought back for a while, and not be read. */
  scheduleDeletion(name: string): Promise<void>;
  remove(): Promise<void>;
}

export const describeSecretsManager = (name: string, open: () => Promise<SecretsManagerSubject>): void => {
  describe(`a Secrets Manager, ${name}`, () => {
    let subject: SecretsManagerSubject;
    beforeAll(async () => {
      subject = await open();
    }, 60_000);
    beforeEach(() => subject.lead());
    afterAll(() => subject?.remove());

    const source = (secretName: string) =>
      ({ kind: 'aws-secrets-manager', secret_name: secretName, region: 'eu-west-1' }) as const;
    const values = { AWS_ACCESS_KEY_ID: 'AKIA2', AWS_SECRET_ACCESS_KEY: 'canary/2' };

    it('gives a secret that is text, and one that is bytes', async () => {
      await subject.put('eka-ci/text', JSON.stringify(values));
      await subject.put('eka-ci/bytes', Buffer.from(JSON.stringify(values)));
      for (const secretName of ['eka-ci/text', 'eka-ci/bytes']) {
        expect(await load(source(secretName), awsHost())).toEqual({ values, warnings: [], leaseMs: null });
      }
    });

    it('says what is not there', async () => {
      const code = 'CREDENTIAL_NOT_FOUND';
      expect(await awsFailure(source('eka-ci/absent'))).toMatchObject({ code });
    });

    it('gives nothing of what is being deleted', async () => {
      await subject.put('eka-ci/leaving', '{"A":"canary"}');
      await subject.scheduleDeletion('eka-ci/leaving');
      const code = 'CREDENTIAL_NOT_FOUND';
      expect(await awsFailure(source('eka-ci/leaving'))).toMatchObject({ code });
    });
  });
};
