// What a cache's answer, or what a program says of it, comes to.
import { CredentialError } from '../credentials/credential-error.ts';
import { CacheError, type PushFault, type PushRefusal } from './cache.ts';

export const passing = (why: string, retryAfterMs: number | null = null): PushFault => ({
  kind: 'passing',
  why,
  retryAfterMs,
});

export const refused = (code: PushRefusal, why: string): PushFault => ({ kind: 'refused', code, why });

export interface HttpRefusal {
  readonly status: number;
  /** What was asked, for people: `PUT nix-cache-info`. */
  readonly asked: string;
  /** S3 says what it means by a word in its body, such as `ExpiredToken`; '' for those that do not. */
  readonly s3Code?: string;
  readonly retryAfterMs?: number | null;
}

/** These are answered with status 403 or 400, and mean the credentials (S3's error responses, and MinIO's). */
const credentialCodes: ReadonlySet<string> = new Set([
  'AccessDenied',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'InvalidTokenId',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  'AuthorizationHeaderMalformed',
]);

/** Of an HTTP status that is no success. */
export const httpFault = ({ status, asked, s3Code = '', retryAfterMs = null }: HttpRefusal): PushFault => {
  const answer = `it answered ${asked} with status ${status}${s3Code === '' ? '' : ` (${s3Code})`}`;
  if (status === 401 || credentialCodes.has(s3Code)) {
    return refused('unauthorized', `${answer}: its credentials are not accepted, or may not do that`);
  }
  if (s3Code === 'NoSuchBucket') return refused('destination', `${answer}: there is no such bucket`);
  if (s3Code === 'RequestTimeTooSkewed') return passing(`${answer}: are the clocks of this machine right?`);
  if (status === 507 || s3Code === 'QuotaExceeded') return passing(`${answer}: it is full`, retryAfterMs);
  if (status === 403 || status === 405 || status === 501) {
    return refused('read-only', `${answer}: it does not let this server write`);
  }
  if (status === 413) return refused('read-only', `${answer}: it does not take files of that size`);
  if (status >= 300 && status < 400) {
    return refused('destination', `${answer}, which leads elsewhere: name that place as destination`);
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return passing(answer, retryAfterMs);
  return passing(`${answer}, which is not expected of a cache`, retryAfterMs);
};

/** Of `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). At most a day. */
export const parseRetryAfter = (text: string | undefined, nowMs: number): number | null => {
  if (text === undefined) return null;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), 24 * 60 * 60_000);
};

/** By what programs say; the first that is found counts. None of these is asked for where a status says more. */
const complaints: readonly (readonly [RegExp, (said: string) => PushFault])[] = [
  [
    /don't know how to open Nix store|unrecognised flag|is not a recognised command|experimental Nix feature/i,
    (said) => refused('unsupported', `the Nix of this server cannot do that: ${said}`),
  ],
  [
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    () =>
      refused(
        'unauthorized',
        'the key of its host is not known, or is another one: give it as SSH_KNOWN_HOSTS beside SSH_PRIVATE_KEY, or in /etc/ssh/ssh_known_hosts',
      ),
  ],
  [
    /Permission denied \((?:publickey|password|keyboard|gssapi)|Load key .*(?:error in libcrypto|invalid format)/i,
    () => refused('unauthorized', 'ssh may not log in there with this key'),
  ],
  [
    /lacks a (?:valid )?signature|not privileged|not trusted/i,
    (said) =>
      refused(
        'unauthorized',
        `the Nix there does not take what no key has signed that it trusts, from a user that it does not trust: ${said}`,
      ),
  ],
  [
    /\b401\b|unauthori[sz]ed|don't have access|access denied|need a token|invalid token/i,
    (said) => refused('unauthorized', said),
  ],
  [/NoSuchCache|Binary cache \S+ does not exist/, (said) => refused('destination', said)],
  [
    /No space left on device|disk quota exceeded|insufficient storage|\b507\b/i,
    (said) => passing(`it is full: ${said}`),
  ],
  [
    /Read-only file system|Permission denied|Operation not permitted|\b403\b|\b405\b/i,
    (said) => refused('read-only', said),
  ],
  [/\bpath '[^']+' is not valid/i, (said) => refused('no-such-path', said)],
];

/** @param said what a program wrote before it failed; its end counts most */
export const complaintFault = (said: readonly string[], program: string): PushFault => {
  const text = said.join('\n').trim().slice(-2000);
  const last = text.split('\n').slice(-4).join(' / ').slice(-500);
  for (const [pattern, fault] of complaints) {
    if (pattern.test(text)) return fault(last);
  }
  return passing(`${program} failed: ${last === '' ? 'it did not say why' : last}`);
};

/** What was thrown on the way, as an outcome; what is neither of a cache nor of its credentials goes on. */
export const faultOf = (error: unknown): PushFault => {
  if (error instanceof CacheError) return error.outcome;
  if (error instanceof CredentialError) {
    return error.isPassing ? passing(error.message) : refused('credentials', error.message);
  }
  throw error;
};
