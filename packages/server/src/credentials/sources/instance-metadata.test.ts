import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../config/credential-source.ts';
import { createCacheCredentials } from '../cache-credentials.ts';
import { createCredentials } from '../credentials.ts';
import { type HttpDouble, type Misbehaviour, startHttpDouble } from '../testing/http-double.ts';
import { containing, failureOf, load, matching, near, testHost } from '../testing/load.ts';
import {
  type AwsRoleKeys,
  type Ec2State,
  startAzureDouble,
  startEc2Double,
  startEcsDouble,
  startGcpDouble,
} from '../testing/metadata-double.ts';

const source: CredentialSource = { kind: 'instance-metadata' };
const keys = (of: string): AwsRoleKeys => ({
  ...{ id: `ASIA${of}`, secret: `canary/${of}`, token: `canary+${of}` },
  endsAtMs: Date.now() + 3600_000,
});
const asVariables = ({ id, secret, token }: AwsRoleKeys) => ({
  ...{ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token },
});

const ec2State: Ec2State = { role: null, isOff: false };
const gcpState: { token: string | null } = { token: null };
const azureState: { token: string | null } = { token: null };
let nowhere = '';
let open: HttpDouble[] = [];
let places: Record<'ec2' | 'gcp' | 'azure', HttpDouble>;

beforeEach(async () => {
  Object.assign(ec2State, { role: keys('ec2'), isOff: false });
  gcpState.token = 'canary-gcp';
  azureState.token = 'canary-azure';
  const gone = await startHttpDouble(() => ({ status: 200 }));
  nowhere = gone.url;
  await gone.close();
  places = {
    ec2: await startEc2Double(ec2State),
    gcp: await startGcpDouble(gcpState),
    azure: await startAzureDouble(azureState),
  };
  open = Object.values(places);
});
afterEach(async () => {
  for (const double of open) await double.close();
});

type Cloud = keyof typeof places;

/** A machine of these clouds alone. */
const machineOf = (
  clouds: readonly Cloud[],
  env: Readonly<Record<string, string>> = {},
  timeoutMs = 4000,
) => {
  const at = (cloud: Cloud): string => (clouds.includes(cloud) ? places[cloud].url : nowhere);
  return testHost(env, {
    metadata: { ec2: at('ec2'), gcp: at('gcp'), azure: at('azure'), ecs: nowhere, timeoutMs },
  });
};

