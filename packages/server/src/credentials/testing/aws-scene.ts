// A machine whose variables lead to the double of AWS, and to no real one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { CredentialSource } from '../../config/credential-source.ts';
import type { CredentialHost } from '../credentials.ts';
import type { Misbehaviour } from './http-double.ts';
import { type Failure, failureOf, load, testHost } from './load.ts';
import { type AwsDouble, startAwsDouble } from './secrets-manager-double.ts';

/** The key that the double knows from the start. */
export const keyId = 'AKIAEXAMPLE';
export const secretKey = 'canary/of+aws';

/** AWS's own library reads the variables of the process. */
export const awsHost = (timeoutMs = 8000): CredentialHost => testHost({}, { env: process.env, timeoutMs });

/** Sees that nothing secret is told. */
export const awsFailure = async (source: CredentialSource, timeoutMs?: number): Promise<Failure> => {
  const failure = await failureOf(load(source, awsHost(timeoutMs)));
  expect(failure.shown).not.toContain('canary');
  return failure;
};

export interface AwsScene {
  readonly aws: AwsDouble;
  /** The user's home. */
  readonly folder: string;
  /** None of the variables that this machine happens to have stays. */
  stub(env: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}

export const startAwsScene = async (): Promise<AwsScene> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-aws-'));
  const aws = await startAwsDouble();
  aws.state.keys.set(keyId, secretKey);
  return {
    aws,
    folder,
    stub(env) {
      for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
      const all = { HOME: folder, AWS_EC2_METADATA_DISABLED: 'true', ...env };
      for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
    },
    async close() {
      vi.unstubAllEnvs();
      await aws.close();
      await rm(folder, { recursive: true });
    },
  };
};

/** What a service could answer, and what is told then, after its code. */
export const hostileAnswers: readonly [Misbehaviour, RegExp][] = [
  ['endless', /^CREDENTIAL_ANSWER_INVALID: .*more than 1 MiB/],
  ['deep', /^CREDENTIAL_\w+: /],
  ['no-json', /^CREDENTIAL_\w+: /],
  ['list', /^CREDENTIAL_\w+: /],
  ['breaks-off', /^CREDENTIAL_UNREACHABLE: .*was not reached/],
  ['echo', /^CREDENTIAL_\w+: /],
  [{ redirectTo: 'http://169.254.169.254/' }, /^CREDENTIAL_\w+: /],
  [{ status: 500 }, /^CREDENTIAL_UNAVAILABLE: /],
  [{ status: 403 }, /^CREDENTIAL_FORBIDDEN: /],
];
