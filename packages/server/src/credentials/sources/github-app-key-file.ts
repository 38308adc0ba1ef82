// `{ github-app-key-file = { app_id_env, key_file } }`: who an app is, and the key that proves it.
import { createPrivateKey } from 'node:crypto';
import { CredentialError } from '../credential-error.ts';
import { answerOf, type LoadSource, readVariable } from '../source.ts';
import { readCredentialFile } from './credential-file.ts';

const isPrivateKey = (pem: string): boolean => {
  try {
    createPrivateKey(pem);
    return true;
  } catch {
    return false; // What the parser says is of no help.
  }
};

export const loadGithubAppKeyFile: LoadSource<'github-app-key-file'> = async (
  { app_id_env: variable, key_file: path },
  host,
) => {
  const { text, warnings } = await readCredentialFile(host, path);
  const id = readVariable(host, variable);
  if (!isPrivateKey(text)) {
    const message = `the credential file ${path} is no private key in PEM: download one from the settings of the GitHub App`;
    throw new CredentialError('CREDENTIAL_FILE_INVALID', message);
  }
  const values = [
    ['GITHUB_APP_ID', id],
    ['GITHUB_APP_PRIVATE_KEY', text.trim()],
  ] as const;
  return answerOf(values, { warnings });
};
