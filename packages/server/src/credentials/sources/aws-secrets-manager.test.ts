import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../config/credential-source.ts';
import {
  type AwsScene,
  awsFailure,
  awsHost,
  hostileAnswers,
  keyId,
  secretKey,
  startAwsScene,
} from '../testing/aws-scene.ts';
import { startHttpDouble } from '../testing/http-double.ts';
import { load, matching } from '../testing/load.ts';
import { startMoto, whyNoMoto } from '../testing/moto.ts';
import { describeSecretsManager } from './secrets-manager.contract.ts';

describeSecretsManager('as other tests know it', async () => {
  const scene = await startAwsScene();
  const { secrets, leaving } = scene.aws.state;
  return {
    lead: () =>
      scene.stub({
        ...{ AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey },
        AWS_ENDPOINT_URL_SECRETS_MANAGER: scene.aws.url,
      }),
    put: async (name, secret) => void secrets.set(name, secret),
    scheduleDeletion: async (name) => void leaving.add(name),
    remove: () => scene.close(),
  };
});

const noMoto = whyNoMoto();

describe.skipIf(noMoto !== null)(`moto${noMoto === null ? '' : ` (${noMoto})`}`, () => {
  describeSecretsManager('of moto', async () => {
    const [scene, moto] = await Promise.all([startAwsScene(), startMoto()]);
    const access = { endpoint: moto.url, region: 'eu-west-1' };
    const credentials = { accessKeyId: keyId, secretAccessKey: secretKey };
    const { SecretsManagerClient, CreateSecretCommand, DeleteSecretCommand } = await import(
      '@aws-sdk/client-secrets-manager'
    );
    const client = new SecretsManagerClient({ ...access, credentials });
    return {
      lead: () =>
        scene.stub({
          ...{ AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey },
          AWS_ENDPOINT_URL_SECRETS_MANAGER: moto.url,
        }),
      async put(name, secret) {
        const value = typeof secret === 'string' ? { SecretString: secret } : { SecretBinary: secret };
        await client.send(new CreateSecretCommand({ Name: name, ...value }));
      },
      scheduleDeletion: async (name) => void (await client.send(new DeleteSecretCommand({ SecretId: name }))),
      async remove() {
        client.destroy();
        await Promise.all([scene.close(), moto.stop()]);
      },
    };
  });
});

let scene: AwsScene;
beforeEach(async () => {
  scene = await startAwsScene();
});
afterEach(() => scene.close());

