// One connection to a Nix daemon: greeted once, then one operation after the other.
//
// A second operation while one runs is an error and not queued: a build may take hours, and whoever waits for several
// things takes several connections (daemon-pool.ts). An operation that did not come to its end leaves a conversation that
// nobody can take up again, so it closes the connection; the daemon then ends what it did for it, builders included.
import { setTimeout } from 'node:timers/promises';
import { readBytesOf } from './byte-source.ts';
import { type CallOptions, watchCall } from './call-watch.ts';
import {
  closedError,
  type DaemonRefusal,
  limitError,
  NixDaemonError,
  protocolError,
  refusedError,
} from './daemon-error.ts';
import { type DaemonEvent, DaemonLog } from './daemon-log.ts';
import { FrameWriter } from './frame-writer.ts';
import { type DaemonGreeting, greetDaemon } from './handshake.ts';
import { readStderrMessage } from './stderr-messages.ts';
import type { DaemonStream, DaemonTransport } from './transport/transport.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

export interface DaemonLimits {
  /** Bytes of one string; lines of logs and messages are cut to it. @default 8 MiB */
  readonly maxStringBytes?: number;
  /** Entries of one list. @default 1,000,000 */
  readonly maxListLength?: number;
  /** Bytes of one message or answer; paths that are passed on as they come do not count. @default 256 MiB */
  readonly maxAnswerBytes?: number;
}

export interface ConnectOptions {
  /** The directory in every store path's name, without a slash at its end. The daemon does not tell. */
  readonly storeDir: string;
  /** Until the greeting is over. @default 30000 */
  readonly connectTimeoutMs?: number;
  readonly limits?: DaemonLimits;
  /** Ends the attempt; no longer heeded once connected. */
  readonly signal?: AbortSignal;
}

/** One operation: a number, what follows it, and what comes back. */
export interface DaemonCall<Answer> {
  readonly operation: number;
  readonly write: (writer: WireWriter) => void;
  /** Where given: sends what goes along in frames while the daemon works. */
  readonly send?: (frames: FrameWriter) => Promise<void>;
  /** What comes after the daemon's messages. */
  readonly read: (reader: WireReader, options: CallOptions) => Promise<Answer>;
}

type Outcome<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'refused'; readonly refusal: DaemonRefusal };

const MiB = 1024 * 1024;

/** What `connectDaemon` has made ready. */
interface Established {
  readonly stream: DaemonStream;
  readonly reader: WireReader;
  readonly maxAnswerBytes: number;
  readonly storeDir: string;
  readonly name: string;
}

export class DaemonConnection {
  readonly daemon: DaemonGreeting;
  readonly storeDir: string;
  /** The transport's. */
  readonly name: string;
  readonly #stream: DaemonStream;
  readonly #reader: WireReader;
  readonly #maxAnswerBytes: number;
  readonly #log: DaemonLog;
  #isOpen = true;
  #isBusy = false;
  /** The conversation stands where an operation may begin. */
  #isBetweenCalls = true;

  /** @see connectDaemon */
  constructor(established: Established, daemon: DaemonGreeting) {
    this.daemon = daemon;
    this.storeDir = established.storeDir;
    this.name = established.name;
    this.#stream = established.stream;
    this.#reader = established.reader;
    this.#maxAnswerBytes = established.maxAnswerBytes;
    this.#log = new DaemonLog(established.storeDir);
    established.stream.input.once('close', () => {
      this.#isOpen = false;
    });
  }

  /** False once it was closed by either side, as far as it shows. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Ends it at once, and an operation that runs with it. Resolves when nothing of it is left on our side. */
  async close(): Promise<void> {
    this.#isOpen = false;
    this.#stream.close();
    await this.#stream.closed;
  }

