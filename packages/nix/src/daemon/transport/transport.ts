// How the bytes of one connection get to a daemon and back.
import type { Readable, Writable } from 'node:stream';

export interface DaemonStream {
  /** What the daemon says. */
  readonly input: Readable;
  /** What is said to it. */
  readonly output: Writable;
  /** Ends it from our side, at once; the daemon then ends what it does for us. May be called twice. */
  close(): void;
  /** Resolves when everything of this connection on our side is gone: the streams, and a child if there is one. Never rejects. */
  readonly closed: Promise<void>;
  /** What was said beside the protocol (the last lines of a child's standard error), or ''. */
  explain(): string;
}

export interface DaemonTransport {
  /** For messages: `unix:/nix/var/nix/daemon-socket/socket`. */
  readonly name: string;
  /** @throws NixDaemonError NIX_DAEMON_UNREACHABLE; the signal's reason when that aborts */
  open(signal?: AbortSignal): Promise<DaemonStream>;
}
