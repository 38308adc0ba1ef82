// Loads one source once, as a test asks for it.
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { createConfigHost } from '../../config/config-host.ts';
import type { CredentialSource } from '../../config/credential-source.ts';
import { type CredentialHost, createCredentials } from '../credentials.ts';

/** The real files of this machine, and no variables but those given. */
export const testHost = (
  env: Readonly<Record<string, string>> = {},
  more: Partial<CredentialHost> = {},
): CredentialHost => {
  const { readFile } = createConfigHost();
  return { env, readFile, ...more };
};

export interface Loaded {
  readonly values: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  readonly leaseMs: number | null;
}

/** With its secrets in plain sight. */
export const load = async (source: CredentialSource, host: CredentialHost): Promise<Loaded> => {
  const loaded = await createCredentials(host).load(source, new AbortController().signal);
  const values = Object.fromEntries([...loaded.values].map(([name, secret]) => [name, secret.reveal()]));
  return { ...loaded, values };
};

export interface Failure {
  readonly code: unknown;
  readonly message: string;
  /** All that anybody could print of it. */
  readonly shown: string;
}

/** @throws where it does not fail */
export const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const outcome = await work.then(
    () => null,
    (thrown: unknown) => ({ thrown }),
  );
  if (outcome === null) throw new Error('it did not fail');
  const { thrown } = outcome;
  const isError = thrown instanceof Error;
  return {
    code: isError && 'code' in thrown ? thrown.code : null,
    message: isError ? thrown.message : String(thrown),
    shown: `${inspect(thrown, { depth: null, showHidden: true })}${isError ? thrown.stack : ''}`,
  };
};

export const containing = (text: string): unknown => expect.stringContaining(text);
export const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);
/** To within `10 ** digits / 2`. */
export const near = (count: number, digits: number): unknown => expect.closeTo(count, -digits);
