// What credential sources give, as `--check-config` shows it: which names were found, never a value.
import { createPrivateKey } from 'node:crypto';
import { type CredentialHost, type LoadedCredentials, loadCredentials } from '../config/credentials.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { errorCodeOf } from '../lib/error-code.ts';

export interface CredentialsReport {
  /** Whole lines; empty where there is nothing to say. */
  readonly found: string;
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
}

/** Null where it is one. */
const keyFault = (pem: string): string | null => {
  try {
    const { asymmetricKeyType: type } = createPrivateKey(pem);
    return type === 'rsa' ? null : `GITHUB_APP_PRIVATE_KEY is a key of type ${type}: GitHub's are RSA`;
  } catch {
    return 'GITHUB_APP_PRIVATE_KEY is no private key in PEM';
  }
};

const faultsOf = ({ values }: LoadedCredentials): string[] => {
  const missing = ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY'].filter((name) => !values.has(name));
  if (missing.length > 0) return [`the credentials give no ${missing.join(' and no ')}`];
  const fault = keyFault(values.get('GITHUB_APP_PRIVATE_KEY')?.reveal() ?? '');
  return fault === null ? [] : [fault];
};

type App = ServerConfig['github_apps'][number];

const checkApp = async (host: CredentialHost, { id, credentials }: App): Promise<CredentialsReport> => {
  const name = `github_apps ${JSON.stringify(id)}`;
  try {
    const loaded = await loadCredentials(credentials, host);
    const errors = faultsOf(loaded).map((fault) => `${name}: ${fault}`);
    const names = [...loaded.values.keys()].join(', ');
    const found = errors.length === 0 ? `${name}: ${names} from ${credentials.kind}\n` : '';
    return { found, warnings: loaded.warnings, errors };
  } catch (error) {
    if (errorCodeOf(error) === '') throw error;
    const message = error instanceof Error ? error.message : String(error);
    return { found: '', warnings: [], errors: [`${name}: ${message}`] };
  }
};

/** Who can sign in, and where they are sent back to. */
const describeSignIn = ({ oauth, admins }: Pick<ServerConfig, 'oauth' | 'admins'>): string => {
  if (oauth.client_id === undefined || oauth.client_secret === undefined) return '';
  const listed = admins.length === 0 ? 'no admins are listed' : `admins: ${admins.join(', ')}`;
  return `sign-in: as ${oauth.client_id}, back to ${oauth.redirect_url}; ${listed}\n`;
};

/** Asks nobody over the network. */
export const checkCredentials = async (
  host: CredentialHost,
  { github_apps: apps, ...signIn }: Pick<ServerConfig, 'github_apps' | 'oauth' | 'admins'>,
): Promise<CredentialsReport> => {
  const reports = await Promise.all(apps.map((app) => checkApp(host, app)));
  return {
    found: `${reports.map(({ found }) => found).join('')}${describeSignIn(signIn)}`,
    warnings: reports.flatMap(({ warnings }) => warnings),
    errors: reports.flatMap(({ errors }) => errors),
  };
};
