// Why a credential source gave nothing.

export type CredentialErrorCode =
  /** A variable that the source names is not set. */
  | 'CREDENTIAL_VARIABLE_UNSET'
  /** The file is not there, or cannot be read. */
  | 'CREDENTIAL_FILE_UNREADABLE'
  /** The file is empty, or of no form that is known. */
  | 'CREDENTIAL_FILE_INVALID'
  /** systemd passes no credentials to this process. */
  | 'CREDENTIAL_DIRECTORY_UNSET'
  /** The source did not answer in time. */
  | 'CREDENTIAL_TIMEOUT'
  /** The source was not reached, or broke off. */
  | 'CREDENTIAL_UNREACHABLE'
  /** The source was reached, and its certificate is not trusted here. */
  | 'CREDENTIAL_TLS'
  /** The source knows who asks, and does not let them. */
  | 'CREDENTIAL_FORBIDDEN'
  /** The source has no secret, profile or role of that name. */
  | 'CREDENTIAL_NOT_FOUND'
  /** The source is up, and cannot serve now: sealed, overloaded, being maintained. */
  | 'CREDENTIAL_UNAVAILABLE'
  /** What the source answered is too large, too deep, or no set of named texts. */
  | 'CREDENTIAL_ANSWER_INVALID'
  /** The source leads to an address that is not asked with a secret in hand. */
  | 'CREDENTIAL_REDIRECT_REFUSED'
  /** What the source needs to be asked is missing or malformed: a region, an address. */
  | 'CREDENTIAL_SETTING_INVALID'
  /** What the source gave holds no longer. */
  | 'CREDENTIAL_EXPIRED'
  /** It gives secrets, and not those that its user needs. */
  | 'CREDENTIAL_UNFIT';

const passing: ReadonlySet<CredentialErrorCode> = new Set([
  'CREDENTIAL_TIMEOUT',
  'CREDENTIAL_UNREACHABLE',
  'CREDENTIAL_UNAVAILABLE',
  'CREDENTIAL_EXPIRED',
]);

/** Thrown when a credential source gives nothing; shows names, never a value. */
export class CredentialError extends Error {
  readonly code: CredentialErrorCode;
  /** Whether it may be gone by itself a little later; otherwise somebody has to act. */
  readonly isPassing: boolean;
  /** The same, and when, as faults of a forge say it: who asks a forge meets both. */
  readonly mayPass: boolean;
  readonly retryAtMs: null;
  constructor(code: CredentialErrorCode, message: string) {
    super(message);
    this.name = 'CredentialError';
    this.code = code;
    this.isPassing = passing.has(code);
    this.mayPass = this.isPassing;
    this.retryAtMs = null;
  }
}
