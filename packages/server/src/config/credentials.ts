// Gets the secrets that a credential source names, from this machine. Asked for when they are used: they change while
// the server runs.
import { join } from 'node:path';
import type { ConfigHost } from './config-host.ts';
import type { CredentialSource } from './credential-source.ts';
import { type ParsedCredentials, parseCredentialText } from './credential-text.ts';
import { Secret } from './secret.ts';
import type { Environment } from './server-config-environment.ts';

export type CredentialErrorCode =
  /** A variable that the source names is not set. */
  | 'CREDENTIAL_VARIABLE_UNSET'
  /** The file is not there, or cannot be read. */
  | 'CREDENTIAL_FILE_UNREADABLE'
  /** The file is empty, or of no form that is known. */
  | 'CREDENTIAL_FILE_INVALID'
  /** systemd passes no credentials to this process. */
  | 'CREDENTIAL_DIRECTORY_UNSET'
  /** This version cannot ask that source yet. */
  | 'CREDENTIAL_SOURCE_UNSUPPORTED';

/** Thrown when a credential source gives nothing; shows names, never a value. */
export class CredentialError extends Error {
  readonly code: CredentialErrorCode;
  constructor(code: CredentialErrorCode, message: string) {
    super(message);
    this.name = 'CredentialError';
    this.code = code;
  }
}

export interface LoadedCredentials {
  /** By name, such as `GITHUB_APP_ID`. */
  readonly values: ReadonlyMap<string, Secret>;
  /** A sentence each. */
  readonly warnings: readonly string[];
}

export interface CredentialHost extends Pick<ConfigHost, 'readFile'> {
  readonly env: Environment;
}

const variable = ({ env }: CredentialHost, name: string): string => {
  const value = env[name] ?? '';
  if (value === '') {
    const message = `the variable ${name} is not set: set it, or name another credential source`;
    throw new CredentialError('CREDENTIAL_VARIABLE_UNSET', message);
  }
  return value;
};

const unreadable = (path: string, why: string): CredentialError =>
  new CredentialError(
    'CREDENTIAL_FILE_UNREADABLE',
    `the credential file ${path} ${why}. In a systemd unit with a dynamic user pass it by services.eka-ci.credentials`,
  );

const readText = async (
  host: CredentialHost,
  path: string,
): Promise<{ readonly text: string; readonly warnings: readonly string[] }> => {
  const read = await host.readFile(path);
  if (read.kind === 'missing') throw unreadable(path, 'does not exist');
  if (read.kind === 'unreadable') throw unreadable(path, read.message);
  const warnings = read.isPublic ? [`every user can read the credential file ${path}: chmod 0600`] : [];
  return { text: read.text, warnings };
};

const valid = (path: string, parsed: ParsedCredentials): ReadonlyMap<string, string> => {
  if (parsed.kind === 'values') return parsed.values;
  throw new CredentialError('CREDENTIAL_FILE_INVALID', `the credential file ${path} ${parsed.reason}`);
};

const toLoaded = (
  values: Iterable<readonly [string, string]>,
  warnings: readonly string[] = [],
): LoadedCredentials => ({
  values: new Map([...values].map(([name, value]) => [name, new Secret(value)])),
  warnings,
});

const loadSystemd = async (host: CredentialHost, name: string): Promise<LoadedCredentials> => {
  const directory = host.env['CREDENTIALS_DIRECTORY'] ?? '';
  if (directory === '') {
    const message = `systemd passes no credentials, ${name} among them: name it in LoadCredential= of the unit`;
    throw new CredentialError('CREDENTIAL_DIRECTORY_UNSET', message);
  }
  const path = join(directory, name);
  const { text, warnings } = await readText(host, path);
  const parsed = parseCredentialText(text);
  // A bare token can look like the name of an empty value: `dG9rZW4=`, `dG9rZQ==`.
  const isTable =
    parsed.kind === 'values' && [...parsed.values.values()].every((value) => /[^=]/.test(value));
  if (isTable) return toLoaded(parsed.values, warnings);
  if (text.trim() === '' || text.trimStart().startsWith('{')) return toLoaded(valid(path, parsed), warnings);
  return toLoaded([[name, text.trim()]], warnings);
};

/** @throws CredentialError */
export const loadCredentials = async (
  source: CredentialSource,
  host: CredentialHost,
): Promise<LoadedCredentials> => {
  switch (source.kind) {
    case 'env':
      return toLoaded(source.vars.map((name) => [name, variable(host, name)] as const));
    case 'file': {
      const { text, warnings } = await readText(host, source.path);
      return toLoaded(valid(source.path, parseCredentialText(text)), warnings);
    }
    case 'systemd-credential':
      return await loadSystemd(host, source.name);
    case 'cachix-token':
      return toLoaded([['CACHIX_AUTH_TOKEN', variable(host, source.env_var)]]);
    case 'github-app-key-file': {
      const { text, warnings } = await readText(host, source.key_file);
      const id = variable(host, source.app_id_env);
      return toLoaded(
        [
          ['GITHUB_APP_ID', id],
          ['GITHUB_APP_PRIVATE_KEY', text.trim()],
        ] as const,
        warnings,
      );
    }
    case 'none':
      return toLoaded([]);
    case 'aws-profile':
    case 'vault':
    case 'aws-secrets-manager':
    case 'instance-metadata': {
      const message = `the credential source ${source.kind} is not supported by this version yet: use env, file or systemd-credential`;
      throw new CredentialError('CREDENTIAL_SOURCE_UNSUPPORTED', message);
    }
  }
};
