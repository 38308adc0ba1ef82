// Stage: a tree → what its lock files lock is in the store, so that an evaluation without network finds it. What cannot
// be fetched is said and left: only an evaluation that needs it fails.
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath, TreeSha } from '@eka-ci/core/ids';
import type { EvaluationRequest } from '@eka-ci/nix/evaluator/evaluator';
import { downloadName, type InputStore } from '@eka-ci/nix/locked-inputs/input-store';
import type { LockedInput } from '@eka-ci/nix/locked-inputs/locked-input';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { DestinationGuard } from '../../config/destination-guard.ts';
import { type Git, GitError, type GitErrorCode, type Mirror } from '../../git/git.ts';
import { createTurns, type Turns } from '../../lib/turns.ts';
import { createWorkFolder, removeTree } from '../../lib/work-folder.ts';
import { download, notPublic } from './download.ts';
import { readLocks, shownName } from './read-locks.ts';

export interface PrefetchRequest {
  readonly mirror: Pick<Mirror, 'readFile'>;
  readonly tree: TreeSha;
  /** As long as it is there, what was fetched stays in the store. */
  readonly rootsDir: string;
  readonly sandbox: EvaluationRequest['sandbox'];
  /** Told how many are fetched, where any is. */
  readonly onBegin?: (count: number) => void;
}

export interface Prefetch {
  /**
   * Fetches what the tree locks and the store lacks. Idempotent; what several ask for at once is fetched once.
   * @returns sentences for the summary: what was not fetched, and why
   * @throws the signal's reason; GitError; StoreQueryError; what writing to the disk throws
   */
  prefetch(request: PrefetchRequest, signal: AbortSignal): Promise<readonly string[]>;
}

export interface PrefetchLimits {
  readonly atOnce: number;
  readonly unpackAtOnce: number;
  /** Of one download. */
  readonly maxBytes: number;
  /** Of all of one tree. */
  readonly maxTotalBytes: number;
  readonly idleTimeoutMs: number;
  /** Of all of one tree. */
  readonly timeoutMs: number;
}

/** The largest package sets are archives of some 50 MiB; Nix 2.8 holds them in memory several times. */
const defaultLimits: PrefetchLimits = {
  atOnce: 4,
  unpackAtOnce: 2,
  maxBytes: 256 * 1024 * 1024,
  maxTotalBytes: 2 * 1024 * 1024 * 1024,
  idleTimeoutMs: 60_000,
  timeoutMs: 10 * 60_000,
};

export interface PrefetchDeps {
  readonly guard: DestinationGuard;
  readonly storeDir: string;
  readonly git: Pick<Git, 'exportRemoteCommit'>;
  readonly inputs: InputStore;
  readonly queries: (asking: { readonly signal: AbortSignal }) => Pick<StoreQueries, 'queryValid'>;
  readonly limits?: Partial<PrefetchLimits>;
}

/** Null where it is in the store, else why not. */
type Outcome = string | null;

interface Fetching {
  readonly deps: Omit<PrefetchDeps, 'limits'>;
  readonly limits: PrefetchLimits;
  readonly unpacking: Turns;
  /** By what would be fetched: both sides of a change lock much the same, and are evaluated at once. */
  readonly underWay: Map<StorePath, Promise<Outcome>>;
}

/** What the inputs of one tree may cost together. */
interface Budget {
  /** Null where there was enough left, else why not. */
  readonly take: (bytes: number) => string | null;
}

const createBudget = (maxTotalBytes: number): Budget => {
  let left = maxTotalBytes;
  return {
    take: (bytes) => {
      left -= bytes;
      const most = `${Math.floor(maxTotalBytes / 1024 / 1024)} MiB`;
      return left > 0 ? null : `all inputs together are larger than ${most}`;
    },
  };
};

/** What git fetched and wrote, links not followed: it does not say how much arrived. */
const folderBytes = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
};

interface Asked {
  readonly input: LockedInput;
  readonly sandbox: PrefetchRequest['sandbox'];
  /** Ours alone; what is put there is removed. */
  readonly folder: string;
  readonly budget: Budget;
}

/** What no other commit and no other server would change. */
const ourFaults: readonly GitErrorCode[] = [
  'GIT_DISK_FULL',
  'GIT_READ_ONLY',
  'GIT_NOT_INSTALLED',
  'GIT_TOO_OLD',
];

const fetchCommit = async (
  { deps, limits, unpacking }: Omit<Fetching, 'underWay'>,
  { input, commit, place }: { input: LockedInput; commit: string; place: string },
  signal: AbortSignal,
): Promise<Outcome> => {
  const { url } = input;
  const { maxBytes, timeoutMs } = limits;
  const judged = await deps.guard.check(url, signal);
  if (judged.kind !== 'allowed') return notPublic;
  const asked = { url, rev: commit, addresses: judged.addresses, folder: place, maxBytes };
  let tree: string;
  try {
    tree = await deps.git.exportRemoteCommit(asked, signal);
  } catch (error) {
    if (!(error instanceof GitError) || ourFaults.includes(error.code)) throw error;
    return `git could not fetch it (${error.code})`;
  }
  const added = await unpacking.take(() => deps.inputs.addTree({ input, tree, timeoutMs }, signal), signal);
  return added.kind === 'added' ? null : added.why;
};

