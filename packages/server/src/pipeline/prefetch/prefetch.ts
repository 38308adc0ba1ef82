// Stage: a tree → what its lock files lock is in the store, so that an evaluation without network finds it. What cannot
// be fetched is said and left: only an evaluation that needs it fails.
import type { StorePath, TreeSha } from '@eka-ci/core/ids';
import type { EvaluationRequest } from '@eka-ci/nix/evaluator/evaluator';
import type { LockedInput } from '@eka-ci/nix/locked-inputs/locked-input';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import { hostedName } from '../../forge/hosted-forge.ts';
import type { Mirror } from '../../git/git.ts';
import { createTurns } from '../../lib/turns.ts';
import { createWorkFolder } from '../../lib/work-folder.ts';
import {
  type Budget,
  type FetchedInput,
  type FetchInputDeps,
  fetchInput,
  type InputLimits,
  type InputToFetch,
} from './fetch-input.ts';
import {
  createPrivateInputs,
  type InputReader,
  type PrivateInputs,
  type PrivateInputsDeps,
} from './private-inputs.ts';
import { readLocks, shownName } from './read-locks.ts';

export interface PrefetchRequest {
  readonly mirror: Pick<Mirror, 'readFile'>;
  readonly tree: TreeSha;
  /** As long as it is there, what was fetched stays in the store. */
  readonly rootsDir: string;
  readonly sandbox: EvaluationRequest['sandbox'];
  /** Its evaluation fetches by itself what anybody may have: then nothing is fetched where nothing can be private. @default false */
  readonly hasNetwork?: boolean;
  /** For whom private inputs are fetched, where they may be. @default nobody: nothing is fetched with credentials */
  readonly reading?: {
    readonly reader: InputReader;
    /** The tree whose locks were put there by somebody who may write to that repository. */
    readonly vouchedBy: TreeSha;
  };
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

export interface PrefetchLimits extends InputLimits {
  readonly atOnce: number;
  readonly unpackAtOnce: number;
  /** Of all of one tree. */
  readonly maxTotalBytes: number;
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

export interface PrefetchDeps extends Pick<FetchInputDeps, 'guard' | 'git' | 'inputs'> {
  readonly storeDir: string;
  readonly queries: (asking: { readonly signal: AbortSignal }) => Pick<StoreQueries, 'queryValid'>;
  /** @default nothing is hidden, so nothing is fetched with credentials */
  readonly isHidden?: PrivateInputsDeps['isHidden'];
  readonly limits?: Partial<PrefetchLimits>;
}

interface Fetching {
  readonly limits: PrefetchLimits;
  readonly fetching: FetchInputDeps;
  /** By what would be fetched, from where and for whom: both sides of a change lock much the same, and are evaluated at once. */
  readonly underWay: Map<string, Promise<FetchedInput>>;
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

/** As `fetchInput`, unless somebody is at the very same: who names a bad address for it fails for no others. */
const fetchOnce = async (
  { fetching, underWay }: Fetching,
  asked: InputToFetch,
  signal: AbortSignal,
): Promise<FetchedInput> => {
  const { storePath, url, commit, submodules } = asked.input;
  const key = JSON.stringify([storePath, url, commit, submodules, asked.privateInputs?.key]);
  const other = underWay.get(key);
  if (other !== undefined) {
    // It ends with whoever began it, who may have less time than we have.
    const outcome = await other.catch(() => undefined);
    signal.throwIfAborted();
    if (outcome !== undefined) return outcome;
  }
  const fetched = fetchInput(fetching, asked, signal);
  underWay.set(key, fetched);
  try {
    return await fetched;
  } finally {
    if (underWay.get(key) === fetched) underWay.delete(key);
  }
};

/** What could not be fetched of these, by why. */
const fetchAll = async (
  fetching: Fetching,
  {
    missing,
    ...of
  }: Pick<InputToFetch, 'sandbox' | 'privateInputs'> & { readonly missing: readonly LockedInput[] },
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
      const asked = { ...of, input, folder: folder.path, budget };
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

/** Whether anything might be fetched with credentials. */
const mayBePrivate = (
  { isHidden = () => false }: Pick<PrefetchDeps, 'isHidden'>,
  { reading }: Pick<PrefetchRequest, 'reading'>,
): boolean => {
  if (reading === undefined) return false;
  const { forge, repository } = reading.reader;
  return isHidden(hostedName(forge.host, repository));
};

const openPrivateInputs = async (
  { storeDir, isHidden = () => false }: Pick<PrefetchDeps, 'storeDir' | 'isHidden'>,
  { mirror, tree, reading }: Pick<PrefetchRequest, 'mirror' | 'tree' | 'reading'>,
  inputs: readonly LockedInput[],
): Promise<PrivateInputs | null> => {
  if (reading === undefined) return null;
  const { reader, vouchedBy } = reading;
  const vouched = vouchedBy === tree ? inputs : (await readLocks(mirror, vouchedBy, storeDir)).inputs;
  return createPrivateInputs({ isHidden }, { reader, vouched, key: vouchedBy });
};

export const createPrefetch = ({ limits, ...deps }: PrefetchDeps): Prefetch => {
  const bounds = { ...defaultLimits, ...limits };
  const unpacking = createTurns(bounds.unpackAtOnce);
  const { guard, git, inputs } = deps;
  const fetching: Fetching = {
    limits: bounds,
    fetching: { guard, git, inputs, unpacking, limits: bounds },
    underWay: new Map(),
  };
  return {
    async prefetch(request, signal) {
      const { mirror, tree, rootsDir, sandbox, onBegin } = request;
      if (request.hasNetwork === true && !mayBePrivate(deps, request)) return [];
      const { inputs, warnings } = await readLocks(mirror, tree, deps.storeDir);
      if (inputs.length === 0) return warnings;
      const valid = await findValid(deps, inputs, signal);
      const missing = inputs.filter(({ storePath }) => !valid.has(storePath));
      if (missing.length > 0) onBegin?.(missing.length);
      const privateInputs = missing.length === 0 ? null : await openPrivateInputs(deps, request, inputs);
      const faults =
        missing.length === 0
          ? new Map<LockedInput, string>()
          : await fetchAll(fetching, { missing, sandbox, privateInputs }, signal);
      const there = inputs.filter((input) => !faults.has(input));
      const isKept = await deps.inputs.keep(there, rootsDir);
      return [...warnings, ...describeFaults(faults), ...(isKept ? [] : [collected])];
    },
  };
};
