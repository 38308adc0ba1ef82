// The pipe that a command prints into. Node gives children sockets, and on those `> /dev/stderr` of a script fails.
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { runChild } from '@eka-ci/process';

export interface OutputPipe {
  /** In the file system, for whoever is to open it for writing. */
  readonly path: string;
  /** Ends when `closeOurs` was called and the last one who has it open is gone. */
  readonly stream: Readable;
  closeOurs(): void;
}

/**
 * In a folder that is closed to others: whoever is the command's user opens it again as `/dev/stderr`.
 * @throws when there is no mkfifo on `searchPath`
 */
export const createOutputPipe = async (path: string, searchPath: string): Promise<OutputPipe> => {
  const made = await runChild({ command: 'mkfifo', args: ['-m', '666', path], env: { PATH: searchPath } });
  if (made.code !== 0) throw new Error(`mkfifo failed: ${made.stderr.trim()}`);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // A pipe without a writer is at its end: we are one until the first other is there.
  const writing = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let isOpen = true;
  return {
    path,
    stream: new Socket({ fd: reading, readable: true, writable: false }),
    closeOurs: () => {
      if (isOpen) closeSync(writing);
      isOpen = false;
    },
  };
};
