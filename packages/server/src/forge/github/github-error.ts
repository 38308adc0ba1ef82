// What can go wrong with GitHub, in one class: what it said, which request it was, and what to do.

export type GithubErrorCode =
  /** No answer came. `isMaybeDone` says whether GitHub may have done what was asked. */
  | 'GITHUB_UNREACHABLE'
  /** GitHub failed (5xx) as often as it was tried. */
  | 'GITHUB_FAULT'
  /** The answer has not the form that GitHub documents, or is too large. */
  | 'GITHUB_ANSWER_INVALID'
  /** A limit of GitHub's is reached; `retryAtMs` says when to come back. */
  | 'GITHUB_RATE_LIMITED'
  /** GitHub does not take our credentials. */
  | 'GITHUB_UNAUTHORISED'
  /** The app may not do that: its permissions do not reach so far. */
  | 'GITHUB_FORBIDDEN'
  /** There is no such thing, or the app may not see it. */
  | 'GITHUB_NOT_FOUND'
  /** Something else changed it meanwhile. */
  | 'GITHUB_CONFLICT'
  /** GitHub does not take what was asked (another 4xx). */
  | 'GITHUB_REFUSED'
  /** GitHub sends us to another host, where a token does not belong. */
  | 'GITHUB_REDIRECTED'
  /** A name cannot stand in an address. */
  | 'GITHUB_NAME_INVALID'
  /** The credentials of an app give no id, or no RSA private key of 2048 bits or more. */
  | 'GITHUB_APP_KEY_INVALID'
  /** The account suspended the app's installation. */
  | 'GITHUB_INSTALLATION_SUSPENDED'
  /** The app's installation was removed. */
  | 'GITHUB_INSTALLATION_GONE';

export interface GithubErrorFacts {
  /** Of the answer, where one came. */
  readonly status?: number;
  /** GitHub's own name of the request, for its support. */
  readonly requestId?: string;
  /** Milliseconds since 1970. */
  readonly retryAtMs?: number;
  /** The request may have been carried out. @default false */
  readonly isMaybeDone?: boolean;
  readonly cause?: unknown;
}

const passing: readonly GithubErrorCode[] = [
  'GITHUB_UNREACHABLE',
  'GITHUB_FAULT',
  'GITHUB_RATE_LIMITED',
  // A proxy's page in place of an answer.
  'GITHUB_ANSWER_INVALID',
  'GITHUB_CONFLICT',
];

/** Thrown by whatever asks GitHub. Holds no credential, whatever GitHub answered. */
export class GithubError extends Error {
  readonly code: GithubErrorCode;
  readonly status: number | null;
  readonly requestId: string | null;
  readonly retryAtMs: number | null;
  readonly isMaybeDone: boolean;
  /** The same may go well later, without anybody's doing. */
  readonly mayPass: boolean;
  constructor(code: GithubErrorCode, message: string, facts: GithubErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'GithubError';
    this.code = code;
    this.status = facts.status ?? null;
    this.requestId = facts.requestId ?? null;
    this.retryAtMs = facts.retryAtMs ?? null;
    this.isMaybeDone = facts.isMaybeDone ?? false;
    this.mayPass = passing.includes(code);
  }
}

/** Whether it is an error of one of these codes. */
export const isGithubError = (error: unknown, ...codes: readonly GithubErrorCode[]): error is GithubError =>
  error instanceof GithubError && codes.includes(error.code);

/** What was found, or null where GitHub says that there is none. */
export const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
  try {
    return await asked;
  } catch (error) {
    if (isGithubError(error, 'GITHUB_NOT_FOUND')) return null;
    throw error;
  }
};
