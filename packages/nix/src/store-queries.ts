// Questions about many store paths at once, through `nix-store`: few processes, each with as many paths as an
// argument list takes. Nothing here needs the store's database, so it works through a daemon as well.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import type { NixInstallation } from './installation.ts';
import { withoutAnsi } from './internal-json.ts';
import { parseDrvPath, parseStorePath } from './store-path.ts';

export interface PathInfo {
  /** Bytes of its archive, about what it takes on disk. */
  readonly narSize: number;
  /** Itself only where it refers to itself. */
  readonly references: readonly StorePath[];
}

export interface MissingPaths {
  /** In no order that means anything. */
  readonly willBuild: readonly DrvPath[];
  readonly willSubstitute: readonly StorePath[];
  /** What can be neither built nor fetched: its derivation is not in the store. */
  readonly unknown: readonly StorePath[];
}

/** Every method throws StoreQueryError when Nix does not answer; an empty question is answered without asking. */
export interface StoreQueries {
  /** Those of `paths` that are in the store, complete. Substituters are not asked. */
  queryValid<Path extends StorePath | DrvPath>(paths: Iterable<Path>): Promise<Set<Path>>;
  /** What realising these would take. A substituter that does not answer counts as having nothing. */
  queryMissing(drvPaths: Iterable<DrvPath>): Promise<MissingPaths>;
  /** Only of those that are valid. */
  queryPathInfo(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>>;
  /** Of the valid ones of `paths` and everything they refer to, directly or over others. */
  queryClosure(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>>;
}

/** Thrown when a query of the store fails or is not answered in time. */
export class StoreQueryError extends Error {
  readonly code = 'NIX_STORE_QUERY_FAILED';
  constructor(question: string, detail: string, cause?: unknown) {
    super(
      `Nix could not say ${question}: ${detail}. Check that the store answers: "nix-store --verify" says what is wrong.`,
      { cause },
    );
    this.name = 'StoreQueryError';
  }
}

/** Half of the shortest limit of a whole argument list (macOS, 1 MiB; Linux 2 MiB), environment included. */
const maxArgumentBytes = 512 * 1024;

/** Splits into groups whose texts take at most `maxBytes` as arguments; a longer one is alone. */
export const chunkArguments = <Text extends string>(
  texts: Iterable<Text>,
  maxBytes = maxArgumentBytes,
): Text[][] => {
  const chunks: Text[][] = [];
  let room = 0;
  for (const text of texts) {
    // With its terminating NUL and the pointer to it.
    const bytes = Buffer.byteLength(text) + 9;
    const last = chunks.at(-1);
    if (last === undefined || bytes > room) {
      chunks.push([text]);
      room = maxBytes - bytes;
    } else {
      last.push(text);
      room -= bytes;
    }
  }
  return chunks;
};

const heading =
  /^(?:(?<build>(?:this derivation|these \d+ derivations) will be built)|(?<fetch>(?:this path|these \d+ paths) will be fetched)|(?<unknown>don't know how to build these paths))/;

type MissingList = 'willBuild' | 'willSubstitute' | 'unknown';

/** Reads what `nix-store --realise --dry-run` prints on stderr: headings, and below each its paths, indented. */
const parseDryRun = (text: string, storeDir: string): MissingPaths => {
  const found = {
    willBuild: new Set<DrvPath>(),
    willSubstitute: new Set<StorePath>(),
    unknown: new Set<StorePath>(),
  };
  let list: MissingList | null = null;
  for (const line of withoutAnsi(text).split('\n')) {
    const groups = heading.exec(line)?.groups;
    if (groups?.['build'] !== undefined) list = 'willBuild';
    else if (groups?.['fetch'] !== undefined) list = 'willSubstitute';
    else if (groups?.['unknown'] !== undefined) list = 'unknown';
    else if (!line.startsWith(`  ${storeDir}/`)) list = null;
    else if (list === 'willBuild') found.willBuild.add(parseDrvPath(line.trim(), storeDir));
    else if (list !== null) found[list].add(parseStorePath(line.trim(), storeDir));
  }
  return {
    willBuild: [...found.willBuild],
    willSubstitute: [...found.willSubstitute],
    unknown: [...found.unknown],
  };
};

/**
 * Reads what `nix-store --dump-db` prints: of each path a line each for path, hash, size, deriver (or an empty one), number
 * of references, and references.
 */
const parseDatabaseDump = (text: string, storeDir: string): Map<StorePath, PathInfo> => {
  const lines = text.split('\n');
  const infos = new Map<StorePath, PathInfo>();
  for (let at = 0; at + 4 < lines.length; ) {
    const path = parseStorePath(lines[at] ?? '', storeDir);
    const count = Number(lines[at + 4]);
    const references = lines.slice(at + 5, at + 5 + count).map((line) => parseStorePath(line, storeDir));
    infos.set(path, { narSize: Number(lines[at + 2]), references });
    at += 5 + count;
  }
  return infos;
};

/**
 * Bytes of everything a path needs at run time, itself included; each root's own, so shared parts count for every root.
 * References that `infos` does not have count nothing.
 */
export const closureSizesOf = (
  roots: Iterable<StorePath>,
  infos: ReadonlyMap<StorePath, PathInfo>,
): Map<StorePath, number> => {
  const sizes = new Map<StorePath, number>();
  for (const root of roots) {
    const seen = new Set([root]);
    let size = 0;
    for (const path of seen) {
      const info = infos.get(path);
      size += info?.narSize ?? 0;
      for (const reference of info?.references ?? []) seen.add(reference);
    }
    sizes.set(root, size);
  }
  return sizes;
};

export interface StoreQueryOptions {
  /** @default 15 minutes: Nix asks its substituters about thousands of paths, and 2.8 loops for ever on a broken `.drv` */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

type Ask = (question: string, args: readonly string[]) => Promise<{ stdout: string; stderr: string }>;

const createAsk = (nix: NixInstallation, options: StoreQueryOptions): Ask => {
  const timeoutMs = options.timeoutMs ?? 15 * 60_000;
  const { signal } = options;
  return async (question, args) => {
    const answer = await runChild({
      command: nix.programs.store,
      args: ['--log-format', 'raw', ...args],
      env: nix.env,
      timeoutMs,
      maxOutputBytes: 512 * 1024 * 1024,
      ...(signal === undefined ? {} : { signal }),
    });
    if (answer.code === 0 && !answer.truncated) return answer;
    if (answer.timedOut) throw new StoreQueryError(question, `no answer in ${timeoutMs} ms`);
    const said = withoutAnsi(answer.stderr).trim().split('\n').slice(-3).join(' / ');
    throw new StoreQueryError(question, said === '' ? `status ${answer.code ?? answer.signal}` : said);
  };
};

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

interface Store {
  readonly ask: Ask;
  readonly storeDir: string;
}

const queryValid = async <Path extends StorePath | DrvPath>(
  { ask }: Store,
  paths: Iterable<Path>,
): Promise<Set<Path>> => {
  const valid = new Set(paths);
  for (const chunk of chunkArguments([...valid])) {
    const args = ['--check-validity', '--print-invalid', ...chunk];
    const { stdout } = await ask('which paths are valid', args);
    // Printed back as they were given, so each is one of `chunk`.
    for (const line of linesOf(stdout)) valid.delete(line as Path);
  }
  return valid;
};

const queryMissing = async ({ ask, storeDir }: Store, drvPaths: Iterable<DrvPath>): Promise<MissingPaths> => {
  const willBuild = new Set<DrvPath>();
  const willSubstitute = new Set<StorePath>();
  const unknown = new Set<StorePath>();
  for (const chunk of chunkArguments(new Set(drvPaths))) {
    const { stderr } = await ask('what is missing', ['--realise', '--dry-run', ...chunk]);
    const part = parseDryRun(stderr, storeDir);
    for (const path of part.willBuild) willBuild.add(path);
    for (const path of part.willSubstitute) willSubstitute.add(path);
    for (const path of part.unknown) unknown.add(path);
  }
  return { willBuild: [...willBuild], willSubstitute: [...willSubstitute], unknown: [...unknown] };
};

const queryPathInfo = async (store: Store, paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> => {
  const infos = new Map<StorePath, PathInfo>();
  for (const chunk of chunkArguments(await queryValid(store, paths))) {
    const { stdout } = await store.ask('how large paths are', ['--dump-db', ...chunk]);
    for (const [path, info] of parseDatabaseDump(stdout, store.storeDir)) infos.set(path, info);
  }
  return infos;
};

const queryClosure = async (store: Store, paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> => {
  const closure = new Set<StorePath>();
  for (const chunk of chunkArguments(await queryValid(store, paths))) {
    const { stdout } = await store.ask('what paths refer to', ['--query', '--requisites', ...chunk]);
    for (const line of linesOf(stdout)) closure.add(parseStorePath(line, store.storeDir));
  }
  return queryPathInfo(store, closure);
};

/** Asks the store of `nix` with the environment of `nix`. */
export const createStoreQueries = (nix: NixInstallation, options: StoreQueryOptions = {}): StoreQueries => {
  const store = { ask: createAsk(nix, options), storeDir: nix.storeDir };
  return {
    queryValid: (paths) => queryValid(store, paths),
    queryMissing: (drvPaths) => queryMissing(store, drvPaths),
    queryPathInfo: (paths) => queryPathInfo(store, paths),
    queryClosure: (paths) => queryClosure(store, paths),
  };
};