  /**
   * @throws NixDaemonError; the signal's reason when that aborts. Only where the daemon has said no in its turn, or nothing was
   * sent yet, is the connection open afterwards
   */
  async call<Answer>(call: DaemonCall<Answer>, options: CallOptions = {}): Promise<Answer> {
    options.signal?.throwIfAborted();
    if (this.#isBusy) {
      throw new NixDaemonError(
        'NIX_DAEMON_BUSY',
        'this connection to the Nix daemon is in use: a bug in EkaCI, since each operation at a time needs its own',
      );
    }
    if (!this.#isOpen) throw closedError();
    this.#isBusy = true;
    const watch = watchCall(options);
    try {
      const work = this.#perform(call, watch.limits);
      // When the race is lost its end is of no interest: the stream it reads is closed.
      work.catch(() => {});
      const outcome = await Promise.race([work, watch.stopped]);
      if (outcome.kind === 'answered') return outcome.answer;
      throw refusedError(outcome.refusal);
    } catch (error) {
      if (!this.#isBetweenCalls) this.#abandon();
      throw error;
    } finally {
      watch.end();
      this.#isBusy = false;
    }
  }

  #abandon(): void {
    this.#isOpen = false;
    this.#stream.close();
  }

  async #perform<Answer>(call: DaemonCall<Answer>, options: CallOptions): Promise<Outcome<Answer>> {
    const request = new WireWriter().number(call.operation);
    call.write(request);
    this.#isBetweenCalls = false;
    this.#stream.output.write(request.bytes());
    const heard = this.#hear(options);
    if (call.send !== undefined) await this.#sendFrames(call.send, heard, options);
    const refusal = await heard;
    if (refusal !== null) {
      this.#isBetweenCalls = true;
      return { kind: 'refused', refusal };
    }
    this.#reader.allow(this.#maxAnswerBytes);
    const answer = await call.read(this.#reader, options);
    this.#isBetweenCalls = true;
    return { kind: 'answered', answer };
  }

  /** The daemon answers when it has seen the last frame; that it does so before is an answer too, and then the end. */
  async #sendFrames(
    send: (frames: FrameWriter) => Promise<void>,
    heard: Promise<DaemonRefusal | null>,
    { onProgress }: CallOptions,
  ): Promise<void> {
    const frames = new FrameWriter(this.#stream.output, onProgress);
    const sent = send(frames).then(() => frames.end());
    const early = heard.then((refusal) => {
      if (frames.hasEnded) return sent;
      throw refusal === null ? protocolError('it answered before it was told all') : refusedError(refusal);
    });
    // Of the two the loser's failure is of no interest.
    sent.catch(() => {});
    early.catch(() => {});
    await Promise.race([sent, early]);
  }

  /** Listens until the daemon has done its work, or says why it does not. */
  async #hear({ onEvent, maxLogBytes, onProgress }: CallOptions): Promise<DaemonRefusal | null> {
    const allowed = maxLogBytes ?? Number.POSITIVE_INFINITY;
    for (let heard = 0; ; ) {
      this.#reader.allow(this.#maxAnswerBytes);
      const message = await readStderrMessage(this.#reader);
      onProgress?.();
      heard += this.#maxAnswerBytes - this.#reader.allowance;
      if (heard > allowed) throw limitError('a log of more bytes', allowed);
      if (message.kind === 'last' || message.kind === 'error') {
        this.#log.reset();
        return message.kind === 'error' ? message.refusal : null;
      }
      const event: DaemonEvent | null = this.#log.take(message);
      if (event !== null) onEvent?.(event);
    }
  }
}

const greet = async (established: Established): Promise<DaemonGreeting> => {
  const { reader, stream } = established;
  reader.allow(MiB);
  const greeting = await greetDaemon(reader, (bytes) => stream.output.write(bytes));
  // What went wrong while it started is told now.
  while (true) {
    const message = await readStderrMessage(reader);
    if (message.kind === 'last') return greeting;
    if (message.kind === 'error') throw refusedError(message.refusal);
  }
};

/** What a child says on its way out may come after the end of what it says to us. */
const hasGone = async (stream: DaemonStream): Promise<void> => {
  const enough = new AbortController();
  const pause = setTimeout(1000, undefined, { signal: enough.signal }).catch(() => {});
  await Promise.race([stream.closed, pause]);
  enough.abort();
};

/** Who ends the conversation before it began was not reached, whatever it is. */
const asUnreachable = async (error: unknown, { stream, name }: Established): Promise<unknown> => {
  if (!(error instanceof NixDaemonError) || error.code !== 'NIX_DAEMON_CLOSED') return error;
  await hasGone(stream);
  const said = stream.explain();
  const reason =
    said === ''
      ? 'it closed the connection before its greeting: is this user among its allowed-users?'
      : `it ended before its greeting and said: ${said}`;
  return new NixDaemonError('NIX_DAEMON_UNREACHABLE', `no Nix daemon at ${name}: ${reason}`, {
    cause: error,
  });
};

/** @throws NixDaemonError NIX_DAEMON_UNREACHABLE, _TOO_OLD, _PROTOCOL, _REFUSED, _TIMEOUT; the signal's reason when that aborts */
export const connectDaemon = async (
  transport: DaemonTransport,
  options: ConnectOptions,
): Promise<DaemonConnection> => {
  const { limits = {}, signal, storeDir } = options;
  const timeoutMs = options.connectTimeoutMs ?? 30_000;
  const watch = watchCall({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
  let stream: DaemonStream | null = null;
  try {
    const opening = transport.open(signal);
    // Where we no longer wait for it, it must not stay open behind our back.
    opening.then((late) => watch.hasStopped() && late.close()).catch(() => {});
    stream = await Promise.race([opening, watch.stopped]);
    // Read errors tell what is to be told.
    stream.output.on('error', () => {});
    const maxStringBytes = limits.maxStringBytes ?? 8 * MiB;
    const reader = new WireReader(readBytesOf(stream.input), {
      maxStringBytes,
      maxListLength: limits.maxListLength ?? 1_000_000,
    });
    const maxAnswerBytes = limits.maxAnswerBytes ?? 256 * MiB;
    const established = { stream, reader, maxAnswerBytes, storeDir, name: transport.name };
    const greeting = greet(established).catch(async (error: unknown) => {
      throw await asUnreachable(error, established);
    });
    greeting.catch(() => {});
    return new DaemonConnection(established, await Promise.race([greeting, watch.stopped]));
  } catch (error) {
    stream?.close();
    throw error;
  } finally {
    watch.end();
  }
};