describe('a secret of AWS Secrets Manager', () => {
  const source: CredentialSource = { kind: 'aws-secrets-manager', secret_name: 'eka-ci/s3' };
  const values = { AWS_ACCESS_KEY_ID: 'AKIA2', AWS_SECRET_ACCESS_KEY: 'canary/2' };

  const asks = (more: Readonly<Record<string, string>> = {}): void =>
    scene.stub({
      ...{ AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey, AWS_REGION: 'eu-west-1' },
      AWS_ENDPOINT_URL_SECRETS_MANAGER: scene.aws.url,
      ...more,
    });

  beforeEach(() => {
    scene.aws.state.secrets.set('eka-ci/s3', JSON.stringify(values));
    asks();
  });

  it('is read with keys of the environment, signed for the region', async () => {
    expect(await load(source, awsHost())).toEqual({ values, warnings: [], leaseMs: null });
    expect(scene.aws.asked[0]?.headers.authorization).toContain('/eu-west-1/secretsmanager/aws4_request');
    await load({ ...source, region: 'us-east-2' }, awsHost());
    const arn = 'arn:aws:secretsmanager:ap-south-1:123456789012:secret:eka-ci/s3-AbCdEf';
    scene.aws.state.secrets.set(arn, '{"A":"b"}');
    expect((await load({ ...source, secret_name: arn }, awsHost())).values).toEqual({ A: 'b' });
    expect(
      scene.aws.asked.map(({ headers }) => /\/([a-z]+-[a-z]+-\d)\//.exec(headers.authorization ?? '')?.[1]),
    ).toEqual(['eu-west-1', 'us-east-2', 'ap-south-1']);
  });

  it('is read with keys of a profile, and as bytes', async () => {
    const file = join(scene.folder, 'keys');
    await writeFile(file, `[ci]\naws_access_key_id = ${keyId}\naws_secret_access_key = ${secretKey}\n`, {
      mode: 0o600,
    });
    scene.stub({
      ...{ AWS_PROFILE: 'ci', AWS_SHARED_CREDENTIALS_FILE: file, AWS_DEFAULT_REGION: 'eu-west-1' },
      AWS_ENDPOINT_URL_SECRETS_MANAGER: scene.aws.url,
    });
    scene.aws.state.secrets.set('eka-ci/s3', Buffer.from(JSON.stringify(values)));
    expect((await load(source, awsHost())).values).toEqual(values);
  });

  it('waits out a service that is busy', async () => {
    scene.aws.state.busy = 1;
    expect((await load(source, awsHost())).values).toEqual(values);
  });

  it.each<[string, () => unknown, string, RegExp]>([
    [
      'is not there',
      () => scene.aws.state.secrets.clear(),
      'CREDENTIAL_NOT_FOUND',
      /in eu-west-1, asked for eka-ci\/s3, has no such secret/,
    ],
    [
      'is being deleted',
      () => scene.aws.state.leaving.add('eka-ci/s3'),
      'CREDENTIAL_NOT_FOUND',
      /is deleting that secret/,
    ],
    [
      'is denied',
      () => scene.aws.state.powerless.add(keyId),
      'CREDENTIAL_FORBIDDEN',
      /does not let these AWS keys/,
    ],
    [
      'is asked for with unknown keys',
      () => scene.aws.state.keys.clear(),
      'CREDENTIAL_FORBIDDEN',
      /does not know the AWS keys/,
    ],
    [
      'is asked for with wrong keys',
      () => scene.aws.state.keys.set(keyId, 'other'),
      'CREDENTIAL_FORBIDDEN',
      /does not know the AWS keys/,
    ],
    [
      'is no JSON',
      () => scene.aws.state.secrets.set('eka-ci/s3', 'canary'),
      'CREDENTIAL_ANSWER_INVALID',
      /is no JSON object/,
    ],
    [
      'is a list',
      () => scene.aws.state.secrets.set('eka-ci/s3', '["canary"]'),
      'CREDENTIAL_ANSWER_INVALID',
      /is no JSON object/,
    ],
    [
      'is empty',
      () => scene.aws.state.secrets.set('eka-ci/s3', ''),
      'CREDENTIAL_ANSWER_INVALID',
      /is no JSON object/,
    ],
    [
      'has nothing in it',
      () => scene.aws.state.secrets.set('eka-ci/s3', '{}'),
      'CREDENTIAL_ANSWER_INVALID',
      /is empty/,
    ],
    [
      'is bottomless',
      () => scene.aws.state.secrets.set('eka-ci/s3', '{"a":'.repeat(9000)),
      'CREDENTIAL_ANSWER_INVALID',
      /is no JSON object/,
    ],
    [
      'is nested',
      () => scene.aws.state.secrets.set('eka-ci/s3', '{"A":["canary"]}'),
      'CREDENTIAL_ANSWER_INVALID',
      /no text under "A"/,
    ],
    [
      'has no region',
      () => asks({ AWS_REGION: '' }),
      'CREDENTIAL_SETTING_INVALID',
      /set region, or the variable AWS_REGION/,
    ],
    [
      'has no keys',
      () => asks({ AWS_ACCESS_KEY_ID: '' }),
      'CREDENTIAL_SETTING_INVALID',
      /there are no AWS keys to ask/,
    ],
  ])('that %s', async (_, arrange, code, message) => {
    arrange();
    expect(await awsFailure(source)).toMatchObject({ code, message: matching(message) });
  });

  it.each(hostileAnswers)('where the service answers %j', async (how, told) => {
    scene.aws.misbehaves = how;
    const { code, message } = await awsFailure(source);
    expect(`${String(code)}: ${message}`).toMatch(told);
    expect(scene.aws.sentBytes()).toBeLessThan(200 * 1024 * 1024);
  });

  it('where the service is silent, gone, or speaks no TLS', async () => {
    scene.aws.misbehaves = 'silent';
    expect(await awsFailure(source, 400)).toMatchObject({ code: 'CREDENTIAL_TIMEOUT' });
    asks({ AWS_ENDPOINT_URL_SECRETS_MANAGER: scene.aws.url.replace('http:', 'https:') });
    expect(await awsFailure(source)).toMatchObject({ code: 'CREDENTIAL_TLS' });
    const gone = await startHttpDouble(() => ({ status: 200 }));
    await gone.close();
    asks({ AWS_ENDPOINT_URL_SECRETS_MANAGER: gone.url });
    expect(await awsFailure(source)).toMatchObject({ code: 'CREDENTIAL_UNREACHABLE' });
  });
});
