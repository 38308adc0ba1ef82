// The key that a push signs with: Nix takes it from a file.
import type { StorePath } from '@eka-ci/core/ids';
import type { NixInstallation } from '@eka-ci/nix/installation';
import type { LoadedCredentials } from '../credentials/credentials.ts';
import { revealed } from './authorization.ts';
import { CacheError } from './cache.ts';
import { childEnvironment } from './child-environment.ts';
import type { PrivateFolder } from './private-folder.ts';
import { complaintFault, refused } from './push-fault.ts';
import { runNix } from './run-nix.ts';

/** `name:base64 of 64 bytes`, as `nix-store --generate-binary-cache-key` makes it. */
const isSigningKey = (text: string): boolean => {
  const key = /^[^\s:]+:(?<key>[A-Za-z0-9+/]+={0,2})$/.exec(text)?.groups?.['key'];
  return key !== undefined && Buffer.from(key, 'base64').length === 64;
};

/** @returns null where the credentials hold none. @throws CacheError for what is no key */
export const readSigningKey = (values: LoadedCredentials['values']): string | null => {
  const key = revealed(values, 'NIX_SIGNING_KEY');
  if (key === undefined) return null;
  if (isSigningKey(key)) return key;
  const why =
    'its NIX_SIGNING_KEY is no secret key of Nix: "nix-store --generate-binary-cache-key" makes one';
  throw new CacheError(refused('credentials', why));
};

/** @returns its file; null where the credentials hold none. @throws CacheError for what is no key */
export const writeSigningKey = async (
  folder: PrivateFolder,
  values: LoadedCredentials['values'],
): Promise<string | null> => {
  const key = readSigningKey(values);
  return key === null ? null : folder.write('signing-key', key);
};

export interface SignedPush {
  readonly nix: NixInstallation;
  readonly paths: readonly StorePath[];
  readonly values: LoadedCredentials['values'];
  readonly folder: PrivateFolder;
}

/**
 * For what does not sign while it copies: signs in the store of this server, all that these paths refer to as well. Without a
 * key it does nothing.
 * @throws CacheError; the signal's reason
 */
export const signInStore = async (
  { nix, paths, values, folder }: SignedPush,
  signal: AbortSignal,
): Promise<void> => {
  const keyFile = await writeSigningKey(folder, values);
  if (keyFile === null) return;
  const own = { nix, options: [], env: childEnvironment(nix, folder.path), onEvent: null };
  const command = ['store', 'sign', '--key-file', keyFile, '--recursive'];
  const complaints = await runNix(own, command, { paths, signal });
  if (complaints !== null) throw new CacheError(complaintFault(complaints, 'nix store sign'));
};
