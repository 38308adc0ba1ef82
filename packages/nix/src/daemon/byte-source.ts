// Bytes of a stream, asked for one piece at a time: a daemon that is not listened to is held back by the system.
import type { Readable } from 'node:stream';

export interface ByteSource {
  /** The next bytes, however many there are; null at the end. They stay valid. Rejects when the stream breaks. */
  read(): Promise<Buffer | null>;
}

const asError = (cause: unknown): Error => (cause instanceof Error ? cause : new Error(String(cause)));

/** Takes the stream over: nobody else may listen to it. One `read` at a time. */
export const readBytesOf = (stream: Readable): ByteSource => {
  let over = false;
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  const awaken = (): void => {
    wake?.();
    wake = null;
  };
  stream.on('readable', () => {
    // An end that nobody reads is never told: without this an idle connection would not notice that it was closed.
    if (wake === null && stream.readableLength === 0) stream.read();
    awaken();
  });
  stream.on('error', (error) => {
    failure = asError(error);
    awaken();
  });
  for (const end of ['end', 'close'] as const) {
    stream.on(end, () => {
      over = true;
      awaken();
    });
  }
  return {
    async read() {
      while (true) {
        const chunk: unknown = stream.read();
        if (chunk instanceof Buffer) return chunk;
        if (failure !== null) throw failure;
        if (over) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
};
