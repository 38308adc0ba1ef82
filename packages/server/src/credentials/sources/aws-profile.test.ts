import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
import { containing, load, matching } from '../testing/load.ts';

let scene: AwsScene;
beforeEach(async () => {
  scene = await startAwsScene();
});
afterEach(() => scene.close());

describe('an AWS profile', () => {
  const of = (profile: string): CredentialSource => ({ kind: 'aws-profile', profile });
  const plain = { AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey };
  const role = 'arn:aws:iam::123456789012:role/ci';

  const write = (credentials: string, config = ''): Promise<unknown> => {
    const files = {
      AWS_SHARED_CREDENTIALS_FILE: join(scene.folder, 'keys'),
      AWS_CONFIG_FILE: join(scene.folder, 'config'),
    };
    scene.stub({ ...files, AWS_ENDPOINT_URL_STS: scene.aws.url, AWS_REGION: 'eu-west-1' });
    return Promise.all([
      writeFile(files.AWS_SHARED_CREDENTIALS_FILE, credentials, { mode: 0o600 }),
      writeFile(files.AWS_CONFIG_FILE, config, { mode: 0o600 }),
    ]);
  };
  const keysOf = (name: string, more = ''): string =>
    `[${name}]\naws_access_key_id = ${keyId}\naws_secret_access_key = ${secretKey}\n${more}`;

  it('gives its keys, from either file, as they are now', async () => {
    await write(keysOf('production', 'aws_session_token = canary+session\n'));
    expect(await load(of('production'), awsHost())).toEqual({
      values: { ...plain, AWS_SESSION_TOKEN: 'canary+session' },
      warnings: [],
      leaseMs: null,
    });
    await write(keysOf('production'), keysOf('profile "other-one"'));
    expect((await load(of('production'), awsHost())).values).toEqual(plain);
    expect((await load(of('other-one'), awsHost())).values).toEqual(plain);
    await chmod(join(scene.folder, 'keys'), 0o644);
    expect((await load(of('production'), awsHost())).warnings).toEqual([
      `every user can read the credential file ${join(scene.folder, 'keys')}: chmod 0600`,
    ]);
  });

  it('is looked for in the home of the user', async () => {
    scene.stub({});
    expect(await awsFailure(of('ci'))).toMatchObject({
      code: 'CREDENTIAL_NOT_FOUND',
      message: containing(
        `no AWS profile ci in ${scene.folder}/.aws/credentials or ${scene.folder}/.aws/config`,
      ),
    });
  });

  it('gives the keys of a role, for as long as they hold', async () => {
    const given = { id: 'ASIAROLE', secret: 'canary/role', token: 'canary+role' };
    scene.aws.state.roles.set(role, { ...given, endsAtMs: Date.now() + 900_000 });
    await write(keysOf('base'), `[profile ci]\nrole_arn = ${role}\nsource_profile = base\n`);
    const loaded = await load(of('ci'), awsHost());
    expect(loaded.values).toEqual({
      ...{ AWS_ACCESS_KEY_ID: given.id, AWS_SECRET_ACCESS_KEY: given.secret, AWS_SESSION_TOKEN: given.token },
    });
    expect(loaded.leaseMs).toBeGreaterThan(850_000);
    expect(loaded.leaseMs).toBeLessThanOrEqual(900_000);
    scene.aws.state.roles.set(role, { ...given, endsAtMs: Date.now() - 5000 });
    expect(await awsFailure(of('ci'))).toMatchObject({ code: 'CREDENTIAL_EXPIRED' });
    scene.aws.state.roles.clear();
    expect(await awsFailure(of('ci'))).toMatchObject({ code: 'CREDENTIAL_FORBIDDEN' });
  });

  it.each(hostileAnswers)('of a role, where the service answers %j', async (how, told) => {
    await write(keysOf('base'), `[profile ci]\nrole_arn = ${role}\nsource_profile = base\n`);
    scene.aws.misbehaves = how;
    const { code, message } = await awsFailure(of('ci'));
    expect(`${String(code)}: ${message}`).toMatch(told);
  });

  it('gives what a program prints, and nothing of what it says when it fails', async () => {
    const printed = JSON.stringify({ Version: 1, AccessKeyId: 'AKIAP', SecretAccessKey: 'canary/p' });
    await writeFile(join(scene.folder, 'printed.json'), printed);
    await write('', `[profile p]\ncredential_process = /bin/cat ${scene.folder}/printed.json\n`);
    expect((await load(of('p'), awsHost())).values).toEqual({
      ...{ AWS_ACCESS_KEY_ID: 'AKIAP', AWS_SECRET_ACCESS_KEY: 'canary/p' },
    });
    await write('', `[profile p]\ncredential_process = /bin/sh -c "echo canary >&2; exit 3"\n`);
    expect(await awsFailure(of('p'))).toMatchObject({ code: 'CREDENTIAL_NOT_FOUND' });
  });

  it.each<[string, string, string, string, RegExp]>([
    ['that is not there', keysOf('other'), '', 'CREDENTIAL_NOT_FOUND', /no AWS profile ci in/],
    ['without keys', '[ci]\nregion = canary\n', '', 'CREDENTIAL_NOT_FOUND', /gives no keys/],
    [
      'with half of its keys',
      `[ci]\naws_access_key_id = ${keyId}\n`,
      '',
      'CREDENTIAL_NOT_FOUND',
      /gives no keys/,
    ],
    [
      'that leads to itself',
      '',
      '[profile ci]\nrole_arn = a\nsource_profile = b\n[profile b]\nrole_arn = a\nsource_profile = ci\n',
      'CREDENTIAL_NOT_FOUND',
      /gives no keys/,
    ],
    [
      'that nobody is signed in to',
      '',
      '[profile ci]\nsso_start_url = https://sso.example\nsso_account_id = 1\nsso_region = eu-west-1\nsso_role_name = ci\n',
      'CREDENTIAL_NOT_FOUND',
      /aws sso login --profile ci/,
    ],
    [
      'that wants to ask a person',
      keysOf('base'),
      `[profile ci]\nrole_arn = ${role}\nsource_profile = base\nmfa_serial = x\n`,
      'CREDENTIAL_NOT_FOUND',
      /gives no keys/,
    ],
    ['in a file of nonsense', '\u0000[[[=canary\n', '', 'CREDENTIAL_NOT_FOUND', /no AWS profile ci in/],
  ])('%s', async (_, credentials, config, code, message) => {
    await write(credentials, config);
    expect(await awsFailure(of('ci'))).toMatchObject({ code, message: matching(message) });
  });

  it('in a file that is none', async () => {
    await write(keysOf('ci'));
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', scene.folder);
    expect(await awsFailure(of('ci'))).toMatchObject({
      code: 'CREDENTIAL_FILE_UNREADABLE',
      message: containing('is not a plain file'),
    });
  });
});
