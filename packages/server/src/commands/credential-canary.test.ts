// A secret in each of the ten sources, and in all that they are asked with, is looked for in all that anybody could see.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createConfigHost } from '../config/config-host.ts';
import type { CredentialSource } from '../config/credential-source.ts';
import type { Secret } from '../config/secret.ts';
import { readServerFlags } from '../config/server-flags.ts';
import { createCredentials, type LoadedCredentials } from '../credentials/credentials.ts';
import type { HttpDouble } from '../credentials/testing/http-double.ts';
import { testHost } from '../credentials/testing/load.ts';
import { startEc2Double, startEcsDouble } from '../credentials/testing/metadata-double.ts';
import { type AwsDouble, startAwsDouble } from '../credentials/testing/secrets-manager-double.ts';
import { startVaultDouble, type VaultDouble } from '../credentials/testing/vault-double.ts';
import { createLoggers } from '../lib/logger.ts';
import { createSecretMask } from '../lib/secret-mask.ts';
import { checkConfig } from './check-config.ts';

const canary = 'canary-5f1c0a7e';
let folder: string;
let vault: VaultDouble;
let aws: AwsDouble;
let ec2: HttpDouble;
let task: HttpDouble;
/** Its lines are secrets, too. */
const pem = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const pemLine = pem.split('\n')[3] ?? '';

const place = (name: string, text: string): Promise<void> =>
  writeFile(join(folder, name), text, { mode: 0o644 });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-canary-'));
  vault = await startVaultDouble();
  aws = await startAwsDouble();
  const role = {
    id: 'ASIA',
    secret: `${canary}-ec2`,
    token: `${canary}-ec2t`,
    endsAtMs: Date.now() + 3600_000,
  };
  ec2 = await startEc2Double({ role, isOff: false });
  task = await startEcsDouble(role, null);
  const token = {
    ...{ renewable: false, creationTtlSeconds: 100, endsAtMs: Date.now() + 100_000 },
    ...{ reads: ['secret/data/ci'], knowsItself: true },
  };
  vault.state.tokens.set(`${canary}-vault-token`, token);
  vault.state.kv2.set('/secret/data/ci', { versions: [{ V: `${canary}-vault` }], deleted: false });
  aws.state.keys.set('AKIA', `${canary}-aws-key`);
  aws.state.secrets.set('ci', JSON.stringify({ S: `${canary}-manager` }));
  await place('file', `F="${canary}-file"\n`);
  await place('unit', `${canary}-unit\n`);
  await place('key.pem', pem);
  await place('aws', `[ci]\naws_access_key_id = AKIA\naws_secret_access_key = ${canary}-profile\n`);
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  const env = {
    ...{
      CANARY_A: `${canary}-env`,
      CACHIX: `${canary}-cachix`,
      APP_ID: '12',
      VAULT_TOKEN: `${canary}-vault-token`,
    },
    ...{ AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: `${canary}-aws-key`, AWS_REGION: 'eu-west-1' },
    ...{ AWS_ENDPOINT_URL_SECRETS_MANAGER: aws.url, AWS_SHARED_CREDENTIALS_FILE: join(folder, 'aws') },
    ...{ AWS_EC2_METADATA_SERVICE_ENDPOINT: ec2.url, CREDENTIALS_DIRECTORY: folder, HOME: folder },
    ...{ WEBHOOK_SECRET: `${canary}-webhook`, XDG_RUNTIME_DIR: folder, PATH: process.env['PATH'] },
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const double of [vault, aws, ec2, task]) await double.close();
  await rm(folder, { recursive: true });
});

/** As ekaci.toml has them. */
const written = (): readonly string[] => [
  '{ env = { vars = ["CANARY_A"] } }',
  `{ file = { path = "${join(folder, 'file')}" } }`,
  '{ aws-profile = { profile = "ci" } }',
  '{ cachix-token = { env_var = "CACHIX" } }',
  `{ vault = { address = "${vault.url}", secret_path = "secret/data/ci" } }`,
  '{ aws-secrets-manager = { secret_name = "ci" } }',
  '{ systemd-credential = { name = "unit" } }',
  '"instance-metadata"',
  `{ github-app-key-file = { app_id_env = "APP_ID", key_file = "${join(folder, 'key.pem')}" } }`,
  '"none"',
];

const sources = (): readonly CredentialSource[] => [
  { kind: 'env', vars: ['CANARY_A'] },
  { kind: 'file', path: join(folder, 'file') },
  { kind: 'aws-profile', profile: 'ci' },
  { kind: 'cachix-token', env_var: 'CACHIX' },
  { kind: 'vault', address: vault.url, secret_path: 'secret/data/ci', token_env: 'VAULT_TOKEN' },
  { kind: 'aws-secrets-manager', secret_name: 'ci' },
  { kind: 'systemd-credential', name: 'unit' },
  { kind: 'instance-metadata' },
  { kind: 'github-app-key-file', app_id_env: 'APP_ID', key_file: join(folder, 'key.pem') },
  { kind: 'none' },
];

