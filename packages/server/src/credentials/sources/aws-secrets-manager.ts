// `{ aws-secrets-manager = { secret_name, region? } }`: a secret of AWS Secrets Manager that is a JSON object. Asked with
// what AWS's own library finds: variables, profiles, the role of the machine.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
import { readTable } from '../answer-text.ts';
import { CredentialError } from '../credential-error.ts';
import { parseCredentialObject } from '../credential-text.ts';
import { answerOf, type LoadSource, type SourceHost } from '../source.ts';
import { explainAwsError, handlerLimits, isWithoutKeys, limitAnswers, secretsOfKeys } from './aws-sdk.ts';

type SecretSource = Parameters<LoadSource<'aws-secrets-manager'>>[0];

/** The full name of a secret has its region in it. */
const regionOf = ({ secret_name: name, region }: SecretSource, { env }: SourceHost): string => {
  const inName = /^arn:[^:]+:secretsmanager:([a-z0-9-]+):/.exec(name)?.[1];
  const found = region ?? inName ?? (env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || '');
  if (!/^[a-z0-9-]{1,60}$/.test(found)) {
    const message =
      found === ''
        ? `the secret ${name} of AWS Secrets Manager is in no region: set region, or the variable AWS_REGION`
        : `the secret ${name} of AWS Secrets Manager cannot be in the region ${JSON.stringify(found)}: write one as us-east-1`;
    throw new CredentialError('CREDENTIAL_SETTING_INVALID', message);
  }
  return found;
};

const notJson = (name: string, reason: string): CredentialError =>
  new CredentialError(
    'CREDENTIAL_ANSWER_INVALID',
    `the secret ${name} of AWS Secrets Manager ${reason}: it is to be a JSON object of names with texts`,
  );

const parseSecret = (name: string, text: string): ReadonlyMap<string, string> => {
  const table = readTable(text);
  if (table === null) throw notJson(name, 'is no JSON object');
  const parsed = parseCredentialObject(table);
  if (parsed.kind === 'invalid') throw notJson(name, parsed.reason);
  return parsed.values;
};

export const loadAwsSecretsManager: LoadSource<'aws-secrets-manager'> = async (source, host, signal) => {
  const { secret_name: name } = source;
  const region = regionOf(source, host);
  // Only who names such a source needs it.
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({ region, requestHandler: handlerLimits });
  client.middlewareStack.use(limitAnswers);
  try {
    const keys = await client.config.credentials();
    const command = new GetSecretValueCommand({ SecretId: name });
    const { SecretString: text, SecretBinary: bytes } = await client.send(command, { abortSignal: signal });
    const values = parseSecret(name, text ?? new TextDecoder().decode(bytes));
    return answerOf(values, { askedWith: secretsOfKeys(keys) });
  } catch (error) {
    signal.throwIfAborted();
    if (isWithoutKeys(error)) {
      const message = `there are no AWS keys to ask AWS Secrets Manager for ${name} with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role`;
      throw new CredentialError('CREDENTIAL_SETTING_INVALID', message);
    }
    throw explainAwsError(`AWS Secrets Manager in ${region}, asked for ${name},`, error);
  } finally {
    client.destroy();
  }
};
