// `{ aws-profile = { profile } }`: keys of a profile of AWS's configuration files, as AWS's own library finds them: plain
// ones, those of a role that it assumes, of an SSO session, of a program.
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
import { join } from 'node:path';
import { CredentialError } from '../credential-error.ts';
import { answerOf, type LoadSource, type SourceHost } from '../source.ts';
import {
  type AwsKeys,
  explainAwsError,
  handlerLimits,
  isWithoutKeys,
  limitAnswers,
  valuesOfKeys,
} from './aws-sdk.ts';

interface ProfileFiles {
  readonly filepath: string;
  readonly configFilepath: string;
}

const findFiles = ({ env }: SourceHost): ProfileFiles => {
  const ofUser = (name: string): string => join(env['HOME'] || '/', '.aws', name);
  return {
    filepath: env['AWS_SHARED_CREDENTIALS_FILE'] || ofUser('credentials'),
    configFilepath: env['AWS_CONFIG_FILE'] || ofUser('config'),
  };
};

/** Section headings are `[name]`, in the configuration file `[profile name]`. */
const namesProfile = (text: string, profile: string): boolean =>
  Array.from(text.matchAll(/^\s*\[\s*(?:profile\s+)?([^\]\n]+?)\s*\]/gm), ([, name = '']) =>
    name.replace(/^(["'])(.*)\1$/, '$2'),
  ).includes(profile);

/** @returns warnings @throws CredentialError where no file has the profile: the library would not say why */
const checkFiles = async (host: SourceHost, profile: string, files: ProfileFiles): Promise<string[]> => {
  const paths = [files.filepath, files.configFilepath];
  const reads = await Promise.all(paths.map((path) => host.readFile(path)));
  const unreadable = reads.findIndex(({ kind }) => kind === 'unreadable');
  const faulty = reads[unreadable];
  if (faulty?.kind === 'unreadable') {
    const message = `${paths[unreadable]}, which could have the AWS profile ${profile}, ${faulty.message}`;
    throw new CredentialError('CREDENTIAL_FILE_UNREADABLE', message);
  }
  const isThere = reads.some((read) => read.kind === 'read' && namesProfile(read.text, profile));
  if (!isThere) {
    const message = `there is no AWS profile ${profile} in ${paths.join(' or ')}: write one, or name its files in AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE`;
    throw new CredentialError('CREDENTIAL_NOT_FOUND', message);
  }
  const [keys] = reads;
  return keys?.kind === 'read' && keys.isPublic
    ? [`every user can read the credential file ${files.filepath}: chmod 0600`]
    : [];
};

const resolveProfile = async (profile: string, files: ProfileFiles): Promise<AwsKeys> => {
  // Only who names such a source needs it.
  const { fromIni } = await import('@aws-sdk/credential-providers');
  const provide = fromIni({
    ...files,
    profile,
    // Keys are exchanged while the server runs.
    ignoreCache: true,
    clientConfig: { requestHandler: handlerLimits },
    clientPlugins: [limitAnswers],
  });
  return await provide();
};

export const loadAwsProfile: LoadSource<'aws-profile'> = async ({ profile }, host) => {
  const files = findFiles(host);
  const warnings = await checkFiles(host, profile, files);
  try {
    const keys = await resolveProfile(profile, files);
    const leaseMs = keys.expiration === undefined ? null : keys.expiration.getTime() - Date.now();
    if (leaseMs !== null && leaseMs <= 0) {
      const message = `the AWS profile ${profile} gives keys that have ended: get new ones, as by aws sso login`;
      throw new CredentialError('CREDENTIAL_EXPIRED', message);
    }
    return answerOf(valuesOfKeys(keys), { warnings, leaseMs });
  } catch (error) {
    if (isWithoutKeys(error)) {
      const message = `the AWS profile ${profile} gives no keys: it needs aws_access_key_id and aws_secret_access_key, or a role, an SSO session that is signed in (aws sso login --profile ${profile}) or a credential_process that works`;
      throw new CredentialError('CREDENTIAL_NOT_FOUND', message);
    }
    throw explainAwsError(`AWS, asked for the profile ${profile},`, error);
  }
};
