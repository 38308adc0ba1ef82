// Why a running server could not be asked, or what it refused.

type ClientErrorCode =
  /** Nobody listens at any of the sockets. */
  | 'SERVER_NOT_RUNNING'
  /** The address given with `--server` cannot be reached. */
  | 'SERVER_UNREACHABLE'
  /** It took longer than a client waits. */
  | 'SERVER_TOO_SLOW'
  /** Whatever answers there does not speak as an EkaCI server of this version does. */
  | 'ANSWER_NOT_UNDERSTOOD'
  /** The answer is larger than a client keeps. */
  | 'ANSWER_TOO_LARGE'
  /** The connection broke before the answer was whole. */
  | 'ANSWER_CUT_SHORT'
  /** A live connection ended: the server did, or the way to it. */
  | 'LIVE_CONNECTION_LOST'
  /** What should hold the token for a server holds none, or there is no server to show it. */
  | 'TOKEN_INVALID'
  /** A token would go over plain http to another machine, where others could read it. */
  | 'TOKEN_IN_THE_CLEAR'
  /** The server said no; the message begins with its own code. */
  | 'SERVER_REFUSED';

/** Thrown when a running server gives no answer to show. */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ClientError';
    this.code = code;
  }
}
