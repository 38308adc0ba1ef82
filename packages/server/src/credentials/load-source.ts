// Which source is asked.
import type { CredentialSource } from '../config/credential-source.ts';
import type { SourceAnswer, SourceHost } from './source.ts';
import { loadAwsProfile } from './sources/aws-profile.ts';
import { loadAwsSecretsManager } from './sources/aws-secrets-manager.ts';
import { loadCachixToken } from './sources/cachix-token.ts';
import { loadEnv } from './sources/env.ts';
import { loadFile } from './sources/file.ts';
import { loadGithubAppKeyFile } from './sources/github-app-key-file.ts';
import { loadInstanceMetadata } from './sources/instance-metadata.ts';
import { loadNone } from './sources/none.ts';
import { loadSystemdCredential } from './sources/systemd-credential.ts';
import { loadVault } from './sources/vault.ts';

/** @throws CredentialError */
export const loadSource = (
  source: CredentialSource,
  host: SourceHost,
  signal: AbortSignal,
): Promise<SourceAnswer> => {
  switch (source.kind) {
    case 'env':
      return loadEnv(source, host, signal);
    case 'file':
      return loadFile(source, host, signal);
    case 'systemd-credential':
      return loadSystemdCredential(source, host, signal);
    case 'cachix-token':
      return loadCachixToken(source, host, signal);
    case 'github-app-key-file':
      return loadGithubAppKeyFile(source, host, signal);
    case 'none':
      return loadNone(source, host, signal);
    case 'aws-profile':
      return loadAwsProfile(source, host, signal);
    case 'vault':
      return loadVault(source, host, signal);
    case 'aws-secrets-manager':
      return loadAwsSecretsManager(source, host, signal);
    case 'instance-metadata':
      return loadInstanceMetadata(source, host, signal);
  }
};
