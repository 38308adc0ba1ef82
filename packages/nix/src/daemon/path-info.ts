// What a store knows of a path in it, as the protocol says it.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { parseDrvPath, parseStorePath, StorePathError } from '../store-path.ts';
import type { PathInfo } from '../store-queries.ts';
import { protocolError } from './daemon-error.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export interface ValidPathInfo extends PathInfo {
  readonly path: StorePath;
  readonly deriver: StorePath | null;
  /** Of the archive: 64 hexadecimal digits. */
  readonly narSha256: string;
  /** Seconds since 1970. */
  readonly registrationTime: number;
  /** Built by this store itself. */
  readonly ultimate: boolean;
  /** Each `key name:base 64`. */
  readonly signatures: readonly string[];
  /** How its content gives its name, for example `fixed:r:sha256:…`; null where a derivation does. */
  readonly contentAddress: string | null;
}

/** A path longer than this is none: a store directory and 244 characters. */
export const maxPathBytes = 4096;

/** What the daemon says is looked at like anything else from outside. */
const asPath = <Path>(text: string, parse: (text: string) => Path): Path => {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof StorePathError) throw protocolError(error.message);
    throw error;
  }
};

const toStorePath = (text: string, storeDir: string): StorePath =>
  asPath(text, (path) => parseStorePath(path, storeDir));

export const readStorePath = async (reader: WireReader, storeDir: string): Promise<StorePath> =>
  toStorePath(await reader.string(maxPathBytes), storeDir);

export const readOptionalPath = async (reader: WireReader, storeDir: string): Promise<StorePath | null> => {
  const text = await reader.string(maxPathBytes);
  return text === '' ? null : toStorePath(text, storeDir);
};

export const readStorePaths = async (reader: WireReader, storeDir: string): Promise<StorePath[]> =>
  (await reader.strings('paths', maxPathBytes)).map((text) => toStorePath(text, storeDir));

export const readDrvPaths = async (reader: WireReader, storeDir: string): Promise<DrvPath[]> =>
  (await reader.strings('paths', maxPathBytes)).map((text) =>
    asPath(text, (path) => parseDrvPath(path, storeDir)),
  );

export interface ReadPath {
  readonly path: StorePath;
  readonly storeDir: string;
}

/** What follows the path itself. */
export const readPathInfo = async (
  reader: WireReader,
  { path, storeDir }: ReadPath,
): Promise<ValidPathInfo> => {
  const deriver = await readOptionalPath(reader, storeDir);
  const narSha256 = await reader.string(256);
  if (!/^[0-9a-f]{64}$/.test(narSha256)) throw protocolError(`the hash ${JSON.stringify(narSha256)}`);
  const references = await readStorePaths(reader, storeDir);
  const [registrationTime, narSize] = [await reader.number(), await reader.number()];
  const ultimate = await reader.boolean();
  const signatures = await reader.strings('signatures', maxPathBytes);
  const contentAddress = (await reader.string(maxPathBytes)) || null;
  return {
    path,
    deriver,
    narSha256,
    references,
    registrationTime,
    narSize,
    ultimate,
    signatures,
    contentAddress,
  };
};

/** The path and what belongs to it. That another store built it is not passed on. */
export const writePathInfo = (writer: WireWriter, info: ValidPathInfo): void => {
  writer
    .string(info.path)
    .string(info.deriver ?? '')
    .string(info.narSha256)
    .strings(info.references)
    .number(info.registrationTime)
    .number(info.narSize)
    .boolean(false)
    .strings(info.signatures)
    .string(info.contentAddress ?? '');
};
