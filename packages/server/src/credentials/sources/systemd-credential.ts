// `{ systemd-credential = { name } }`: a file that systemd puts there for this process alone.
// https://systemd.io/CREDENTIALS/
import { join } from 'node:path';
import { CredentialError } from '../credential-error.ts';
import { parseCredentialText } from '../credential-text.ts';
import { answerOf, type LoadSource } from '../source.ts';
import { readCredentialFile, valuesOf } from './credential-file.ts';

export const loadSystemdCredential: LoadSource<'systemd-credential'> = async ({ name }, host) => {
  const directory = host.env['CREDENTIALS_DIRECTORY'] ?? '';
  if (directory === '') {
    const message = `systemd passes no credentials, ${name} among them: name it in LoadCredential= of the unit`;
    throw new CredentialError('CREDENTIAL_DIRECTORY_UNSET', message);
  }
  const path = join(directory, name);
  const { text, warnings } = await readCredentialFile(host, path);
  const parsed = parseCredentialText(text);
  // A bare token can look like the name of an empty value: `dG9rZW4=`, `dG9rZQ==`.
  const isTable =
    parsed.kind === 'values' && [...parsed.values.values()].every((value) => /[^=]/.test(value));
  if (isTable) return answerOf(parsed.values, { warnings });
  if (text.trim() === '' || text.trimStart().startsWith('{')) {
    return answerOf(valuesOf(path, parsed), { warnings });
  }
  return answerOf([[name, text.trim()]], { warnings });
};
