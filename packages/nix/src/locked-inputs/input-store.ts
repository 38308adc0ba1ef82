// Puts what was downloaded into the store, by Nix itself and in the sandbox of an evaluation without network: Nix unpacks
// it, and takes it only where its hash is the one that was locked.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runChild, startChild } from '@eka-ci/process';
import { quoteNixString } from '../evaluator/attr-path.ts';
import type { EvaluationRequest } from '../evaluator/evaluator.ts';
import { parsePrintedError, stripControls } from '../evaluator/failure.ts';
import { type Confinement, createSandbox, type Sandbox } from '../evaluator/sandbox.ts';
import { createProcessRooting, createRootKeeper, RootingError } from '../gc-roots.ts';
import type { NixInstallation } from '../installation.ts';
import { fixedOutputPath, formatSri, parseSha256 } from '../nix-hash.ts';
import type { LockedInput } from './locked-input.ts';

/** What a download is called in its folder. */
export const downloadName = 'download';

export interface DownloadedInput {
  readonly input: LockedInput;
  /** Holds the download as `downloadName` and nothing else. */
  readonly folder: string;
  readonly sandbox: EvaluationRequest['sandbox'];
  readonly timeoutMs: number;
  /** Where there is a sandbox: Nix unpacks into memory. @default 2 GiB */
  readonly maxUnpackedBytes?: number;
  /** What is not what was locked stays nowhere, and nobody is told its hash: it would say what to lock. @default false */
  readonly isPrivate?: boolean;
}

export type AddedInput =
  | { readonly kind: 'added' }
  /** `why`: for people. */
  | { readonly kind: 'refused'; readonly why: string };

export interface FetchedTree {
  readonly input: LockedInput;
  /** A folder that is safe to read, called as the input is in the store. */
  readonly tree: string;
  readonly timeoutMs: number;
}

export interface InputStore {
  /** @throws the signal's reason; StartError */
  add(downloaded: DownloadedInput, signal: AbortSignal): Promise<AddedInput>;
  /** The same of files that are unpacked already. What is not what was locked is not put into the store. */
  addTree(fetched: FetchedTree, signal: AbortSignal): Promise<AddedInput>;
  /** Keeps those that are in the store from garbage collection as long as `rootsDir` is there; false where it cannot. */
  keep(inputs: readonly LockedInput[], rootsDir: string): Promise<boolean>;
}

const expressionOf = ({ of, storeName, sha256 }: LockedInput, tree: string): string => {
  const builtin = of === 'tree' ? 'fetchTarball' : 'fetchurl';
  const url = `file://${tree}/${downloadName}`;
  return `builtins.${builtin} { name = ${quoteNixString(storeName)}; url = ${quoteNixString(url)}; sha256 = ${quoteNixString(sha256)}; }`;
};

const argumentsOf = (nix: NixInstallation): string[] => {
  const settings = {
    ...{ substituters: '', builders: '', 'download-attempts': '1' },
    // Root in a user namespace cannot give the store to a group.
    ...(nix.access === 'direct' ? { 'build-users-group': '' } : {}),
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value]);
  return ['--eval', '--json', '--read-write-mode', '--log-format', 'raw', ...options, '-'];
};

/** Some times what the largest package sets unpack to. */
const mostOf = ({ maxUnpackedBytes = 2 * 1024 * 1024 * 1024 }: DownloadedInput): number => maxUnpackedBytes;

/** As Nix says it, and for it libarchive and libgit2. */
const noRoom = /No space left on device|Write failed|writing a blob for tarball member/;

const notLocked = 'its content is not what was locked';

/** The hash of what came, where it was another than the locked one. */
const otherHashIn = (message: string): string | undefined =>
  /hash mismatch.*got:\s+(?<hash>\S+)/s.exec(message)?.groups?.['hash'];

const explain = (stderr: string, isPrivate: boolean): string => {
  const { message } = parsePrintedError(stripControls(stderr));
  const got = otherHashIn(message);
  if (got !== undefined) return isPrivate ? notLocked : `${notLocked}: its hash is ${got}`;
  return message.replace(/\s+/g, ' ').slice(0, 500) || 'Nix gave no message';
};

const hashFile = async (file: string): Promise<Buffer> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest();
};

