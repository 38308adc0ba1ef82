// What credential sources give, as `--check-config` shows it: which names were found, never a value.
import { createPrivateKey } from 'node:crypto';
import type { CredentialSource } from '../config/credential-source.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { describeUnfit } from '../credentials/cache-credentials.ts';
import type { Credentials, LoadedCredentials } from '../credentials/credentials.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import type { ConfigReport } from './config-report.ts';

/** Null where it is one. */
const keyFault = (pem: string): string | null => {
  try {
    const { asymmetricKeyType: type } = createPrivateKey(pem);
    return type === 'rsa' ? null : `GITHUB_APP_PRIVATE_KEY is a key of type ${type}: GitHub's are RSA`;
  } catch {
    return 'GITHUB_APP_PRIVATE_KEY is no private key in PEM';
  }
};

const appFaults = ({ values }: LoadedCredentials): string[] => {
  const missing = ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY'].filter((name) => !values.has(name));
  if (missing.length > 0) return [`the credentials give no ${missing.join(' and no ')}`];
  const fault = keyFault(values.get('GITHUB_APP_PRIVATE_KEY')?.reveal() ?? '');
  return fault === null ? [] : [fault];
};

type Listed = Pick<ServerConfig, 'caches' | 'hooks' | 'github_apps' | 'gitea_instances' | 'gitlab_instances'>;

/** An entry of a list that names a credential source. */
interface CredentialUser {
  readonly name: string;
  readonly source: CredentialSource;
  /** What it lacks in what its source gives. */
  readonly faultsOf: (loaded: LoadedCredentials) => readonly string[];
}

const usersOf = (config: Listed): CredentialUser[] => {
  const { caches, hooks, github_apps: apps, gitea_instances: gitea, gitlab_instances: gitlab } = config;
  const instances = Object.entries({ gitea_instances: gitea, gitlab_instances: gitlab });
  const nameOf = (list: string, id: string): string => `${list} ${JSON.stringify(id)}`;
  return [
    ...caches.map(({ id, credentials: source, destination }) => ({
      name: nameOf('caches', id),
      source,
      faultsOf: (loaded: LoadedCredentials) => describeUnfit({ source, destination }, loaded),
    })),
    ...hooks.map(({ id, credentials: source }) => ({
      name: nameOf('hooks', id),
      source,
      faultsOf: () => [],
    })),
    ...apps.map(({ id, credentials: source }) => ({
      name: nameOf('github_apps', id),
      source,
      faultsOf: appFaults,
    })),
    ...instances.flatMap(([list, entries]) =>
      entries.flatMap(({ domain, credentials: source }) =>
        source === undefined ? [] : [{ name: nameOf(list, domain), source, faultsOf: () => [] }],
      ),
    ),
  ];
};

interface Row {
  readonly cells: readonly [name: string, kind: string, state: 'works' | 'faulty', found: string];
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
}

/** A name that is none is not shown: whoever wrote a secret where its name belongs would find it printed. */
const showNames = (names: readonly string[]): string => {
  const plain = names.filter((name) => /^[A-Za-z_][\w.-]{0,63}$/.test(name));
  const odd = names.length - plain.length;
  const shown = odd === 0 ? plain : [...plain, `${odd} that no variable could be called`];
  return shown.length === 0 ? 'nothing' : shown.join(', ');
};

const showLease = (leaseMs: number | null): string => {
  if (leaseMs === null) return '';
  const minutes = Math.round(leaseMs / 60_000);
  return `; for ${minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`}`;
};

const checkUser = async (credentials: Credentials, user: CredentialUser): Promise<Row> => {
  const { name, source, faultsOf } = user;
  const told = (text: string): string => `${name}: ${text}`;
  try {
    // Each load has a bound of its own.
    const loaded = await credentials.load(source, new AbortController().signal);
    const errors = faultsOf(loaded).map(told);
    const found = `${showNames([...loaded.values.keys()])}${showLease(loaded.leaseMs)}`;
    const state = errors.length === 0 ? 'works' : 'faulty';
    return { cells: [name, source.kind, state, found], warnings: loaded.warnings, errors };
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === '') throw error;
    const message = error instanceof Error ? error.message : String(error);
    return { cells: [name, source.kind, 'faulty', code], warnings: [], errors: [told(message)] };
  }
};

const formatRows = (rows: readonly Row[]): string => {
  if (rows.length === 0) return '';
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map(({ cells }) => cells[column]?.length ?? 0)));
  const lines = rows.map(
    ({ cells }) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`,
  );
  return `credentials:\n${lines.join('')}`;
};

/** Who can sign in, and where they are sent back to. */
const describeSignIn = ({ oauth, admins }: Pick<ServerConfig, 'oauth' | 'admins'>): string => {
  if (oauth.client_id === undefined || oauth.client_secret === undefined) return '';
  const listed = admins.length === 0 ? 'no admins are listed' : `admins: ${admins.join(', ')}`;
  return `sign-in: as ${oauth.client_id}, back to ${oauth.redirect_url}; ${listed}\n`;
};

/** Asks every source that an entry names; whom the secrets are for is not asked. */
export const checkCredentials = async (
  credentials: Credentials,
  config: Listed & Pick<ServerConfig, 'oauth' | 'admins'>,
): Promise<ConfigReport> => {
  const rows = await Promise.all(usersOf(config).map((user) => checkUser(credentials, user)));
  return {
    found: `${formatRows(rows)}${describeSignIn(config)}`,
    // Entries that share a source share its warnings.
    warnings: [...new Set(rows.flatMap(({ warnings }) => warnings))],
    errors: rows.flatMap(({ errors }) => errors),
  };
};
