// What the sources of AWS share: bounds on what AWS's own libraries do, and what their errors mean here.
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { Secret } from '../../config/secret.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import { isTlsFault } from '../ask.ts';
import { CredentialError, type CredentialErrorCode } from '../credential-error.ts';

/** Keys as the libraries give them. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export const secretsOfKeys = ({ secretAccessKey, sessionToken }: AwsKeys): Secret[] =>
  [secretAccessKey, sessionToken ?? ''].filter((text) => text !== '').map((text) => new Secret(text));

/** The variables that carry them. */
export const valuesOfKeys = ({ accessKeyId, secretAccessKey, sessionToken = '' }: AwsKeys) =>
  [
    ['AWS_ACCESS_KEY_ID', accessKeyId],
    ['AWS_SECRET_ACCESS_KEY', secretAccessKey],
    ...(sessionToken === '' ? [] : [['AWS_SESSION_TOKEN', sessionToken] as const]),
  ] as const;

/** Connections that hang end by themselves, also where nobody waits for them any more. */
export const handlerLimits = { connectionTimeout: 4000, requestTimeout: 8000, throwOnRequestTimeout: true };

const maxAnswerBytes = 1024 * 1024;

class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
}

async function* limited(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new AnswerTooLarge('the answer has no end');
    yield chunk;
  }
}

const isIterable = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;

/** A plugin of a client of AWS: no answer is kept that is larger than 1 MiB. */
export const limitAnswers = {
  applyToStack(stack: Pick<SecretsManagerClient['middlewareStack'], 'add'>): void {
    stack.add(
      (next) => async (args) => {
        const { Readable } = await import('node:stream');
        const result = await next(args);
        const { response } = result;
        if (
          typeof response === 'object' &&
          response !== null &&
          'body' in response &&
          isIterable(response.body)
        ) {
          response.body = Readable.from(limited(response.body), { objectMode: false });
        }
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'limitAnswers' },
    );
  },
};

type Meaning = readonly [code: CredentialErrorCode, words: string];

/** By the names of errors; each is a part of a sentence after who was asked. */
const meanings: Readonly<Record<string, Meaning>> = {
  ...Object.fromEntries(
    ['AccessDenied', 'AccessDeniedException', 'UnauthorizedException', 'ForbiddenException'].map((name) => [
      name,
      ['CREDENTIAL_FORBIDDEN', 'does not let these AWS keys do that: give their policy that right'] as const,
    ]),
  ),
  ...Object.fromEntries(
    [
      'UnrecognizedClientException',
      'InvalidClientTokenId',
      'InvalidSignatureException',
      'SignatureDoesNotMatch',
      'IncompleteSignature',
      'IncompleteSignatureException',
      'MissingAuthenticationTokenException',
    ].map((name) => [
      name,
      [
        'CREDENTIAL_FORBIDDEN',
        'does not know the AWS keys that it is asked with: mend them, and look at the clock',
      ] as const,
    ]),
  ),
  ...Object.fromEntries(
    ['ExpiredToken', 'ExpiredTokenException', 'RequestExpired'].map((name) => [
      name,
      [
        'CREDENTIAL_EXPIRED',
        'finds that the AWS keys that it is asked with have ended: get new ones',
      ] as const,
    ]),
  ),
  ...Object.fromEntries(
    [
      'ThrottlingException',
      'Throttling',
      'TooManyRequestsException',
      'ServiceUnavailable',
      'InternalServiceError',
    ].map((name) => [name, ['CREDENTIAL_UNAVAILABLE', 'cannot answer now: it is asked again'] as const]),
  ),
  ResourceNotFoundException: [
    'CREDENTIAL_NOT_FOUND',
    'has no such secret: look at its name and at the region',
  ],
  InvalidRequestException: [
    'CREDENTIAL_NOT_FOUND',
    'is deleting that secret, or it has no value yet: restore it, or write one',
  ],
  DecryptionFailure: [
    'CREDENTIAL_FORBIDDEN',
    'cannot decrypt that secret: let these AWS keys use its KMS key',
  ],
  TimeoutError: ['CREDENTIAL_TIMEOUT', 'does not answer: can this machine reach it?'],
  AnswerTooLarge: ['CREDENTIAL_ANSWER_INVALID', 'answers with more than 1 MiB: is that its address?'],
  SyntaxError: ['CREDENTIAL_ANSWER_INVALID', 'answers with something that is no JSON: is that its address?'],
};

const statusOf = (error: unknown): number => {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : null;
  const isTable = typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata;
  return isTable && typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : 0;
};

const meaningOf = (error: unknown): Meaning => {
  const name = error instanceof Error ? error.name : '';
  const code = errorCodeOf(error);
  const status = statusOf(error);
  const known = Object.hasOwn(meanings, name) ? meanings[name] : undefined;
  if (known !== undefined) return known;
  if (isTlsFault(code)) {
    return [
      'CREDENTIAL_TLS',
      `shows a certificate that is not trusted here (${code}): name its authority in NODE_EXTRA_CA_CERTS`,
    ];
  }
  if (/^E[A-Z_]{3,20}$/.test(code)) {
    return ['CREDENTIAL_UNREACHABLE', `was not reached (${code}): is it up, and can this machine reach it?`];
  }
  if (status >= 500 || status === 429)
    return ['CREDENTIAL_UNAVAILABLE', `fails with ${status}: it is asked again`];
  if (status === 401 || status === 403)
    return ['CREDENTIAL_FORBIDDEN', `refuses (${status}): look at the policy of these AWS keys`];
  const shown = /^[A-Za-z]{1,60}$/.test(name) ? name : 'an error without a name';
  return ['CREDENTIAL_ANSWER_INVALID', `answers with ${shown}: look at what is configured`];
};

/** What AWS and its libraries say themselves is not told on: it may quote what was asked with. */
export const explainAwsError = (who: string, error: unknown): CredentialError => {
  if (error instanceof CredentialError) return error;
  const [code, words] = meaningOf(error);
  return new CredentialError(code, `${who} ${words}`);
};

/** Whether the libraries found no keys to ask with. */
export const isWithoutKeys = (error: unknown): boolean =>
  error instanceof Error &&
  ['CredentialsProviderError', 'TokenProviderError', 'ProviderError'].includes(error.name);
