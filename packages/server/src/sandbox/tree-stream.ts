// A tree as frames, for a runner that cannot see the server's folders.
import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { type Frame, RunnerProtocolError, writeFrame } from './runner-protocol.ts';
import { createTreeWriter, pathIn, readTree, TreeError } from './tree.ts';

const chunkBytes = 256 * 1024;
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

const sendFile = async (stream: Writable, root: string, path: string): Promise<void> => {
  const file = await open(pathIn(root, path), 'r');
  try {
    const { mode } = await file.stat();
    await writeFrame(stream, (mode & 0o111) === 0 ? 'file' : 'program', latin1(path));
    const buffer = Buffer.alloc(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, chunkBytes);
      if (bytesRead === 0) return;
      await writeFrame(stream, 'content', buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
};

/** @throws the signal's reason; system errors */
export const sendTree = async (stream: Writable, root: string, signal: AbortSignal): Promise<void> => {
  for await (const entry of readTree(root)) {
    signal.throwIfAborted();
    if (entry.kind === 'folder') await writeFrame(stream, 'folder', latin1(entry.path));
    else if (entry.kind === 'link')
      await writeFrame(stream, 'link', latin1(`${entry.path}\0${entry.target}`));
    else await sendFile(stream, root, entry.path);
  }
  await writeFrame(stream, 'treeEnd', '');
};

export interface TreeBounds {
  readonly maxTreeMib: number;
  readonly maxFiles: number;
}

const boundTree = ({ maxTreeMib, maxFiles }: TreeBounds) => {
  let [bytes, files] = [0, 0];
  let last = '';
  return {
    content: (size: number): void => {
      bytes += size;
      if (bytes > maxTreeMib * 1024 * 1024)
        throw new TreeError(last, `with that it is larger than ${maxTreeMib} MiB`);
    },
    entry: (path: string): void => {
      files += 1;
      last = path;
      if (files > maxFiles) throw new TreeError(path, `with that it has more than ${maxFiles} files`);
    },
  };
};

/**
 * Into a folder that is not there yet.
 * @throws RunnerProtocolError; TreeError for a name that leads elsewhere, and for a tree beyond its bounds
 */
export const receiveTree = async (
  frames: AsyncGenerator<Frame>,
  root: string,
  bounds: TreeBounds,
): Promise<void> => {
  const writer = await createTreeWriter(root);
  const bound = boundTree(bounds);
  let file: Awaited<ReturnType<typeof writer.create>> | null = null;
  const close = async (): Promise<void> => {
    const ours = file;
    file = null;
    await ours?.close();
  };
  try {
    // By hand: leaving a loop over the frames would end them.
    for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
      const { kind, body } = next.value;
      const text = (): string => body.toString('latin1');
      if (kind === 'content') {
        if (file === null) throw new RunnerProtocolError('content without a file');
        bound.content(body.length);
        await file.writeFile(body);
        continue;
      }
      await close();
      if (kind === 'treeEnd') return;
      bound.entry(text());
      if (kind === 'folder') await writer.folder(text());
      else if (kind === 'file' || kind === 'program') file = await writer.create(text(), kind === 'program');
      else if (kind === 'link') {
        const [path = '', target = ''] = text().split('\0', 2);
        await writer.link(path, target);
      } else throw new RunnerProtocolError(`${kind} within a tree`);
    }
    throw new RunnerProtocolError('the tree has no end');
  } finally {
    await close();
  }
};