const fetchInput = async (
  { deps, limits, unpacking }: Fetching,
  { input, sandbox, folder, budget }: Asked,
  signal: AbortSignal,
): Promise<Outcome> => {
  const { maxBytes, idleTimeoutMs, timeoutMs } = limits;
  const spent = budget.take(0);
  if (spent !== null) return spent;
  const place = join(folder, randomUUID());
  await mkdir(place);
  try {
    if (input.commit !== null) {
      const asked = { input, commit: input.commit, place };
      const outcome = await fetchCommit({ deps, limits, unpacking }, asked, signal);
      budget.take(await folderBytes(place));
      return outcome;
    }
    const file = join(place, downloadName);
    const bounds = { maxBytes, idleTimeoutMs, onBytes: budget.take };
    const got = await download(deps.guard, { url: input.url, file, ...bounds }, signal);
    if (got.kind === 'failed') return got.why;
    const downloaded = { input, folder: place, sandbox, timeoutMs };
    const added = await unpacking.take(() => deps.inputs.add(downloaded, signal), signal);
    return added.kind === 'added' ? null : added.why;
  } finally {
    await removeTree(place);
  }
};

/** As `fetchInput`, unless somebody is at it. */
const fetchOnce = async (fetching: Fetching, asked: Asked, signal: AbortSignal): Promise<Outcome> => {
  const { underWay } = fetching;
  const { storePath } = asked.input;
  const other = underWay.get(storePath);
  if (other !== undefined) {
    // It ends with whoever began it, who may have less time than we have.
    const outcome = await other.catch(() => undefined);
    signal.throwIfAborted();
    if (outcome !== undefined) return outcome;
  }
  const fetched = fetchInput(fetching, asked, signal);
  underWay.set(storePath, fetched);
  try {
    return await fetched;
  } finally {
    if (underWay.get(storePath) === fetched) underWay.delete(storePath);
  }
};

/** What could not be fetched of these, by why. */
const fetchAll = async (
  fetching: Fetching,
  { missing, sandbox }: { missing: readonly LockedInput[]; sandbox: PrefetchRequest['sandbox'] },
  caller: AbortSignal,
): Promise<Map<LockedInput, string>> => {
  const { atOnce, timeoutMs, maxTotalBytes } = fetching.limits;
  const budget = createBudget(maxTotalBytes);
  const late = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([caller, late]);
  const turns = createTurns(atOnce);
  const faults = new Map<LockedInput, string>();
  const folder = await createWorkFolder('ekaci-prefetch-');
  const fetchOne = async (input: LockedInput): Promise<void> => {
    try {
      const asked = { input, sandbox, folder: folder.path, budget };
      const why = await turns.take(() => fetchOnce(fetching, asked, signal), signal);
      if (why !== null) faults.set(input, why);
    } catch (error) {
      if (!late.aborted || caller.aborted) throw error;
      faults.set(input, `not all was fetched in ${timeoutMs / 1000} s`);
    }
  };
  try {
    const ended = await Promise.allSettled(missing.map(fetchOne));
    caller.throwIfAborted();
    const fault = ended.find((one) => one.status === 'rejected');
    if (fault !== undefined) throw fault.reason;
    // In the order of the lock files, not of the answers.
    return new Map(missing.flatMap((input) => (faults.has(input) ? [[input, faults.get(input) ?? '']] : [])));
  } finally {
    await folder.remove();
  }
};

const findValid = async (
  { queries }: Pick<PrefetchDeps, 'queries'>,
  inputs: readonly LockedInput[],
  signal: AbortSignal,
): Promise<ReadonlySet<StorePath>> => {
  try {
    return await queries({ signal }).queryValid(inputs.map(({ storePath }) => storePath));
  } catch (error) {
    // A question that was cut short looks like a store that does not answer.
    signal.throwIfAborted();
    throw error;
  }
};

const mostSentences = 10;

const describeFaults = (faults: ReadonlyMap<LockedInput, string>): string[] => {
  const sentences = Array.from(
    faults,
    ([{ name }, why]) => `The locked input ${shownName(name)} was not fetched before the evaluation: ${why}.`,
  );
  if (sentences.length <= mostSentences) return sentences;
  return [
    ...sentences.slice(0, mostSentences),
    `And ${sentences.length - mostSentences} more were not fetched.`,
  ];
};

const collected = 'A garbage collection removed inputs of the flake while they were fetched.';

export const createPrefetch = ({ limits, ...deps }: PrefetchDeps): Prefetch => {
  const bounds = { ...defaultLimits, ...limits };
  const unpacking = createTurns(bounds.unpackAtOnce);
  const fetching: Fetching = { deps, limits: bounds, unpacking, underWay: new Map() };
  return {
    async prefetch({ mirror, tree, rootsDir, sandbox, onBegin }, signal) {
      const { inputs, warnings } = await readLocks(mirror, tree, deps.storeDir);
      if (inputs.length === 0) return warnings;
      const valid = await findValid(deps, inputs, signal);
      const missing = inputs.filter(({ storePath }) => !valid.has(storePath));
      if (missing.length > 0) onBegin?.(missing.length);
      const faults =
        missing.length === 0
          ? new Map<LockedInput, string>()
          : await fetchAll(fetching, { missing, sandbox }, signal);
      const there = inputs.filter((input) => !faults.has(input));
      const isKept = await deps.inputs.keep(there, rootsDir);
      return [...warnings, ...describeFaults(faults), ...(isKept ? [] : [collected])];
    },
  };
};
