// One locked input → the store: as anybody may have it, else with the forge's token where there is one for it.
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { EvaluationRequest } from '@eka-ci/nix/evaluator/evaluator';
import { downloadName, type InputStore } from '@eka-ci/nix/locked-inputs/input-store';
import type { LockedInput } from '@eka-ci/nix/locked-inputs/locked-input';
import type { DestinationGuard } from '../../config/destination-guard.ts';
import type { Git } from '../../git/git.ts';
import type { Turns } from '../../lib/turns.ts';
import { removeTree } from '../../lib/work-folder.ts';
import { download } from './download.ts';
import { fetchCommit } from './fetch-commit.ts';
import type { PrivateInputs } from './private-inputs.ts';

export interface InputLimits {
  /** Of one input. */
  readonly maxBytes: number;
  readonly idleTimeoutMs: number;
  /** Of all of one tree. */
  readonly timeoutMs: number;
}

export interface FetchInputDeps {
  readonly guard: DestinationGuard;
  readonly git: Pick<Git, 'exportRemoteCommit'>;
  readonly inputs: InputStore;
  readonly limits: InputLimits;
  readonly unpacking: Turns;
}

/** What the inputs of one tree may cost together. */
export interface Budget {
  /** Null where there was enough left, else why not. */
  readonly take: (bytes: number) => string | null;
}

export interface InputToFetch {
  readonly input: LockedInput;
  readonly sandbox: EvaluationRequest['sandbox'];
  /** Ours alone; what is put there is removed. */
  readonly folder: string;
  readonly budget: Budget;
  /** Null: nothing is fetched with credentials. */
  readonly privateInputs: PrivateInputs | null;
}

/** Null where it is in the store, else why not. */
export type FetchedInput = string | null;

type Placed = InputToFetch & {
  /** Empty, and for this input alone. */
  readonly place: string;
};

const fetchTree = async (
  { guard, git, inputs, limits, unpacking }: FetchInputDeps,
  { input, commit, place, privateInputs, budget }: Placed & { readonly commit: string },
  signal: AbortSignal,
): Promise<FetchedInput> => {
  const { maxBytes, timeoutMs } = limits;
  const fetching = { guard, git, privateInputs, maxBytes };
  const fetched = await fetchCommit(fetching, { input, commit, folder: place }, signal);
  budget.take(fetched.sizeBytes);
  if (fetched.kind === 'failed') {
    return input.isOverSsh ? `it is locked over ssh, and over https ${fetched.why}` : fetched.why;
  }
  const { tree } = fetched;
  const added = await unpacking.take(() => inputs.addTree({ input, tree, timeoutMs }, signal), signal);
  return added.kind === 'added' ? null : added.why;
};

/** Of a file, or of what an archive holds. */
const fetchFile = async (
  { guard, inputs, limits, unpacking }: FetchInputDeps,
  { input, sandbox, budget, privateInputs, place }: Placed,
  signal: AbortSignal,
): Promise<FetchedInput> => {
  const { maxBytes, idleTimeoutMs, timeoutMs } = limits;
  const bounds = { file: join(place, downloadName), maxBytes, idleTimeoutMs, onBytes: budget.take };
  const open = await download(guard, { url: input.url, ...bounds }, signal);
  if (open.kind === 'failed') {
    const access = await privateInputs?.ask({ input, url: input.url, of: 'archive' }, signal);
    if (access?.kind !== 'granted') return [open.why, access?.why ?? []].flat().join(', ');
    const { url, authorization } = access;
    const got = await download(guard, { url, authorization, ...bounds }, signal);
    if (got.kind === 'failed') return got.why;
  }
  const downloaded = { input, folder: place, sandbox, timeoutMs, isPrivate: open.kind === 'failed' };
  const added = await unpacking.take(() => inputs.add(downloaded, signal), signal);
  return added.kind === 'added' ? null : added.why;
};

/** @throws the signal's reason; GitError for what is our own fault; what writing to the disk throws */
export const fetchInput = async (
  deps: FetchInputDeps,
  asked: InputToFetch,
  signal: AbortSignal,
): Promise<FetchedInput> => {
  const { input, folder, budget } = asked;
  const spent = budget.take(0);
  if (spent !== null) return spent;
  const place = join(folder, randomUUID());
  await mkdir(place);
  try {
    const { commit } = input;
    return commit === null
      ? await fetchFile(deps, { ...asked, place }, signal)
      : await fetchTree(deps, { ...asked, place, commit }, signal);
  } finally {
    await removeTree(place);
  }
};
