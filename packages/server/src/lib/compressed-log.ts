// The form of a log that is not written to any more: blocks of its text, each compressed by itself, and an index of them
// at the end, so that any part is read at the price of the blocks that it touches. It is the Zstandard seekable format
// (contrib/seekable_format of facebook/zstd): `zstd -dc` reads it as well.
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** What is added to the name of a log. */
export const compressedSuffix = '.zst';

/** Of text. Larger ones are hardly smaller when compressed, and cost more where a part is asked for. */
const blockBytes = 512 * 1024;
/** Of text; other writers of the format choose other sizes. */
const maxBlockBytes = 16 * 1024 * 1024;
const maxBlocks = 1_000_000;
const indexMagic = 0x18_4d_2a_5e;
const footerMagic = 0x8f_92_ea_b1;
const headerBytes = 8;
const entryBytes = 8;
const footerBytes = 9;

/** Thrown when a compressed log is not what it should be: its disk or somebody else has changed it. */
export class LogDamagedError extends Error {
  readonly code = 'LOG_DAMAGED';
  constructor(detail: string, cause?: unknown) {
    super(
      `a compressed log cannot be read: ${detail}. Check the disk of the logs, and build again to get a new one`,
      {
        cause,
      },
    );
    this.name = 'LogDamagedError';
  }
}

export interface LogBlock {
  /** In the file. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** In the text. */
  readonly textOffset: number;
  readonly textBytes: number;
}

export interface CompressedLog {
  /** Of the whole text. */
  readonly textBytes: number;
  /** In order, without gaps; none is empty. */
  readonly blocks: readonly LogBlock[];
}

const readFully = async (handle: FileHandle, into: Buffer, position: number): Promise<number> => {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
};

const writeFully = async (handle: FileHandle, bytes: Buffer): Promise<void> => {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done);
    done += bytesWritten;
  }
};

const indexOf = (entries: readonly (readonly [sizeBytes: number, textBytes: number])[]): Buffer => {
  const index = Buffer.alloc(headerBytes + entries.length * entryBytes + footerBytes);
  index.writeUInt32LE(indexMagic, 0);
  index.writeUInt32LE(index.length - headerBytes, 4);
  entries.forEach(([sizeBytes, textBytes], position) => {
    index.writeUInt32LE(sizeBytes, headerBytes + position * entryBytes);
    index.writeUInt32LE(textBytes, headerBytes + position * entryBytes + 4);
  });
  const footer = index.length - footerBytes;
  index.writeUInt32LE(entries.length, footer);
  // The byte between says that blocks have no checksums in the index: each has its own at its end.
  index.writeUInt32LE(footerMagic, footer + 5);
  return index;
};

/**
 * Writes all of `text` to `to`, a block in memory at a time, compressed in a thread of the pool.
 * @returns bytes of text
 * @throws the signal's reason between two blocks; what the file system throws
 */
export const writeCompressed = async (
  text: FileHandle,
  to: FileHandle,
  signal: AbortSignal,
): Promise<number> => {
  const entries: [number, number][] = [];
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const block = Buffer.allocUnsafe(blockBytes);
  let textBytes = 0;
  for (;;) {
    signal.throwIfAborted();
    const length = await readFully(text, block, textBytes);
    if (length === 0) break;
    const bytes = await compress(block.subarray(0, length), { params });
    await writeFully(to, bytes);
    entries.push([bytes.length, length]);
    textBytes += length;
  }
  await writeFully(to, indexOf(entries));
  return textBytes;
};

const readEntries = (index: Buffer, count: number): CompressedLog => {
  const blocks: LogBlock[] = [];
  let [offset, textOffset] = [0, 0];
  for (let at = headerBytes; blocks.length < count; at += entryBytes) {
    const [sizeBytes, textBytes] = [index.readUInt32LE(at), index.readUInt32LE(at + 4)];
    if (textBytes === 0 || textBytes > maxBlockBytes)
      throw new LogDamagedError('a block has an impossible size');
    blocks.push({ offset, sizeBytes, textOffset, textBytes });
    offset += sizeBytes;
    textOffset += textBytes;
  }
  return { textBytes: textOffset, blocks };
};

/** @throws LogDamagedError; what the file system throws */
export const readIndex = async (handle: FileHandle): Promise<CompressedLog> => {
  const { size } = await handle.stat();
  const footer = Buffer.alloc(footerBytes);
  const isThere =
    size >= footerBytes && (await readFully(handle, footer, size - footerBytes)) === footerBytes;
  if (!isThere || footer.readUInt32LE(5) !== footerMagic || footer[4] !== 0) {
    throw new LogDamagedError('its index is missing');
  }
  const count = footer.readUInt32LE(0);
  const indexBytes = headerBytes + count * entryBytes + footerBytes;
  if (count > maxBlocks || indexBytes > size) throw new LogDamagedError('its index is longer than itself');
  const index = Buffer.alloc(indexBytes);
  await readFully(handle, index, size - indexBytes);
  const isIndex = index.readUInt32LE(0) === indexMagic && index.readUInt32LE(4) === indexBytes - headerBytes;
  const log = isIndex ? readEntries(index, count) : null;
  const last = log?.blocks.at(-1);
  if (log === null || (last === undefined ? 0 : last.offset + last.sizeBytes) !== size - indexBytes) {
    throw new LogDamagedError('its index does not fit its blocks');
  }
  return log;
};

/** The text of a block. @throws LogDamagedError; what the file system throws */
export const readBlock = async (handle: FileHandle, block: LogBlock): Promise<Buffer> => {
  const bytes = Buffer.allocUnsafe(block.sizeBytes);
  if ((await readFully(handle, bytes, block.offset)) !== bytes.length)
    throw new LogDamagedError('it was cut');
  let text: Buffer;
  try {
    text = await decompress(bytes, { maxOutputLength: block.textBytes });
  } catch (error) {
    throw new LogDamagedError('a block is not what was written', error);
  }
  if (text.length !== block.textBytes) throw new LogDamagedError('a block is shorter than it was');
  return text;
};

/** The block that holds that byte of the text; null behind the end. */
export const blockAt = ({ blocks }: CompressedLog, textOffset: number): number | null => {
  let [low, high] = [0, blocks.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const block = blocks[middle];
    if (block !== undefined && block.textOffset + block.textBytes <= textOffset) low = middle + 1;
    else high = middle;
  }
  return low === blocks.length ? null : low;
};
