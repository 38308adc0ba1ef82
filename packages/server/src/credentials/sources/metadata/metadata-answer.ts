// One question to a metadata service, and what came of it.
import { classifyAddress } from '../../../lib/address-class.ts';
import { type AnswerTable, countAt, readTable, textAt } from '../../answer-text.ts';
import { type Answer, ask } from '../../ask.ts';
import { CredentialError, type CredentialErrorCode } from '../../credential-error.ts';
import { answerOf, type SourceAnswer } from '../../source.ts';

/** What one cloud's service said. */
export type Told =
  | { readonly kind: 'gives'; readonly answer: SourceAnswer }
  /** It is there, and gives nothing. */
  | { readonly kind: 'refuses'; readonly error: CredentialError }
  /** This machine is none of that cloud, as far as can be seen. */
  | { readonly kind: 'absent' };

export const absent: Told = { kind: 'absent' };

export const refuses = (code: CredentialErrorCode, message: string): Told => ({
  kind: 'refuses',
  error: new CredentialError(code, message),
});

const maxBytes = 64 * 1024;

/** Such a service is inside: what answers from the public network is none. */
const isInside = (address: string): boolean => classifyAddress(address) !== 'public';

export interface MetadataQuestion {
  readonly url: string;
  readonly method?: 'GET' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  /** Also where it is asked for over the public network. */
  readonly isAnywhere?: boolean;
}

/** @throws the signal's reason */
export const askMetadata = (
  { url, method = 'GET', headers = {}, isAnywhere = false }: MetadataQuestion,
  signal: AbortSignal,
): Promise<Answer> =>
  ask({ url: new URL(url), method, headers, maxBytes, allows: isAnywhere ? () => true : isInside }, signal);

/** Null unless it is a 200 with a JSON object. */
export const tableOf = (answer: Answer): AnswerTable | null =>
  answer.kind === 'answered' && answer.status === 200 ? readTable(answer.text) : null;

export const isOfGoogle = (answer: Answer): boolean =>
  answer.kind === 'answered' && answer.headers['metadata-flavor'] === 'Google';

/** An access token of OAuth (RFC 6749, 5.1) under the name of a variable. */
export const tokenTold = (table: AnswerTable | null, name: string, who: string): Told => {
  const token = table === null ? '' : textAt(table, 'access_token');
  if (table === null || token === '') {
    return refuses(
      'CREDENTIAL_ANSWER_INVALID',
      `the metadata service of ${who} answers without a token: ask it by hand`,
    );
  }
  const seconds = countAt(table, 'expires_in');
  return {
    kind: 'gives',
    answer: answerOf([[name, token]], { leaseMs: seconds === null ? null : seconds * 1000 }),
  };
};

/** Keys as EC2 and ECS tell them. */
export const keysTold = (table: AnswerTable | null, who: string): Told => {
  const [id, secret, session] = ['AccessKeyId', 'SecretAccessKey', 'Token'].map((key) =>
    table === null ? '' : textAt(table, key),
  );
  const endsAtMs = table === null ? Number.NaN : Date.parse(textAt(table, 'Expiration'));
  if (!id || !secret || !session || Number.isNaN(endsAtMs)) {
    return refuses(
      'CREDENTIAL_ANSWER_INVALID',
      `the metadata service of ${who} answers without keys: ask it by hand`,
    );
  }
  const leaseMs = endsAtMs - Date.now();
  if (leaseMs <= 0) {
    return refuses(
      'CREDENTIAL_UNAVAILABLE',
      `the metadata service of ${who} gives keys that have ended: look at the clock; it is asked again`,
    );
  }
  const values = [
    ['AWS_ACCESS_KEY_ID', id],
    ['AWS_SECRET_ACCESS_KEY', secret],
    ['AWS_SESSION_TOKEN', session],
  ] as const;
  return { kind: 'gives', answer: answerOf(values, { leaseMs }) };
};
