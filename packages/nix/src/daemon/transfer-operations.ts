// Store objects as archives, out of a daemon and into one, as they come: none is held in memory.
import { createHash } from 'node:crypto';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError, protocolError, refusedError } from './daemon-error.ts';
import type { FrameWriter } from './frame-writer.ts';
import { readPathInfo, readStorePath, type ValidPathInfo, writePathInfo } from './path-info.ts';
import { readRefusal, STDERR_ERROR } from './stderr-messages.ts';
import type { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

const ADD_TO_STORE = 7;
const NAR_FROM_PATH = 38;
const ADD_TO_STORE_NAR = 39;
const ADD_MULTIPLE_TO_STORE = 44;

/** Takes a piece of an archive; what it gives is waited for. The bytes must not be changed, and stay as they are. */
export type TakeBytes = (bytes: Uint8Array) => void | Promise<void>;

/** A store may be long about its disk, but not for ever. */
const boundTransfer = (options: CallOptions): CallOptions => ({ idleTimeoutMs: 15 * 60_000, ...options });

/** How every archive begins: its kind, and one more string of one byte. */
const archiveStart = new WireWriter().string('nix-archive-1').number(1).bytes();

interface ArchiveReading {
  readonly info: ValidPathInfo;
  readonly take: TakeBytes;
  readonly onProgress: (() => void) | undefined;
}

/** A number at the beginning of an archive, or in its place the error of a daemon that had said that all is well. */
const readStart = async (reader: WireReader, expected: number): Promise<void> => {
  const number = await reader.number();
  if (number === expected) return;
  if (number !== STDERR_ERROR) throw protocolError('what is no archive');
  throw refusedError(await readRefusal(reader));
};

/** 2.34 has its error instead of the archive, 2.8 and 2.26 after the first string of it. */
const readArchiveStart = async (reader: WireReader): Promise<void> => {
  await readStart(reader, 13);
  let kind = '';
  await reader.raw(16, (bytes) => {
    kind += Buffer.from(bytes).toString('latin1');
  });
  if (kind !== archiveStart.toString('latin1', 8, 24)) throw protocolError('what is no archive');
  await readStart(reader, 1);
};

/** Nothing marks its end but its size, and nothing that it is whole but its hash. */
const readArchive = async (reader: WireReader, { info, take, onProgress }: ArchiveReading): Promise<void> => {
  const hash = createHash('sha256');
  const pass = (bytes: Uint8Array): void | Promise<void> => {
    hash.update(bytes);
    onProgress?.();
    return take(bytes);
  };
  await readArchiveStart(reader);
  await pass(archiveStart);
  await reader.raw(Math.max(0, info.narSize - archiveStart.length), pass);
  if (hash.digest('hex') === info.narSha256) return;
  throw protocolError(
    `an archive of ${info.path} whose hash is not the one that the store has for it: repair it with ` +
      '"nix-store --verify --check-contents --repair"',
  );
};

/**
 * Passes the archive of a valid path on, and compares its hash at the end: until then it may be wrong.
 * @throws NixDaemonError NIX_DAEMON_REFUSED also closes the connection here
 */
export const narFromPath = (
  connection: DaemonConnection,
  { info, take }: { readonly info: ValidPathInfo; readonly take: TakeBytes },
  options: CallOptions = {},
): Promise<void> =>
  connection.call(
    {
      operation: NAR_FROM_PATH,
      write: (writer) => writer.string(info.path),
      read: (reader, { onProgress }) => readArchive(reader, { info, take, onProgress }),
    },
    boundTransfer(options),
  );

/** One path to be added, and whoever sends its archive: exactly `info.narSize` bytes. */
export interface StoreObject {
  readonly info: ValidPathInfo;
  readonly sendNar: (take: TakeBytes) => Promise<void>;
}

export interface AddOptions extends CallOptions {
  /** Adds what no trusted key has signed; heeded for trusted clients only. @default false */
  readonly allowUnsigned?: boolean;
}

/** The daemon would take the rest, or the next object, for what is missing or too much. */
const sendObject = async (frames: FrameWriter, { info, sendNar }: StoreObject): Promise<void> => {
  let left = info.narSize;
  await sendNar((bytes) => {
    left -= bytes.length;
    if (left < 0) throw badSize(info);
    return frames.write(bytes);
  });
  if (left !== 0) throw badSize(info);
};

const badSize = ({ path, narSize }: ValidPathInfo): NixDaemonError =>
  new NixDaemonError('NIX_DAEMON_BAD_REQUEST', `the archive of ${path} has other than the ${narSize} bytes`);

/** Adds one path whose references are valid. One that is valid already is left as it is. */
export const addToStoreNar = (
  connection: DaemonConnection,
  object: StoreObject,
  { allowUnsigned = false, ...options }: AddOptions = {},
): Promise<void> =>
  connection.call(
    {
      operation: ADD_TO_STORE_NAR,
      write(writer) {
        writePathInfo(writer, object.info);
        writer.boolean(false).boolean(allowUnsigned);
      },
      send: (frames) => sendObject(frames, object),
      read: async () => {},
    },
    boundTransfer(options),
  );

/** As `builtins.toFile` makes one. */
export interface StoreText {
  readonly name: string;
  readonly text: string;
  /** Valid ones. */
  readonly references: readonly (DrvPath | StorePath)[];
}

/** Makes a file that refers to those paths. The connection keeps it from the garbage collector as long as it is open. */
export const addText = (
  connection: DaemonConnection,
  { name, text, references }: StoreText,
  options: CallOptions = {},
): Promise<ValidPathInfo> =>
  connection.call(
    {
      operation: ADD_TO_STORE,
      write: (writer) => writer.string(name).string('text:sha256').strings(references).boolean(false),
      send: (frames) => frames.write(Buffer.from(text)),
      async read(reader) {
        const { storeDir } = connection;
        return readPathInfo(reader, { path: await readStorePath(reader, storeDir), storeDir });
      },
    },
    boundTransfer(options),
  );

/** Adds many in one request, each after those that it refers to. What came before a failure stays. */
export const addMultipleToStore = (
  connection: DaemonConnection,
  objects: readonly StoreObject[],
  { allowUnsigned = false, ...options }: AddOptions = {},
): Promise<void> =>
  connection.call(
    {
      operation: ADD_MULTIPLE_TO_STORE,
      write: (writer) => writer.boolean(false).boolean(allowUnsigned),
      async send(frames) {
        await frames.write(new WireWriter().number(objects.length).bytes());
        for (const object of objects) {
          const info = new WireWriter();
          writePathInfo(info, object.info);
          await frames.write(info.bytes());
          await sendObject(frames, object);
        }
      },
      read: async () => {},
    },
    boundTransfer(options),
  );