describe('what a machine is given', () => {
  it('by EC2, by a session, for as long as the keys hold', async () => {
    const given = await load(source, machineOf(['ec2']));
    expect(given.values).toEqual(asVariables(keys('ec2')));
    expect(given.leaseMs).toBeGreaterThan(3500_000);
    expect(given.leaseMs).toBeLessThanOrEqual(3600_000);
    const named = { AWS_EC2_METADATA_SERVICE_ENDPOINT: places.ec2.url.slice(0, -1) };
    expect((await load(source, machineOf([], named))).values).toEqual(asVariables(keys('ec2')));
  });

  it('by GCP and by Azure: a token', async () => {
    expect(await load(source, machineOf(['gcp']))).toMatchObject({
      values: { GOOGLE_OAUTH_ACCESS_TOKEN: 'canary-gcp' },
      leaseMs: near(3_599_000, 4),
    });
    expect(await load(source, machineOf(['azure']))).toMatchObject({
      values: { AZURE_ACCESS_TOKEN: 'canary-azure' },
      leaseMs: near(86_399_000, 4),
    });
  });

  it('by ECS and EKS, where a variable says where; then by nobody else', async () => {
    const task = await startEcsDouble(keys('ecs'), 'canary-pod-token');
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-metadata-'));
    open.push(task);
    try {
      const file = join(folder, 'token');
      await writeFile(file, 'canary-pod-token\n', { mode: 0o600 });
      const whole = `${task.url}v2/credentials/task-1`;
      const pod = { AWS_CONTAINER_CREDENTIALS_FULL_URI: whole, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file };
      expect((await load(source, machineOf(['ec2', 'gcp'], pod))).values).toEqual(asVariables(keys('ecs')));
      const relative = {
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/task-1',
        AWS_CONTAINER_AUTHORIZATION_TOKEN: 'canary-pod-token',
      };
      const host = machineOf(['ec2'], relative);
      const placed = { ...host, metadata: { ...host.metadata, ecs: task.url } };
      expect((await load(source, placed)).values).toEqual(asVariables(keys('ecs')));
      const wrong = { ...placed, env: { ...relative, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x' } };
      expect(await failureOf(load(source, wrong))).toMatchObject({ code: 'CREDENTIAL_FORBIDDEN' });
      expect(await failureOf(load(source, host))).toMatchObject({ code: 'CREDENTIAL_UNREACHABLE' });
      expect(places.ec2.asked).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('where several answer by the first in order, also when it is the slowest', async () => {
    expect((await load(source, machineOf(['azure', 'gcp', 'ec2']))).values).toEqual(asVariables(keys('ec2')));
    ec2State.role = null;
    expect((await load(source, machineOf(['azure', 'gcp', 'ec2']))).values).toEqual({
      GOOGLE_OAUTH_ACCESS_TOKEN: 'canary-gcp',
    });
    places.ec2.misbehaves = 'silent';
    expect((await load(source, machineOf(['azure', 'ec2'], {}, 300))).values).toEqual({
      AZURE_ACCESS_TOKEN: 'canary-azure',
    });
  });

  it('is no key of an s3: cache, where it is a token', async () => {
    const credentials = createCredentials(machineOf(['gcp']));
    const signal = new AbortController().signal;
    const s3 = createCacheCredentials(credentials, { source, destination: 's3://bucket' });
    const failure = await failureOf(s3.load(signal));
    expect(failure).toMatchObject({
      code: 'CREDENTIAL_UNFIT',
      message: matching(/needs AWS keys.* gives GOOGLE_OAUTH_ACCESS_TOKEN/),
    });
    const web = createCacheCredentials(credentials, { source, destination: 'https://cache.example' });
    expect([...(await web.load(signal)).values.keys()]).toEqual(['GOOGLE_OAUTH_ACCESS_TOKEN']);
    const ec2 = createCacheCredentials(createCredentials(machineOf(['ec2'])), {
      source,
      destination: 's3://bucket',
    });
    expect((await ec2.load(signal)).values.size).toBe(3);
  });
});

describe('what a machine is not given', () => {
  const fails = (host: ReturnType<typeof machineOf>) => failureOf(load(source, host));

  it('outside of a cloud, or where nobody answers in time', async () => {
    const message = containing('no metadata service of EC2, GCP or Azure answered within');
    expect(await fails(machineOf([]))).toMatchObject({ code: 'CREDENTIAL_UNREACHABLE', message });
    for (const double of open) double.misbehaves = 'silent';
    expect(await fails(machineOf(['ec2', 'gcp', 'azure'], {}, 200))).toMatchObject({
      code: 'CREDENTIAL_UNREACHABLE',
      message,
    });
    // Each was asked before any of them was given up.
    expect(open.map(({ asked }) => asked.length)).toEqual([1, 1, 1]);
  });

  it.each<[string, Cloud, () => unknown, string, RegExp]>([
    [
      'a machine without a role',
      'ec2',
      () => (ec2State.role = null),
      'CREDENTIAL_NOT_FOUND',
      /has no role: attach/,
    ],
    [
      'a service that is off',
      'ec2',
      () => (ec2State.isOff = true),
      'CREDENTIAL_FORBIDDEN',
      /refuses \(403\): switch the service on/,
    ],
    [
      'keys that have ended',
      'ec2',
      () => (ec2State.role = { ...keys('ec2'), endsAtMs: Date.now() - 1000 }),
      'CREDENTIAL_UNAVAILABLE',
      /have ended: look at the clock/,
    ],
    [
      'no service account',
      'gcp',
      () => (gcpState.token = null),
      'CREDENTIAL_NOT_FOUND',
      /no service account/,
    ],
    [
      'no managed identity',
      'azure',
      () => (azureState.token = null),
      'CREDENTIAL_NOT_FOUND',
      /no managed identity/,
    ],
    ['an empty token', 'gcp', () => (gcpState.token = ''), 'CREDENTIAL_ANSWER_INVALID', /without a token/],
  ])('by %s', async (_, cloud, arrange, code, message) => {
    arrange();
    expect(await fails(machineOf([cloud]))).toMatchObject({ code, message: matching(message) });
  });

  it.each<Misbehaviour>([
    'endless',
    'deep',
    'no-json',
    'list',
    'breaks-off',
    'echo',
    { status: 500 },
    { redirectTo: 'http://169.254.169.254/' },
  ])('by services that answer %j', async (how) => {
    for (const double of open) double.misbehaves = how;
    const failure = await fails(machineOf(['ec2', 'gcp', 'azure']));
    expect(failure.code).toEqual(matching(/^CREDENTIAL_/));
    expect(failure.shown).not.toContain('canary');
    for (const { sentBytes } of open) expect(sentBytes()).toBeLessThan(64 * 1024 * 1024);
  });

  it('where variables lead astray, or switch it off', async () => {
    for (const [name, value] of [
      ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'http://example.com/'],
      ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'http://169.254.169.254/latest/'],
      ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'canary'],
      ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', '//example.com/'],
      ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'canary'],
      ['AWS_EC2_METADATA_SERVICE_ENDPOINT', 'canary'],
    ] as const) {
      const failure = await fails(machineOf(['ec2'], { [name]: value }));
      expect(failure).toMatchObject({
        code: 'CREDENTIAL_SETTING_INVALID',
        message: containing(name),
      });
      expect(failure.shown).not.toContain('canary');
    }
    expect(await fails(machineOf(['ec2'], { AWS_EC2_METADATA_DISABLED: 'true' }))).toMatchObject({
      code: 'CREDENTIAL_UNREACHABLE',
    });
    expect(places.ec2.asked).toEqual([]);
  });
});