/** Nix 2.8 puts what it was given into the store, and what it unpacked, before it looks at any hash. */
const removeOther = async (
  { programs, env, storeDir }: NixInstallation,
  { input: { of, storeName: name }, folder }: DownloadedInput,
  stderr: string,
): Promise<void> => {
  const file = { of: 'file', sha256: await hashFile(join(folder, downloadName)) } as const;
  const unpacked = parseSha256(otherHashIn(parsePrintedError(stripControls(stderr)).message) ?? '');
  for (const one of [file, ...(unpacked === null ? [] : [{ of, sha256: unpacked }])]) {
    const path = fixedOutputPath({ storeDir, name, ...one });
    // What was never there, or somebody else keeps, cannot be removed, and that is as well.
    await runChild({ command: programs.store, args: ['--delete', path], env, timeoutMs: 60_000 });
  }
};

const unpack = async (
  { nix, confinement }: { readonly nix: NixInstallation; readonly confinement: Confinement },
  downloaded: DownloadedInput,
  signal: AbortSignal,
): Promise<AddedInput> => {
  const { input, timeoutMs } = downloaded;
  const [command = '', ...args] = confinement.wrap([nix.programs.instantiate, ...argumentsOf(nix)]);
  const stdin = expressionOf(input, confinement.tree);
  const bounds = { timeoutMs, maxOutputBytes: 1024 * 1024 };
  const done = await runChild({
    command,
    args,
    stdin,
    env: confinement.env,
    signal,
    ...bounds,
    leavesGroup: true,
  });
  signal.throwIfAborted();
  if (done.timedOut) return { kind: 'refused', why: `it was not unpacked after ${timeoutMs / 1000} s` };
  if (done.code !== 0 && noRoom.test(done.stderr)) {
    const most = `${Math.floor(mostOf(downloaded) / 1024 / 1024)} MiB`;
    return { kind: 'refused', why: `it unpacks to more than ${most} (or the disk of the store is full)` };
  }
  const { isPrivate = false } = downloaded;
  if (done.code !== 0 && isPrivate) await removeOther(nix, downloaded, done.stderr);
  if (done.code !== 0) return { kind: 'refused', why: explain(done.stderr, isPrivate) };
  const said = done.stdout.trim();
  if (said === JSON.stringify(input.storePath)) return { kind: 'added' };
  return { kind: 'refused', why: `Nix put it at ${said}, not at ${input.storePath}` };
};

/** SRI of what the store would hold; null where it cannot hold it. */
const hashTree = async (
  { programs, env }: NixInstallation,
  tree: string,
  signal: AbortSignal,
): Promise<string | null> => {
  const hash = createHash('sha256');
  const child = await startChild({ command: programs.store, args: ['--dump', tree], env, signal });
  child.stderr.resume();
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) hash.update(chunk);
  const { code } = await child.exited;
  signal.throwIfAborted();
  return code === 0 ? formatSri(hash.digest()) : null;
};

export const createInputStore = (
  nix: NixInstallation,
  sandbox: Sandbox = createSandbox(nix),
): InputStore => ({
  async add(downloaded, signal) {
    const isolation = { allowNetwork: false, allowImportFromDerivation: false, writable: [] };
    const wanted = { tree: downloaded.folder, sandbox: downloaded.sandbox, scratchBytes: mostOf(downloaded) };
    const confining = await sandbox.prepare({ ...wanted, ...isolation });
    if (confining.kind === 'refused')
      return { kind: 'refused', why: `there is no sandbox to unpack it in: ${confining.reason}` };
    const { confinement } = confining;
    try {
      return await unpack({ nix, confinement }, downloaded, signal);
    } finally {
      await confinement.dispose();
    }
  },
  async addTree({ input, tree, timeoutMs }, signal) {
    if ((await hashTree(nix, tree, signal)) !== input.sha256) return { kind: 'refused', why: notLocked };
    const args = ['--add-fixed', '--recursive', 'sha256', tree];
    const { programs, env } = nix;
    const done = await runChild({ command: programs.store, args, env, timeoutMs, signal });
    signal.throwIfAborted();
    if (done.timedOut) return { kind: 'refused', why: `it was not added after ${timeoutMs / 1000} s` };
    if (done.code !== 0) return { kind: 'refused', why: explain(done.stderr, false) };
    if (done.stdout.trim() === input.storePath) return { kind: 'added' };
    return { kind: 'refused', why: notLocked };
  },
  async keep(inputs, rootsDir) {
    if (inputs.length === 0) return true;
    const roots = createRootKeeper(createProcessRooting(nix), rootsDir);
    for (const { storePath } of inputs) roots.add(storePath);
    try {
      await roots.finish();
      return true;
    } catch (error) {
      if (error instanceof RootingError) return false;
      throw error;
    }
  },
});