/** What each source gives is spoiled; what it is asked with stays. */
const spoil = async (): Promise<void> => {
  for (const double of [vault, aws, ec2, task]) double.misbehaves = 'echo';
  await place('file', `F="${canary}`);
  await place('unit', `{"a": "${canary}`);
  await place('key.pem', pem.slice(0, 400));
  await place('aws', `[ci]\naws_secret_access_key = ${canary}-profile\n`);
  vi.stubEnv('CANARY_A', '');
  vi.stubEnv('CACHIX', '');
};

const shown = (value: unknown): string => {
  const stack = value instanceof Error ? value.stack : '';
  const json = JSON.stringify(value instanceof Map ? [...value] : value);
  return [String(value), inspect(value, { depth: null, showHidden: true }), json, stack].join('\n');
};

const expectHidden = (text: string): void => {
  expect(text).not.toContain(canary);
  expect(text).not.toContain(pemLine);
};

it('is in no value, error or line of a log, after successes and after failures', async () => {
  const lines: string[] = [];
  const logger = createLoggers({ filter: 'trace', format: 'json', write: (line) => lines.push(line) })(
    'forge',
  );
  const mask = createSecretMask([]);
  const secrets: Secret[] = [];
  const host = testHost(
    {},
    {
      env: process.env,
      metadata: { gcp: ec2.url, azure: ec2.url, timeoutMs: 4000 },
      onLoaded: (source, told) => {
        secrets.push(...told.secrets);
        mask.learn(
          JSON.stringify(source),
          told.secrets.map((secret) => secret.reveal()),
        );
        logger.info('loaded', { source, ...told });
      },
    },
  );
  const load = async (source: CredentialSource): Promise<LoadedCredentials | Error> => {
    try {
      return await createCredentials(host).load(source, new AbortController().signal);
    } catch (error) {
      if (error instanceof Error) return error;
      throw error;
    }
  };
  for (const source of sources()) {
    const loaded = await load(source);
    expect(loaded).not.toBeInstanceOf(Error);
    logger.error('told', { loaded, values: 'values' in loaded ? [...loaded.values] : [] });
    expectHidden(shown(loaded) + shown('values' in loaded ? loaded.values : null));
  }
  // It was there: all sources but `none` gave some of it, and two were asked with some.
  const given = secrets.map((secret) => secret.reveal());
  expect(new Set(given.filter((text) => text.includes(canary) || text.includes(pemLine))).size).toBe(12);
  // And logs of builds know it now.
  expectHidden(given.map((text) => mask.text(text.split('\n')[3] ?? text)).join('\n'));
  await spoil();
  for (const source of sources().filter(({ kind }) => kind !== 'none')) {
    const failed = await load(source);
    expect(failed).toBeInstanceOf(Error);
    logger.error('failed', { err: failed });
    expectHidden(shown(failed));
  }
  expect(lines.length).toBeGreaterThan(25);
  expectHidden(lines.join(''));
});

it('is not in what --check-config prints, whatever the sources give', async () => {
  const toml = written().map(
    (source, at) =>
      `[[github_apps]]\nid = "a${at}"\npermissions = { allow_all = true }\ncredentials = ${source}\n`,
  );
  const file = join(folder, 'ekaci.toml');
  await writeFile(file, toml.join(''));
  const command = readServerFlags(['--check-config', '--config-file', file], folder);
  if (command.kind !== 'check-config') throw new Error(`no check: ${command.kind}`);
  const check = () => checkConfig(command, { env: process.env, host: createConfigHost() });
  // The machine that the test runs on may be in a cloud of its own: only the double is asked.
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${task.url}v2/credentials/task-1`);
  const good = await check();
  expectHidden(good.found + good.complaints);
  for (const names of [
    'CANARY_A',
    'F',
    'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY',
    'CACHIX_AUTH_TOKEN',
    'V',
    'S',
    'unit',
  ]) {
    expect(good.found).toMatch(new RegExp(`^  github_apps "a\\d" .* faulty +${names}(;.*)?$`, 'm'));
  }
  expect(good.found).toMatch(/ instance-metadata +faulty +AWS_ACCESS_KEY_ID, .*; for 60 min$/m);
  expect(good.found).toMatch(/ github-app-key-file +works +GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY$/m);
  await spoil();
  const bad = await check();
  expectHidden(bad.found + bad.complaints);
  expect(bad.complaints.match(/^error: github_apps "a\d": /gm)).toHaveLength(10);
});
