// Why the server cannot listen. Every message names the configuration key that mends it.

export type ListenErrorCode =
  /** Another process has the port of `web.port`. */
  | 'LISTEN_PORT_IN_USE'
  /** A port below 1024, and no right to it. */
  | 'LISTEN_PORT_FORBIDDEN'
  /** `web.address` is no address of this machine. */
  | 'LISTEN_ADDRESS_UNAVAILABLE'
  /** `unix.socket_path` is longer than the kernel takes. */
  | 'LISTEN_SOCKET_PATH_TOO_LONG'
  /** Something that is no socket lies at `unix.socket_path`. */
  | 'LISTEN_SOCKET_TAKEN'
  /** A server answers at `unix.socket_path`. */
  | 'LISTEN_SOCKET_LIVE'
  /** The folder of `unix.socket_path` cannot be made, or others may write to it. */
  | 'LISTEN_SOCKET_FOLDER'
  /** There is no group `unix.socket_group`, or the server's user is not in it. */
  | 'LISTEN_SOCKET_GROUP'
  | 'LISTEN_FAILED';

/** Thrown when an address cannot be opened; nothing is left open then. */
export class ListenError extends Error {
  readonly code: ListenErrorCode;
  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ListenError';
    this.code = code;
  }
}
