// What each of the ten credential sources is: one function from what ekaci.toml names to the secrets behind it.
import type { ConfigHost } from '../config/config-host.ts';
import type { CredentialSource } from '../config/credential-source.ts';
import { Secret } from '../config/secret.ts';
import type { Environment } from '../config/server-config-environment.ts';
import { CredentialError } from './credential-error.ts';

/** Where metadata services are asked; all end with a slash. */
export interface MetadataPlaces {
  readonly ec2: string;
  readonly ecs: string;
  readonly gcp: string;
  readonly azure: string;
  /** For all of them. */
  readonly timeoutMs: number;
}

/** What a source asks of the machine. */
export interface SourceHost extends Pick<ConfigHost, 'readFile'> {
  /** Of this process: what comes with AWS reads the process's own. */
  readonly env: Environment;
  /** Where clouds tell their machines what they are given; each its own place where it is not named. */
  readonly metadata?: Partial<MetadataPlaces>;
}

export interface SourceAnswer {
  /** By name, such as `AWS_SECRET_ACCESS_KEY`. */
  readonly values: ReadonlyMap<string, Secret>;
  /** A sentence each. */
  readonly warnings: readonly string[];
  /** How long the source says they hold; null: it says nothing. */
  readonly leaseMs: number | null;
  /** What the source was asked with: no log may show it either. */
  readonly askedWith: readonly Secret[];
  /** Asked again by then it stays open to us; null: whenever. */
  readonly askAgainMs: number | null;
}

type SourceOf<Kind extends CredentialSource['kind']> = Extract<CredentialSource, { kind: Kind }>;

/** Ends soon after `signal` does. @throws CredentialError */
export type LoadSource<Kind extends CredentialSource['kind']> = (
  source: SourceOf<Kind>,
  host: SourceHost,
  signal: AbortSignal,
) => Promise<SourceAnswer>;

/** @throws CredentialError where a text can be no value of a variable */
export const answerOf = (
  values: Iterable<readonly [name: string, value: string]>,
  more: Partial<Omit<SourceAnswer, 'values'>> = {},
): SourceAnswer => {
  const secrets = new Map<string, Secret>();
  for (const [name, value] of values) {
    if (value.includes('\0')) {
      const message = `the value of ${JSON.stringify(name)} holds a NUL character: write it again without`;
      throw new CredentialError('CREDENTIAL_ANSWER_INVALID', message);
    }
    secrets.set(name, new Secret(value));
  }
  return { values: secrets, warnings: [], leaseMs: null, askedWith: [], askAgainMs: null, ...more };
};

/** @throws CredentialError where it is unset or empty */
export const readVariable = ({ env }: Pick<SourceHost, 'env'>, name: string): string => {
  const value = env[name] ?? '';
  if (value === '') {
    const message = `the variable ${name} is not set: set it, or name another credential source`;
    throw new CredentialError('CREDENTIAL_VARIABLE_UNSET', message);
  }
  return value;
};
