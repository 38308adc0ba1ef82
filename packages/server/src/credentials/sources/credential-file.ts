// A file with secrets in it, whoever put it there.
import { CredentialError } from '../credential-error.ts';
import type { ParsedCredentials } from '../credential-text.ts';
import type { SourceHost } from '../source.ts';

const unreadable = (path: string, why: string): CredentialError =>
  new CredentialError(
    'CREDENTIAL_FILE_UNREADABLE',
    `the credential file ${path} ${why}. In a systemd unit with a dynamic user pass it by services.eka-ci.credentials`,
  );

/** @throws CredentialError CREDENTIAL_FILE_UNREADABLE */
export const readCredentialFile = async (
  host: Pick<SourceHost, 'readFile'>,
  path: string,
): Promise<{ readonly text: string; readonly warnings: readonly string[] }> => {
  const read = await host.readFile(path);
  if (read.kind === 'missing') throw unreadable(path, 'does not exist');
  if (read.kind === 'unreadable') throw unreadable(path, read.message);
  const warnings = read.isPublic ? [`every user can read the credential file ${path}: chmod 0600`] : [];
  return { text: read.text, warnings };
};

/** @throws CredentialError CREDENTIAL_FILE_INVALID */
export const valuesOf = (path: string, parsed: ParsedCredentials): ReadonlyMap<string, string> => {
  if (parsed.kind === 'values') return parsed.values;
  throw new CredentialError('CREDENTIAL_FILE_INVALID', `the credential file ${path} ${parsed.reason}`);
};
