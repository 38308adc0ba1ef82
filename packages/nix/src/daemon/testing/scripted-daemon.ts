// Peers for tests that say what they are told to, whatever they are asked; and a way to record what a real one said.
import { PassThrough, Readable, Writable } from 'node:stream';
import type { DaemonStream, DaemonTransport } from '../transport/transport.ts';

const streamOver = (input: Readable, hear: (bytes: Buffer) => void): DaemonStream => {
  const output = new Writable({
    write(bytes: Buffer, _, done) {
      hear(bytes);
      done();
    },
  });
  return {
    input,
    output,
    close() {
      input.destroy();
      output.destroy();
    },
    closed: new Promise((resolve) => {
      input.once('close', () => resolve());
    }),
    explain: () => '',
  };
};

/** Says `pieces` one after the other, each in a turn of its own, and closes; or goes on for ever where they do. */
export const scriptedDaemon = (pieces: Iterable<Uint8Array>): DaemonTransport => ({
  name: 'a script',
  async open() {
    const input = Readable.from(
      (async function* () {
        for (const piece of pieces) {
          await new Promise((resolve) => setImmediate(resolve));
          yield Buffer.from(piece);
        }
      })(),
      { objectMode: false },
    );
    return streamOver(input, () => {});
  },
});

/** Answers when it is spoken to, piece by piece: `answer` gets all that was heard so far, and a way to speak. */
export const answeringDaemon = (
  answer: (heard: Buffer, say: (bytes: Uint8Array) => void) => void,
): DaemonTransport => ({
  name: 'a script',
  async open() {
    const input = new PassThrough();
    let heard = Buffer.alloc(0);
    return streamOver(input, (bytes) => {
      heard = Buffer.concat([heard, bytes]);
      answer(heard, (said) => input.write(said));
    });
  },
});

export interface RecordedDaemon {
  readonly transport: DaemonTransport;
  /** All that the daemon has said to the last connection. */
  readonly said: () => Buffer;
}

export const recordDaemon = (transport: DaemonTransport): RecordedDaemon => {
  const pieces: Buffer[] = [];
  return {
    transport: {
      name: transport.name,
      async open(signal) {
        const stream = await transport.open(signal);
        const input = new PassThrough();
        pieces.length = 0;
        stream.input.on('data', (bytes: Buffer) => void pieces.push(bytes));
        stream.input.pipe(input);
        return { ...stream, input };
      },
    },
    said: () => Buffer.concat(pieces),
  };
};
