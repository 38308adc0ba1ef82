// What goes wrong between us and a Nix daemon, by code.

export type NixDaemonErrorCode =
  /** Nobody answers there, or whoever does ends the conversation before it has begun. */
  | 'NIX_DAEMON_UNREACHABLE'
  /** The daemon is older than Nix 2.8. */
  | 'NIX_DAEMON_TOO_OLD'
  /** What it sent is not the protocol that was agreed on. */
  | 'NIX_DAEMON_PROTOCOL'
  /** The daemon understood and said no; the message is Nix's own. */
  | 'NIX_DAEMON_REFUSED'
  /** The connection ended in the middle of an operation, or was used after its end. */
  | 'NIX_DAEMON_CLOSED'
  /** It sent more than is taken from it. */
  | 'NIX_DAEMON_LIMIT'
  /** No answer in the time that the caller gave it. */
  | 'NIX_DAEMON_TIMEOUT'
  /** A second operation on a connection that does one at a time: a bug of the caller. */
  | 'NIX_DAEMON_BUSY'
  /** What was asked for cannot be said in the protocol: a bug of the caller, or a name that nobody checked. */
  | 'NIX_DAEMON_BAD_REQUEST';

/** An error as the daemon sends it. Its texts may quote what a builder printed. */
export interface DaemonRefusal {
  /** 0 for an error; the numbers of Nix's verbosity. */
  readonly level: number;
  /** ANSI colours taken out. */
  readonly message: string;
  /** What Nix was doing, innermost first. */
  readonly traces: readonly string[];
}

export interface NixDaemonErrorDetails {
  readonly cause?: unknown;
  readonly refusal?: DaemonRefusal;
}

/** Thrown by everything that speaks with a Nix daemon. Whether the connection can still be used, it says itself. */
export class NixDaemonError extends Error {
  readonly code: NixDaemonErrorCode;
  /** Only with NIX_DAEMON_REFUSED. */
  readonly refusal: DaemonRefusal | null;
  constructor(code: NixDaemonErrorCode, message: string, details: NixDaemonErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = 'NixDaemonError';
    this.code = code;
    this.refusal = details.refusal ?? null;
  }
}

export const protocolError = (what: string): NixDaemonError =>
  new NixDaemonError(
    'NIX_DAEMON_PROTOCOL',
    `the Nix daemon does not speak its protocol: ${what}. Is it a Nix daemon of version 2.8 or newer, and nothing ` +
      'in between that prints into the conversation (a shell profile of the remote user)?',
  );

/** What Nix quotes may be megabytes; an error's message ends up in logs and on screens. */
const maxMessageLength = 16_384;

export const refusedError = (refusal: DaemonRefusal): NixDaemonError => {
  const message = refusal.message.replace(/^error: /, '').slice(0, maxMessageLength);
  return new NixDaemonError('NIX_DAEMON_REFUSED', message, { refusal });
};

export const limitError = (what: string, bound: number): NixDaemonError =>
  new NixDaemonError(
    'NIX_DAEMON_LIMIT',
    `the Nix daemon sent ${what}: more than the ${bound} that are taken`,
  );

export const closedError = (cause?: unknown): NixDaemonError =>
  new NixDaemonError('NIX_DAEMON_CLOSED', 'the Nix daemon closed the connection before it had answered', {
    cause,
  });
