// A daemon that is a child of ours, over its standard input and output: for a store that this user writes itself, or, as
// `ssh`, for one on another machine.
import type { Writable } from 'node:stream';
import { type Child, StartError, startChild } from '@eka-ci/process';
import { withoutAnsi } from '../../internal-json.ts';
import { NixDaemonError } from '../daemon-error.ts';
import type { DaemonStream, DaemonTransport } from './transport.ts';

export interface ChildCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** A daemon ends its builders before it ends itself; killed before that it would leave them behind. */
const killGraceMs = 20_000;
const keptBytes = 4096;

/** Keeps the end of what is printed; the rest is read so that the child is not held up. */
const keepTail = (child: Child): (() => string) => {
  let tail = Buffer.alloc(0);
  child.stderr.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-keptBytes);
  });
  return () => withoutAnsi(tail.toString('utf8')).trim();
};

const streamOf = (child: Child, output: Writable): DaemonStream => ({
  input: child.stdout,
  output,
  close() {
    output.destroy();
    // A daemon sees the end of its input only when nothing is left of it: that it ends is not left to it.
    child.end();
    child.stdout.destroy();
  },
  closed: child.exited.then(() => {}),
  explain: keepTail(child),
});

/** @param name for messages */
export const childTransport = (name: string, program: ChildCommand): DaemonTransport => ({
  name,
  async open(signal) {
    signal?.throwIfAborted();
    const child = await startChild({ ...program, keepStdinOpen: true, killGraceMs }).catch(
      (cause: unknown) => {
        if (!(cause instanceof StartError)) throw cause;
        throw new NixDaemonError('NIX_DAEMON_UNREACHABLE', `cannot start ${name}: ${cause.message}`, {
          cause,
        });
      },
    );
    if (child.stdin === null) throw new NixDaemonError('NIX_DAEMON_UNREACHABLE', `${name} has no input`);
    return streamOf(child, child.stdin);
  },
});
